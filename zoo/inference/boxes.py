"""Lists of boxes in images, one text file for many images.

An image has a line for each of its boxes, or one line with its name if it has no box:

    NAME,X0,Y0,X1,Y1    pixels from 0 at the left and at the top; X1 and Y1 are outside the box
    NAME

NAME is the name of the image's file without its ending.
"""

import array
import os
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from zoo import files

BOX = ("X0", "Y0", "X1", "Y1")

Boxes = dict[str, np.ndarray]
"""By the name of an image: int32 `[boxes, columns]`, such as those of BOX."""


def read(file: str | os.PathLike) -> Boxes:
    """The boxes in a list, of each image in the order of the lines: the most likely first.

    Blank lines, and lines that begin with #, do not count.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not text, or a line is no box.
    """
    try:
        text = files.decoded(pathlib.Path(file).read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: cannot be read as text ({error}). Save it as UTF-8.") from error
    lines = map(str.strip, text.splitlines())
    return of_lines((line for line in lines if line[:1] not in ("", "#")), where=str(file))


def of_lines(lines: Iterable[str], *, where: str, columns: tuple[str, ...] = BOX) -> Boxes:
    """The boxes in the lines of a list.

    Args:
        lines: Without the ends.
        where: The file, for messages.
        columns: The names of the numbers of a line, those of BOX first.

    Raises:
        ValueError: A line is no box; the message says which.
    """
    line_of = re.compile(rf"[^,]+((,-?\d{{1,9}}){{{len(columns)}}})?")
    found: dict[str, array.array] = {}
    for line in lines:
        name, *numbers = line.split(",")
        box = [int(number) for number in numbers] if line_of.fullmatch(line) else [0] * 4
        if box and not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(
                f"{where}: a line is {','.join(('NAME', *columns))} with X0 below X1 and Y0 below "
                f"Y1, or NAME only; received {line[:100]!r}. Correct it."
            )
        found.setdefault(name, array.array("i")).extend(box)
    return {name: np.array(box, np.int32).reshape(-1, len(columns)) for name, box in found.items()}
