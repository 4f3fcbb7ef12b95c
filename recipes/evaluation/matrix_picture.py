"""Confusion matrices as a picture: for each true class, the share that each prediction has."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zoo import fonts

LETTER = 14  # the height of a line of text, in pixels
MAX_NUMBERED = 25  # classes, up to which a cell has its number
_GAP = 12
_FULL = np.array((8, 48, 107))  # dark blue stands for a share of 1, white for 0
_LONGEST = 24  # letters of a name, behind which it is cut


def draw(matrices: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Image.Image:
    """Draws matrices below each other: rows are the truth, columns the prediction.

    A cell is as dark as its share of the pixels of its row; up to `MAX_NUMBERED` classes it has the
    share in percent as a number. A row without pixels is grey.

    Args:
        matrices: Pixels `[classes, classes]`, by the title that each has.
        class_names: In the order of the class numbers.

    Returns:
        An RGB image of Pillow.
    """
    names = [_cut(name) for name in class_names]
    letters = fonts.for_names(names, LETTER)
    lengths = [font.getlength(name) for font, name in zip(letters, names, strict=True)]
    side = 44 if len(names) <= MAX_NUMBERED else LETTER + 4
    plain = fonts.load(None, LETTER)
    label, line = round(max(lengths)) + _GAP, LETTER + _GAP
    left, top = label + line, label + 2 * line  # of the cells
    height = top + side * len(names) + _GAP
    titles = dict(zip(matrices, fonts.for_names(matrices, LETTER), strict=True))
    widest = max(font.getlength(title) for title, font in titles.items())
    width = max(left + max(side * len(names), 200), round(widest) + _GAP) + _GAP

    sheet = Image.new("RGB", (width, height * len(matrices)), "white")
    pen = ImageDraw.Draw(sheet)
    said = "prediction, % of the row" if side > LETTER + 4 else "prediction"
    for number, (title, matrix) in enumerate(matrices.items()):
        above = number * height
        pen.text((_GAP, above + line / 2), title, fill="black", font=titles[title], anchor="lm")
        pen.text((left, above + 1.5 * line), said, fill="gray", font=plain, anchor="lm")
        _turned(sheet, "truth", plain, "gray", (2, above + top), side * len(names), centred=True)
        for index, (name, font) in enumerate(zip(names, letters, strict=True)):
            place = left - _GAP / 2, above + top + side * (index + 0.5)
            pen.text(place, name, fill="black", font=font, anchor="rm")
            column = left + side * index + (side - LETTER) // 2 - 2
            _turned(sheet, name, font, "black", (column, above + 2 * line), label - _GAP // 2)
        _draw_cells(pen, matrix, (left, above + top), side, plain)
    return sheet


def _draw_cells(
    pen: ImageDraw.ImageDraw,
    matrix: np.ndarray,
    corner: tuple[int, int],
    side: int,
    font: ImageFont.FreeTypeFont,
) -> None:
    totals = matrix.sum(1)
    for (row, column), count in np.ndenumerate(matrix):
        x, y = corner[0] + side * column, corner[1] + side * row
        share = count / totals[row] if totals[row] else 0.0
        colour = np.round(255 + share * (_FULL - 255)).astype(int) if totals[row] else (225,) * 3
        box = (x, y, x + side, y + side)
        pen.rectangle(box, fill=tuple(int(part) for part in colour), outline=(200, 200, 200))
        if count and len(matrix) <= MAX_NUMBERED:
            text = "<0.1" if share < 0.0005 else f"{100 * share:.{0 if share > 0.9995 else 1}f}"
            ink = "white" if share > 0.5 else "black"
            pen.text((x + side / 2, y + side / 2), text, fill=ink, font=font, anchor="mm")


def _turned(
    sheet: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont,
    colour: str,
    place: tuple[int, int],
    length: int,
    *,
    centred: bool = False,
) -> None:
    """Writes a text from bottom to top into a strip of this length whose upper left is given."""
    strip = Image.new("RGB", (length, LETTER + 6), "white")
    at, anchor = (length / 2, "mm") if centred else (0, "lm")
    ImageDraw.Draw(strip).text((at, LETTER / 2 + 3), text, fill=colour, font=font, anchor=anchor)
    sheet.paste(strip.rotate(90, expand=True), place)


def _cut(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
