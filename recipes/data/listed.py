"""Data sets whose splits are lists of names, with an image file and a label file for each name."""

import functools
import pathlib
from collections.abc import Callable

import numpy as np

from recipes.data.dataset import DataError, Dataset, pair
from zoo.images import read_image as read_any


def read_rgb(file: pathlib.Path) -> np.ndarray:
    """An image of a pair, uint8 `[h, w, 3]`; errors as `zoo.images.read_image`."""
    return read_any(file, channels=3, upright=True)


def listed(
    lists: tuple[pathlib.Path, ...],
    *,
    name: str,
    split: str,
    class_names: tuple[str, ...],
    image: Callable[[str], pathlib.Path],
    label: Callable[[str], pathlib.Path],
    read_label: Callable[[pathlib.Path], np.ndarray],
    remedy: str,
    read_image: Callable[[pathlib.Path], np.ndarray] = read_rgb,
    channels: int = 3,
    background: int | None = None,
) -> Dataset:
    """The examples on one or more lists, in their order.

    Args:
        lists: Text files with one name a line.
        name: The name of the data set.
        split: "train" or "val".
        class_names: In the order of the classes.
        image: Gives the image file of a name.
        label: Gives the label file of a name.
        read_label: Reads a label file: uint8 `[h, w]`.
        remedy: What to do if a list is missing: one sentence.
        read_image: Reads an image file: uint8 `[h, w, channels]`; RGB by default.
        channels: Of the images.
        background: The number of the background class, if there is one.

    Raises:
        DataError: A list is missing, is not text, or is empty.
    """
    names = [one for file in lists for one in read_lines(file, remedy=remedy)]
    files = tuple((str(image(one)), str(label(one))) for one in names)
    example = functools.partial(_example, files, read_image, read_label)
    return Dataset(name, split, class_names, channels, files, example, background=background)


def read_lines(file: pathlib.Path, *, remedy: str) -> list[str]:
    """The lines of a text file that are not blank, without the spaces around them.

    Raises:
        DataError: The file is missing, is not text, or is empty.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file. {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text ({error}). {remedy}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{file}: a list has at least one line; it is empty. {remedy}")
    return lines


def _example(
    files: tuple[tuple[str, str], ...],
    read_image: Callable[[pathlib.Path], np.ndarray],
    read_label: Callable[[pathlib.Path], np.ndarray],
    index: int,
) -> tuple[np.ndarray, np.ndarray]:
    image, label = map(pathlib.Path, files[index])
    return pair(lambda: read_image(image), lambda: read_label(label))
