"""Scores a large image in tiles that overlap, with the memory that one tile takes.

Only the interior of a tile counts: its margin is as wide as a score of the net sees, so that the
scores are those of the whole image.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

MAX_SIDE = 1536
"""Of a tile, in pixels. U-Net takes 1.5 kB for each pixel that it scores: 3.5 GB a tile."""

Scorer = Callable[[np.ndarray], np.ndarray]
"""From an image `[h, w, channels]` to an array of its size, `[h, w]` or `[h, w, classes]`."""


def tiled(score: Scorer, *, margin: int, stride: int, side: int | None = None) -> Scorer:
    """A scorer that gives the same as `score`, tile by tile if the image is large.

    ```python
    margin, stride = reach(model)
    predict = tiled(predict, margin=margin, stride=stride)
    ```

    Args:
        score: Scores a tile, of any size.
        margin: What is left out of a tile at each end that is not one of the image, in pixels.
        stride: Tiles begin at its multiples, so that pooling meets the same pixels.
        side: Of a tile, in pixels. An image of up to `side` × `side` pixels is scored whole. By
            default MAX_SIDE, or four margins where a net sees so far that they are more.

    Raises:
        ValueError: `side` leaves no interior.
    """
    margin = math.ceil(margin / stride) * stride
    side = side or max(MAX_SIDE, 4 * margin)
    step = (side - 2 * margin) // stride * stride
    if step <= 0:
        raise ValueError(
            f"A tile is larger than its margins and a stride, {2 * margin + stride} pixels; "
            f"received side={side}. Pass side={2 * margin + stride} or more."
        )

    def scored(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if height * width <= side * side:
            return score(image)
        whole = None
        for rows, of_rows, kept_rows in _spans(height, side, step, margin):
            for columns, of_columns, kept_columns in _spans(width, side, step, margin):
                part = score(image[rows, columns])[kept_rows, kept_columns]
                if whole is None:
                    whole = np.empty((height, width, *part.shape[2:]), part.dtype)
                whole[of_rows, of_columns] = part
        return whole

    return scored


def _spans(length: int, side: int, step: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    """Along one axis: the tile, its interior in the image, and its interior in the tile."""
    if length <= side:
        step = length
    for first in range(0, length, step):
        last = min(first + step, length)
        begin = max(first - margin, 0)
        yield (
            slice(begin, min(last + margin, length)),
            slice(first, last),
            slice(first - begin, last - begin),
        )
