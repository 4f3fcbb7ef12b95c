"""How a large image is cut into tiles: their side, their overlap, and which pixels count."""

import dataclasses
import math

import numpy as np

from zoo.inference import memory
from zoo.inference.scorers import CLASSES, Scorer

MAX_SIDE = 1536
"""Of a tile by default, in pixels. U-Net takes 1.8 kB for each pixel: 4.3 GB a tile."""

MAX_BYTES = 1_200_000_000
"""Of a tile whose side `auto_side` chooses."""


@dataclasses.dataclass(frozen=True)
class Span:
    """A tile along one axis of an image.

    Args:
        tile: The pixels of the tile.
        kept: Those of them that count, with those that are blended.
        before: How many of `kept` are blended with the tile before.
        after: How many of `kept` are blended with the tile behind.
    """

    tile: slice
    kept: slice
    before: int
    after: int

    @property
    def inside(self) -> slice:
        """`kept`, counted from the beginning of the tile."""
        return slice(self.kept.start - self.tile.start, self.kept.stop - self.tile.start)

    @property
    def done(self) -> slice:
        """The pixels that are complete with this tile, if all tiles before it have come."""
        return slice(self.kept.start, self.kept.stop - self.after)

    @property
    def weights(self) -> np.ndarray:
        """Of `kept`, float32: from 0 to 1 where tiles are blended, else 1."""
        weights = np.ones(self.kept.stop - self.kept.start, np.float32)
        weights[: self.before] = _rising(self.before)
        weights[len(weights) - self.after :] *= 1 - _rising(self.after)
        return weights


def _rising(count: int) -> np.ndarray:
    return np.arange(1, count + 1, dtype=np.float32) / (count + 1)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How images are cut: the side of a tile, from one tile to the next, and what is blended."""

    side: int
    step: int
    blended: int

    def takes_whole(self, size: tuple[int, int]) -> bool:
        """Whether an image of this height and width is one tile."""
        return size[0] * size[1] <= self.side**2

    def spans(self, size: tuple[int, int], axis: int) -> list[Span]:
        """The tiles along an axis of an image of this height and width, in order."""
        length = size[axis]
        if self.takes_whole(size) or length <= self.side:
            return [Span(slice(0, length), slice(0, length), 0, 0)]
        found, aside = [], (self.side - self.step - self.blended) // 2
        for begin in range(0, length, self.step):
            end, is_first = min(begin + self.side, length), begin == 0
            is_last = end == length
            kept = slice(
                0 if is_first else begin + aside,
                length if is_last else begin + self.step + aside + self.blended,
            )
            before, after = (0 if edge else self.blended for edge in (is_first, is_last))
            found.append(Span(slice(begin, end), kept, before, after))
            if is_last:
                return found
        raise AssertionError("the last tile ends at the end of the image")


def tiling(answer: Scorer, *, side: int | None = None, overlap: int | None = None) -> Tiling:
    """The Tiling of a Scorer; `side` and `overlap` as of `tiled`.

    Raises:
        ValueError: As `tiled`.
    """
    for name, value, least in (("side", side, 1), ("overlap", overlap, 0)):
        if value is not None and (not isinstance(value, int) or value < least):
            raise ValueError(
                f"{name} is a whole number of pixels from {least}; received {value!r}. Leave it "
                "out, or pass such a number."
            )
    least = _least_side(answer, overlap)
    most = math.inf if answer.max_pixels is None else math.isqrt(answer.max_pixels)
    if least > most:
        how = "Pass a smaller overlap=" if overlap else f"Pass overlap={int(most) // 4}"
        raise ValueError(
            f"A tile has {least} × {least} pixels or more, for its overlap of "
            f"{_overlap(answer, overlap)}; this file takes {answer.max_pixels:,} pixels at most. "
            f"{how}, which blends tiles that overlap less, or export it with a larger limit."
        )
    if side is None:
        usual = MAX_SIDE if overlap is not None else max(MAX_SIDE, 2 * _overlap(answer, None))
        side = min(max(usual, least), most)
    if side < least:
        raise ValueError(
            f"A tile of this net has {least} pixels a side or more, as tiles overlap by "
            f"{_overlap(answer, overlap)}; received {side}. Pass {least} or more, or a smaller "
            "overlap (--tile, --overlap)."
        )
    if side > most:
        raise ValueError(
            f"This file takes {answer.max_pixels:,} pixels at most; received {side} × {side}. "
            f"Pass {most} or less (--tile)."
        )
    step = (side - _overlap(answer, overlap)) // answer.stride * answer.stride
    return Tiling(side, step, _blended(answer, overlap))


def _overlap(answer: Scorer, overlap: int | None) -> int:
    return 2 * answer.margin if overlap is None else overlap


def _blended(answer: Scorer, overlap: int | None) -> int:
    """Where only the margin overlaps, or classes have no probabilities, nothing is blended."""
    return 0 if overlap is None or answer.gives == CLASSES else overlap


def _least_side(answer: Scorer, overlap: int | None) -> int:
    """A tile moves on by a stride at least, and is blended with one neighbour at a time."""
    steps = max(1, math.ceil(_blended(answer, overlap) / answer.stride))
    return _overlap(answer, overlap) + steps * answer.stride


def auto_side(answer: Scorer, *, overlap: int | None = None) -> int:
    """The largest side of a tile that fits into half of the memory there is, and into MAX_BYTES.

    It is MAX_SIDE at most, as a strip of tiles takes memory too, or the least side where that is
    more. The memory is the host's.

    Raises:
        MemoryError: A tile of the least side does not fit.
        ValueError: As `tiled`.
    """
    each, free = answer.bytes_per_pixel or memory.UNKNOWN, memory.available()
    least, side = _least_side(answer, overlap), math.isqrt(pixels_at_once(answer))
    if answer.max_pixels is None or side**2 < answer.max_pixels:
        side = side // answer.stride * answer.stride
    if side < least and least**2 * each > free:
        raise MemoryError(
            f"A tile of {least} × {least} pixels, the least, takes about "
            f"{least**2 * each / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. Pass a smaller "
            "overlap= (--overlap), such as 64, which blends the tiles; or free some memory."
        )
    return tiling(answer, side=max(side, least), overlap=overlap).side


def pixels_at_once(answer: Scorer) -> int:
    """The most pixels that fit into half of the memory there is, into MAX_BYTES and into a file."""
    each, free = answer.bytes_per_pixel or memory.UNKNOWN, memory.available()
    most = MAX_SIDE**2 if answer.max_pixels is None else min(MAX_SIDE**2, answer.max_pixels)
    return min(most, int(min(MAX_BYTES, free / 2) / each))
