"""Lists of boxes in the images of a data set, one text file each.

An image has a line for each of its boxes, or one line with its name if it has no box:

    NAME,X0,Y0,X1,Y1    pixels from 0 at the left and at the top; X1 and Y1 are outside the box
    NAME

More numbers may follow those of the box.
"""

import array
import concurrent.futures
import os
import pathlib
import re
from collections.abc import Callable

import numpy as np

from recipes.data.dataset import DataError, Dataset
from recipes.data.lists import read_lines
from zoo import files
from zoo.progress import told

BOX = ("X0", "Y0", "X1", "Y1")
OBJECT = (*BOX, "NUMBER", "CLASS")  # NUMBER: of the object in its image

Boxes = dict[str, np.ndarray]
"""By the name of an image: int32 `[boxes, columns]`, such as those of BOX or OBJECT."""

_REMEDY = "Correct it, or delete the file: it is then written again."


def name_of(source: Dataset, index: int) -> str:
    """The name of an image of a split in a list."""
    return pathlib.Path(source.files[index][0]).stem


def kept(
    file: pathlib.Path,
    splits: dict[str, Dataset],
    find: Callable[[Dataset, int], np.ndarray],
    *,
    columns: tuple[str, ...],
    text: str,
) -> Boxes:
    """Reads the boxes in a list; writes the list first if it does not exist.

    Args:
        file: The list.
        splits: The splits whose images are on the list.
        find: Finds the boxes of the image at an index of a split, int32 `[boxes, columns]`.
        columns: The names of the numbers of a line.
        text: Shown while boxes are searched.

    Raises:
        DataError: The list cannot be read or written, lacks an image, or holds something else.
    """
    images = [(source, index) for source in splits.values() for index in range(len(source))]
    try:
        if not file.exists():
            files.write_text(file, _found(images, find, text))
    except OSError as error:
        raise DataError(
            f"{file}: the list of boxes is written to this file ({error}). Make its folder "
            "writable."
        ) from error
    return _read(file, [name_of(*image) for image in images], columns)


def _found(images: list[tuple[Dataset, int]], find: Callable, text: str) -> str:
    """The text of a new list."""
    lines = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda image: find(*image), images)
        for image, boxes in zip(images, told(found, text, len(images)), strict=True):
            name = name_of(*image)
            lines += [",".join(map(str, (name, *box))) for box in boxes] or [name]
    return "\n".join(lines) + "\n"


def _read(file: pathlib.Path, names: list[str], columns: tuple[str, ...]) -> Boxes:
    line_of = re.compile(rf"[^,]+((,-?\d{{1,9}}){{{len(columns)}}})?")
    found: dict[str, array.array] = {}
    for line in read_lines(file, remedy=_REMEDY).values():
        name, *numbers = line.split(",")
        box = [int(number) for number in numbers] if line_of.fullmatch(line) else [0] * 4
        if box and not (box[0] < box[2] and box[1] < box[3]):
            raise DataError(
                f"{file}: a line is {','.join(('NAME', *columns))} with X0 below X1 and Y0 below "
                f"Y1, or NAME only; received {line[:100]!r}. {_REMEDY}"
            )
        found.setdefault(name, array.array("i")).extend(box)
    lacking = [name for name in names if name not in found]
    if lacking:
        raise DataError(
            f"{file}: each image has a line; {len(lacking)} of {len(names)} images have none, "
            f"such as {lacking[0]}. {_REMEDY}"
        )
    return {name: np.array(found[name], np.int32).reshape(-1, len(columns)) for name in names}
