"""Sheets of small pictures with captions, and the colours of heat.

A sheet is laid out in columns on white, each picture in a field of one size, with a scale below
that says what the colours mean.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zoo import fonts

FIELD = 280  # pixels on the longer side of a picture in a sheet
MAX_COLUMNS = 5
_GAP, _LETTERS = 14, 15

# From nothing to the most: darker to lighter all the way, so that it is read in grey, too.
_HEAT = np.array(
    [(8, 6, 38), (74, 16, 108), (158, 38, 98), (228, 86, 50), (250, 180, 44), (255, 252, 214)]
)


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture, uint8 `[h, w, 3]`, and the lines below it; long lines are wrapped."""

    picture: np.ndarray
    caption: tuple[str, ...]


def heat(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The colours of numbers `[h, w]` from dark at `low` to light at `high`, uint8 `[h, w, 3]`.

    >>> heat(np.array([[0.0, 1.0]]), 0, 1).tolist()
    [[[8, 6, 38], [255, 252, 214]]]
    """
    share = np.clip((values - low) / ((high - low) or 1), 0, 1)
    places = np.linspace(0, 1, len(_HEAT))
    colours = [np.interp(share, places, part) for part in _HEAT.T]
    return np.round(np.stack(colours, -1)).astype(np.uint8)


def sheet(
    panels: Sequence[Panel], *, low: str, high: str, font: str | os.PathLike | None = None
) -> Image.Image:
    """Lays panels out on white, above a scale of the colours from `low` to `high`.

    A picture that is smaller than its field is enlarged with its pixels as they are, so that
    nothing is drawn that is not in it; a larger one is scaled down.

    Args:
        panels: From left to right, row by row.
        low: What the darkest colour means.
        high: What the lightest one means.
        font: The path of a font file for the captions; by default as `zoo.fonts` chooses.

    Returns:
        An RGB image of Pillow.
    """
    pictures = [_fitted(panel.picture) for panel in panels]
    captions = [_wrapped(panel.caption, font) for panel in panels]
    columns = _columns(len(panels))
    height = max(picture.height for picture in pictures)
    line = _LETTERS * 4 // 3
    row = height + line * max(map(len, captions)) + 2 * _GAP
    rows = -(-len(panels) // columns)
    size = (_GAP + columns * (FIELD + _GAP), _GAP + rows * row + line + _GAP)
    drawn = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(drawn)
    for place, (picture, lines) in enumerate(zip(pictures, captions, strict=True)):
        x = _GAP + place % columns * (FIELD + _GAP)
        y = _GAP + place // columns * row
        drawn.paste(picture, (x + (FIELD - picture.width) // 2, y + height - picture.height))
        for number, (text, letters) in enumerate(lines):
            at = (x + FIELD / 2, y + height + line * (number + 0.7))
            draw.text(at, text, fill="black", font=letters, anchor="mm")
    _draw_scale(drawn, draw, (_GAP, _GAP + rows * row), low, high)
    return drawn


def _columns(count: int) -> int:
    """As many as make a sheet of full rows, if there is such a number near the widest."""
    if count <= MAX_COLUMNS:
        return count
    return min(range(3, MAX_COLUMNS + 1), key=lambda columns: (-count % columns, -columns))


def _fitted(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    longer = max(image.size)
    size = tuple(max(1, round(side * FIELD / longer)) for side in image.size)
    smooth = Image.Resampling.BOX if longer > FIELD else Image.Resampling.NEAREST
    return image.resize(size, smooth)


def _wrapped(
    caption: Sequence[str], file: str | os.PathLike | None
) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """The lines of a caption, none wider than a field, each with its font."""
    found = []
    for text, font in zip(caption, fonts.for_names(caption, _LETTERS, font=file), strict=True):
        line = ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > FIELD:
                found.append((line, font))
                longer = word
            line = longer
            while font.getlength(line) > FIELD:
                line = line[:-2] + "…"
        found.append((line, font))
    return found


def _draw_scale(
    drawn: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], low: str, high: str
) -> None:
    x, y = at
    below, above = fonts.for_names((low, high), _LETTERS)
    words = below.getlength(low) + above.getlength(high)
    width = max(60, min(FIELD, drawn.width - 4 * _GAP - round(words)))
    middle = y + _LETTERS / 2
    draw.text((x, middle), low, fill="black", font=below, anchor="lm")
    x += round(below.getlength(low)) + _GAP // 2
    bar = heat(np.linspace(0, 1, width)[None].repeat(_LETTERS, 0), 0, 1)
    drawn.paste(Image.fromarray(bar), (x, y))
    draw.text((x + width + _GAP // 2, middle), high, fill="black", font=above, anchor="lm")
