"""Lists of boxes in the images of a data set, one text file each: zoo/inference/boxes.py says how.

More numbers may follow those of the box.
"""

import concurrent.futures
import os
import pathlib
from collections.abc import Callable

import numpy as np

from recipes.data.dataset import DataError, Dataset
from recipes.data.lists import read_lines
from zoo import files
from zoo.inference.boxes import BOX, Boxes, of_lines
from zoo.progress import told

OBJECT = (*BOX, "NUMBER", "CLASS")  # NUMBER: of the object in its image

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
    lines = read_lines(file, remedy=_REMEDY).values()
    try:
        found = of_lines(lines, where=str(file), columns=columns)
    except ValueError as error:
        raise DataError(str(error).removesuffix("Correct it.") + _REMEDY) from error
    lacking = [name for name in names if name not in found]
    if lacking:
        raise DataError(
            f"{file}: each image has a line; {len(lacking)} of {len(names)} images have none, "
            f"such as {lacking[0]}. {_REMEDY}"
        )
    return {name: found[name] for name in names}
