"""Answers a large image in tiles that overlap, with the memory that one tile takes.

By default tiles overlap so far that each pixel's answer is that of the whole image. Where a net
sees so far that this costs too much, `overlap=` takes less, and neighbouring tiles are blended.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from zoo.inference.scorers import Scorer
from zoo.inference.tiling import Span, auto_side, pixels_at_once, tiling


def tiled(answer: Scorer, *, side: int | None = None, overlap: int | None = None) -> Scorer:
    """A Scorer that answers an image of any size, tile by tile if it is large.

    ```python
    answer = zoo.inference.tiles.tiled(answer, side=512)
    ```

    Args:
        answer: Answers a tile, of any size.
        side: Of a tile, in pixels. An image of up to `side` × `side` pixels is answered whole. By
            default MAX_SIDE, or four margins where a net sees so far that they are more, or what a
            file takes at most.
        overlap: How many pixels neighbouring tiles share. By default two margins: the answers are
            those of the whole image. With a number they are blended, with weights that fall
            linearly to the tile's edge; classes are cut in the middle.

    Raises:
        ValueError: `side` leaves nothing beside the overlap, or is more than a file takes.
    """
    cut = tiling(answer, side=side, overlap=overlap)

    def answered(images: np.ndarray) -> np.ndarray:
        size = images.shape[1:3]
        if cut.takes_whole(size):
            return answer.answer(images)
        rows, columns = cut.spans(size, 0), cut.spans(size, 1)
        whole = None
        for number, image in enumerate(images):
            for place, part in blocks(answer, ((row, image[row.tile]) for row in rows), columns):
                if whole is None:
                    whole = np.empty((len(images), *size, part.shape[-1]), np.float32)
                whole[number][place] = part
        return whole

    return dataclasses.replace(answer, answer=answered, max_pixels=None)


def tiled_as_needed(answer: Scorer, *, overlap: int | None = None) -> Scorer:
    """A Scorer that answers an image whole if it fits into the memory, and else in tiles.

    Args:
        answer: Answers a tile, of any size.
        overlap: As of `tiled`.

    Raises:
        MemoryError: When called: the memory does not suffice for the smallest tile.
        ValueError: When called: as `tiled`.
    """

    def answered(images: np.ndarray) -> np.ndarray:
        if images.shape[1] * images.shape[2] <= pixels_at_once(answer):
            return answer.answer(images)
        side = auto_side(answer, overlap=overlap)
        return tiled(answer, side=side, overlap=overlap).answer(images)

    return dataclasses.replace(answer, answer=answered, max_pixels=None)


def blocks(
    answer: Scorer, rows: Iterable[tuple[Span, np.ndarray]], columns: list[Span]
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """The place and the answer of each block of an image, as soon as it is complete.

    Args:
        answer: Answers a tile.
        rows: Rows of tiles from the top, one after the other, with their pixels
            `[h, w, channels]`. Where the first is not the image's, what it shares with the one
            above is missing in its answer.
        columns: The tiles along a row.
    """
    above = None
    for row, pixels in rows:
        beside, below = None, []
        for column in columns:
            part = answer(pixels[:, column.tile])[row.inside, column.inside]
            if row.before or row.after or column.before or column.after:
                part = part * np.multiply.outer(row.weights, column.weights)[..., np.newaxis]
            if column.before:
                part[:, : column.before] += beside
            width = part.shape[1] - column.after
            beside, part = part[:, width:], part[:, :width]
            if row.before and above is not None:
                part[: row.before] += above[:, column.done]
            height = part.shape[0] - row.after
            below.append(part[height:])
            yield (row.done, column.done), part[:height]
        above = np.concatenate(below, axis=1)
        del pixels  # before the next ones are made
