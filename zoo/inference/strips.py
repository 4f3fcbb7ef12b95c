"""The class map of an image that does not fit into the memory, a strip of rows at a time."""

import concurrent.futures
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from zoo.inference.scorers import Scorer
from zoo.inference.tiles import blocks
from zoo.inference.tiling import Span, tiling


class Rows(Protocol):
    """What strips are cut from: an array, a memmap, or a `zoo.rasters.Raster`."""

    shape: tuple[int, int, int]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The pixels of some rows, `[h, w, channels]`."""


def strips(
    answer: Scorer,
    image: Rows,
    *,
    side: int | None = None,
    overlap: int | None = None,
    start: int = 0,
    told: Callable[[int], Any] = lambda pixels: None,
) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows and the class map uint8 `[rows, w]` of each row of tiles, from top to bottom.

    ```python
    for rows, part in zoo.inference.strips.strips(answer, image, side=512):
        whole[rows] = part
    ```

    The memory holds two rows of tiles of the image, one tile's answer, and, of blended tiles, the
    answers of the rows that they share. Each row is read once, the next strip while one is
    answered.

    Args:
        answer: Answers a tile.
        image: Of any size.
        side: As of `zoo.inference.tiles.tiled`.
        overlap: As of `zoo.inference.tiles.tiled`.
        start: The row at which a strip begins: those above it are left out.
        told: Called after each tile with the number of pixels that it completes.

    Raises:
        ValueError: As `zoo.inference.tiles.tiled`; or no strip begins at `start`.
    """
    cut, size = tiling(answer, side=side, overlap=overlap), tuple(image.shape[:2])
    rows, columns = cut.spans(size, 0), cut.spans(size, 1)
    begins = [row.done.start for row in rows] + [size[0]]
    if start not in begins:
        raise ValueError(
            f"A strip begins at one of the rows {', '.join(map(str, begins[:4]))}, …; received "
            f"start={start}. Pass the end of a strip that was given with the same options."
        )
    rows = rows[begins.index(start) :]
    if rows and rows[0].before:  # what it shares with the row of tiles above is answered again
        rows = [*cut.spans(size, 0)[begins.index(start) - 1 : begins.index(start)], *rows]
    class_map = np.empty((0, size[1]), np.uint8)
    for (down, across), part in blocks(answer, _read(image, rows), columns):
        if down.start < start:
            continue
        if across.start == 0:
            class_map = np.empty((down.stop - down.start, size[1]), np.uint8)
        class_map[:, across] = part.argmax(-1)
        told(class_map[:, across].size)
        if across.stop == size[1]:
            yield down, class_map


def class_map(
    answer: Scorer, image: Rows, *, side: int | None = None, overlap: int | None = None
) -> np.ndarray:
    """The class map of an image of any size, uint8 `[h, w]`, by `strips`.

    Raises:
        ValueError: As `zoo.inference.tiles.tiled`.
    """
    found = strips(answer, image, side=side, overlap=overlap)
    return np.concatenate([part for _, part in found])


def _read(image: Rows, rows: list[Span]) -> Iterator[tuple[Span, np.ndarray]]:
    """The pixels of each row of tiles; those that it shares with the one above are kept."""
    if isinstance(image, np.ndarray):  # whose rows cost nothing, or which the system reads ahead
        yield from ((row, image[row.tile]) for row in rows)
        return
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        above, coming = None, _ahead(reader, image, rows)
        for row, below in itertools.zip_longest(rows, rows[1:]):
            pixels = next(coming)
            pixels = pixels if above is None else np.concatenate([above, pixels])
            yield row, pixels
            if below is not None:
                above = pixels[below.tile.start - row.tile.start :].copy()
            del pixels  # before the next strip is read


def _ahead(
    reader: concurrent.futures.Executor, image: Rows, rows: list[Span]
) -> Iterator[np.ndarray]:
    """The pixels of each row of tiles that those above do not have, the next read meanwhile."""
    reading, end = [], None
    for row in rows:
        first = row.tile.start if end is None else end
        reading.append(reader.submit(image.__getitem__, slice(first, row.tile.stop)))
        end = row.tile.stop
        if len(reading) == 2:
            yield reading.pop(0).result()
    if reading:
        yield reading.pop().result()
