"""The classes of a folder and their colours: `classes.txt`, or CVAT's `labelmap.txt`.

    ground                  classes.txt: one class name a line, in the order of the indices, from 0
    red fox 128 64 0        or with a colour behind each name: red, green and blue, 0 to 255,
    grey wolf #4060ff       or six hexadecimal digits
    ground:0,0,0::          labelmap.txt, as CVAT exports it: label:color_rgb:parts:actions

Three numbers at the end of a line are a colour, so names with spaces need no quotes. A line that
begins with # is a comment. Where classes
have colours, masks may store those, as RGB. VOC's (224, 224, 192) is then void; a last line
`void R G B` gives void another colour, and no class that name.
"""

import functools
import pathlib
import re
from typing import NamedTuple

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, DataError
from recipes.data.lists import read_lines
from zoo.images import ImageError, channels_of, palette_of, read_class_map, read_colours
from zoo.spec import MAX_NAME

Colour = tuple[int, int, int]

VOID = "void"
_REMEDY = "Write one class name a line into it, in the order of the indices."
_COLOURED = re.compile(r"(.*?\S)[\s,;]+(\d+)[\s,;]+(\d+)[\s,;]+(\d+)")
_HEXADECIMAL = re.compile(r"(.*?\S)[\s,;]+#([0-9a-fA-F]{6})")
# What is meant as a comment or as a colour, and would be taken for a part of a name.
_NO_NAME = re.compile(r".*\s#(\s.*|[0-9a-fA-F]{3,8})?")


class Classes(NamedTuple):
    """The names of the classes, and, if the file gives them, the colours of them and of void."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...] | None = None
    void: Colour = (224, 224, 192)


def read_classes(folder: pathlib.Path) -> Classes:
    """The classes of a folder.

    Raises:
        DataError: There is no such file, or a line breaks a rule.
    """
    file = folder / "classes.txt"
    if not file.exists() and (folder / "labelmap.txt").exists():
        file = folder / "labelmap.txt"
        lines = {
            number: _of_cvat(line, f"{file}, line {number}")
            for number, line in read_lines(file, remedy=_REMEDY).items()
        }
    elif not file.exists():
        raise DataError(
            f"{folder} is not a folder of images and masks: there is no {file}. {_REMEDY} Pass the "
            "folder that holds images, masks and classes.txt as the data folder."
        )
    else:
        lines = {
            number: _coloured(line) for number, line in read_lines(file, remedy=_REMEDY).items()
        }
    return _checked(file, lines)


def read_mask(file: pathlib.Path, classes: Classes) -> np.ndarray:
    """A mask of indices or, where the classes have colours, of those: uint8 `[h, w]`.

    Raises:
        DataError: The mask holds colours, and the classes have none or not these.
        ImageError: The file cannot be read.
    """
    if not (classes.colours and _has_colours(file)):
        try:
            return read_class_map(file)
        except ImageError as error:
            if not _has_colours(file):
                raise
            read_colours(file)  # raises if the file is lossy
            raise DataError(
                f"{error} Or give each class its colour in classes.txt, as NAME R G B; zoo verify "
                "folder DIR --write-indices NEW then writes the indices."
            ) from error
    red, green, blue = np.moveaxis(read_colours(file).astype(np.int32), -1, 0)
    codes = red << 16 | green << 8 | blue
    indices = _index_of(classes)[codes]
    unknown = (indices == IGNORE_LABEL) & (codes != _code(classes.void))
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        others = len(np.unique(codes[unknown])) - 1
        colour = tuple(int(part[row, column]) for part in (red, green, blue))
        raise DataError(
            f"{file}: a pixel has the colour of a class, or void's {classes.void}; the one in row "
            f"{row}, column {column} has {colour}"
            f"{f', and {others} more unknown occur' if others else ''}. Correct the "
            "mask, or add the colour to classes.txt: as that of a class, or in a last line void R "
            "G B."
        )
    return indices


def text_of(names: tuple[str, ...], colours: tuple[Colour, ...] | None) -> str:
    """The classes as `classes.txt` has them."""
    rows = [
        (name, *colour) for name, colour in zip(names, colours or [()] * len(names), strict=True)
    ]
    return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def _has_colours(file: pathlib.Path) -> bool:
    try:
        return palette_of(file) is None and channels_of(file) >= 3
    except ImageError:  # which reading it tells
        return False


@functools.lru_cache(maxsize=2)
def _index_of(classes: Classes) -> np.ndarray:
    """The class of each colour, uint8 `[2²⁴]`; 255 where there is none."""
    table = np.full(1 << 24, IGNORE_LABEL, np.uint8)
    table[[_code(colour) for colour in classes.colours]] = range(len(classes.colours))
    return table


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _coloured(line: str) -> tuple[str, Colour | None]:
    found = _HEXADECIMAL.fullmatch(line)
    if found:
        return found[1], tuple(bytes.fromhex(found[2]))
    found = _COLOURED.fullmatch(line)
    return (found[1], tuple(map(int, found.groups()[1:]))) if found else (line, None)


def _of_cvat(line: str, where: str) -> tuple[str, Colour]:
    name, _, rest = line.partition(":")
    colour = rest.partition(":")[0].split(",")
    if len(colour) != 3 or not all(part.strip().isdecimal() for part in colour):
        raise DataError(
            f"{where}: a line is label:color_rgb:parts:actions, such as road:128,64,128::; "
            f"received {line[:100]!r}. Correct it, or write the classes into a classes.txt."
        )
    return name.strip(), tuple(map(int, colour))


def _checked(file: pathlib.Path, lines: dict[int, tuple[str, Colour | None]]) -> Classes:
    coloured = any(colour for _, colour in lines.values())
    void = None
    for number, (name, colour) in lines.items():
        where = f"{file}, line {number}"
        if not name.isprintable() or len(name) > MAX_NAME:
            raise DataError(
                f"{where}: a class name has at most {MAX_NAME} printable characters; received "
                f"{len(name)}, beginning with {name[:20]!r}. Rename the class."
            )
        if _NO_NAME.fullmatch(name):
            raise DataError(
                f"{where}: a comment has a line of its own that begins with #, and a colour is R G "
                f"B or #RRGGBB; received {name!r}. Move the comment, or write the colour so."
            )
        if name == "__ignore__":  # LabelMe's first line
            raise DataError(
                f"{where}: void is 255 and no class; received {name!r}. Delete the line; in masks "
                "its pixels are 255."
            )
        if coloured and (colour is None or max(colour) > 255):
            raise DataError(
                f"{where}: each class has a colour of three numbers from 0 to 255, or none has "
                f"one; {name!r} has {colour or 'none'}. Write NAME R G B."
            )
        if void:
            raise DataError(
                f"{where}: a line {VOID!r} with a colour is the last one, since it counts as no "
                f"class; {name!r} follows it. Move it to the end."
            )
        void = colour if coloured and name.lower() == VOID else None
    rows = list(lines.values())[: -1 if void else None]
    names = tuple(name for name, _ in rows)
    colours = tuple(colour for _, colour in rows)
    for what, values in (("names", names), ("colours", (*colours, void) if coloured else ())):
        twice = [value for value in values if value and values.count(value) > 1]
        if twice or not 2 <= len(names) <= IGNORE_LABEL:
            raise DataError(
                f"{file}: 2 to {IGNORE_LABEL} classes have different {what}; received {len(names)}"
                f"{f', with {twice[0]} twice' if twice else ''}. {_REMEDY}"
            )
    if not coloured:
        return Classes(names)
    return Classes(names, colours, void) if void else Classes(names, colours)
