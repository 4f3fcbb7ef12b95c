"""Data sets whose splits are lists of names, with an image file and a label file for each name."""

import functools
import pathlib
import unicodedata
from collections.abc import Callable

import numpy as np

from recipes.data.dataset import DataError, Dataset, pair
from recipes.data.lists import Entry, read_entries
from zoo.images import read_image as read_any


def read_rgb(file: pathlib.Path) -> np.ndarray:
    """An image of a pair, uint8 `[h, w, 3]`; errors as `zoo.images.read_image`."""
    return read_any(file, channels=3, upright=True)


def listed(
    folder: pathlib.Path,
    lists: tuple[str, ...],
    *,
    name: str,
    split: str,
    class_names: tuple[str, ...],
    image: str,
    label: str,
    read_label: Callable[[pathlib.Path], np.ndarray],
    remedy: str,
    read_image: Callable[..., np.ndarray] = read_rgb,
    beside: tuple[str, ...] = (),
    root: str = "",
    **fields: object,
) -> Dataset:
    """The examples on one or more lists, in their order.

    Args:
        folder: Of the data set.
        lists: Paths in it of lists, as `recipes.data.lists` describes them.
        name: The name of the data set.
        split: "train" or "val".
        class_names: In the order of the classes.
        image: The path of an image in the folder, with {} for the name.
        label: The path of a label likewise, where the list does not give it.
        read_label: Reads a label file: uint8 `[h, w]`.
        remedy: What to do if a list is missing: one sentence.
        read_image: Reads an image file, and those beside it: `[h, w, channels]`; RGB by default.
        beside: Paths of further images of each example, as `image`.
        root: What the lists call the folder of the data set, if they were written on another
            machine: of a path in them only what follows this name counts.
        **fields: More of `Dataset`.

    Raises:
        DataError: As `read_entries`; or an image on a list is in another folder.
    """
    entries = read_entries(*(folder / one for one in lists), remedy=remedy)
    if root:
        entries = [
            entry._replace(
                image=_below(root, entry.image), label=entry.label and _below(root, entry.label)
            )
            for entry in entries
        ]
    files = tuple(
        (
            str(_image(entry, folder / image.format(entry.name))),
            str(stored(folder / (_relative(entry.label) or label.format(entry.name)))),
            *(str(stored(folder / other.format(entry.name))) for other in beside),
        )
        for entry in entries
    )
    example = functools.partial(_example, files, read_image, read_label)
    fields = {"channels": 3, **fields}
    return Dataset(name, split, class_names, files=files, example=example, **fields)


def stored(path: pathlib.Path) -> pathlib.Path:
    """The path as the disk has it, where it writes letters with accents in another way (NFD)."""
    if not path.name.isascii() and not path.exists():
        for form in ("NFC", "NFD"):
            other = path.with_name(unicodedata.normalize(form, path.name))
            if other.exists():
                return other
    return path


def _image(entry: Entry, expected: pathlib.Path) -> pathlib.Path:
    """The file of a line: with its ending if there is such a file, else with the data set's."""
    given = entry.image.parent.parts
    given = given[1:] if given[:1] == ("/",) else given
    if given and expected.absolute().parent.parts[-len(given) :] != given:
        raise DataError(
            f"{entry.where}: the images are in {expected.parent}; received {str(entry.image)!r}. "
            f"Write {entry.name!r}, and put the image there."
        )
    as_written = expected.with_suffix(entry.image.suffix)
    if entry.image.name != entry.name and as_written.exists():
        return as_written
    return stored(expected)


def _below(root: str, path: pathlib.PurePosixPath) -> pathlib.PurePosixPath:
    """What follows the last folder of this name in a path; all of it where there is none."""
    *folders, name = path.parts
    while root in folders:
        folders = folders[folders.index(root) + 1 :]
    return pathlib.PurePosixPath(*folders, name)


def _relative(path: pathlib.PurePosixPath | None) -> str:
    return str(path).lstrip("/") if path else ""


def _example(
    files: tuple[tuple[str, ...], ...],
    read_image: Callable[..., np.ndarray],
    read_label: Callable[[pathlib.Path], np.ndarray],
    index: int,
) -> tuple[np.ndarray, np.ndarray]:
    image, label, *beside = map(pathlib.Path, files[index])
    return pair(lambda: read_image(image, *beside), lambda: read_label(label))
