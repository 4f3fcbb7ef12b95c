"""The grey images of the ISBI challenges that U-Net was made for: membranes or moving cells.

EM segmentation, 2012: 30 sections of a fly's nerve cord; classes membrane and cell.

    train-volume.tif            pages of 512×512, 8-bit grey
    train-labels.tif            as many pages: 0 on membranes, which are class 0, and 255 in cells

or the same sections as files, as others keep them (`data/membrane/train` of zhixuhao/unet):

    image/0.png … image/29.png  512×512, 8-bit grey
    label/0.png … label/29.png  0 and 255

The last fifth of the pages or numbers, a separate block of the tissue, is the split "val". (The 30
files were not compared with the stacks. Each image is most like one whose number is next to its
own, or two away: they seem to be in the order of the tissue. Their labels hold 0 and 255 only.)

Cell tracking (PhC-C2DH-U373 or DIC-C2DH-HeLa, unpacked); classes background and cell.

    01/t000.tif                 the frames of a film, 8-bit grey; likewise 02/…
    01_GT/SEG/man_seg000.tif    the cells of some of them, 16 bits: 0, or the number of the cell

The last fifth of the annotated frames of each film is "val". Where two cells touch, the pixels
next to the other cell become background, so that the class map tells the cells apart. Frames need
not number all of their cells: cells without a number are background.

The EM data come from https://imagej.net/events/isbi-2012-segmentation-challenge and are free for
making and testing non-commercial segmentation software (Cardona et al., "An Integrated Micro- and
Macroarchitectural Analysis of the Drosophila Brain", PLoS Biology 2010). The films come from
http://celltrackingchallenge.net/2d-datasets; other uses than the challenge need permission.
"""

import pathlib
import re
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from recipes.data.dataset import DataError, Dataset, pair
from zoo.images import pages_of, read_class_map, read_image, read_numbers

_MAX_NUMBER = 2**16 - 1


class _Section(NamedTuple):
    """The image and the label of a section, each with its page in a stack; None in a file alone."""

    image: pathlib.Path
    label: pathlib.Path
    page: int | None


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The splits of the folder that holds train-volume.tif, or image and label, or 01 and 01_GT.

    Each has `instances`: the numbers of the cells.

    Raises:
        DataError: The folder holds none of them, the pages of the two stacks do not match, or the
            name of a PNG file is no number.
        ImageError: A stack cannot be read.
    """
    if (data_dir / "train-volume.tif").exists():
        return _membranes(data_dir, _pages(data_dir))
    if (data_dir / "image").is_dir() and (data_dir / "label").is_dir():
        return _membranes(data_dir, _files(data_dir))
    labels = sorted(data_dir.glob("*_GT/SEG/man_seg[0-9]*.tif"))
    if labels:
        return _cells(labels)
    raise DataError(
        f"{data_dir} has no ISBI layout: there is no train-volume.tif, no image/0.png with "
        "label/0.png, and no 01_GT/SEG/man_seg000.tif. Pass the folder that holds one of them as "
        "the data folder."
    )


def _pages(folder: pathlib.Path) -> list[_Section]:
    image, label = folder / "train-volume.tif", folder / "train-labels.tif"
    pages, labels = pages_of(image), pages_of(label)
    if labels != pages:
        raise DataError(
            f"{label}: each page of {image.name} has its label; it has {labels} pages, and "
            f"{image.name} has {pages}. Replace one of them."
        )
    return [_Section(image, label, page) for page in range(pages)]


def _files(folder: pathlib.Path) -> list[_Section]:
    """The sections of all numbers of images or labels: `verify` names a file that is missing."""
    numbers = set()
    for part in ("image", "label"):
        for file in (folder / part).glob("*.png"):
            if file.name.startswith("."):  # systems add hidden files of their own
                continue
            if not re.fullmatch(r"0|[1-9][0-9]*", file.stem, re.ASCII):
                raise DataError(
                    f"{file}: the sections are numbered, 0.png, 1.png and so on; received "
                    f"{file.name!r}. Rename it, or take it out of the folder."
                )
            numbers.add(int(file.stem))
    return [
        _Section(folder / f"image/{number}.png", folder / f"label/{number}.png", None)
        for number in sorted(numbers)
    ]


def _membranes(folder: pathlib.Path, sections: list[_Section]) -> dict[str, Dataset]:
    first = len(sections) - _held_out(len(sections))

    def part(split: str, sections: list[_Section]) -> Dataset:
        def example(index: int) -> tuple[np.ndarray, np.ndarray]:
            image, label, page = sections[index]
            return pair(
                lambda: read_image(image, channels=1, page=page or 0, upright=True),
                lambda: _membrane_label(label, page),
            )

        def instances(index: int) -> np.ndarray:
            # Pixels with a common edge belong to one cell; a common corner does not join cells.
            _, label, page = sections[index]
            return ndimage.label(_membrane_label(label, page))[0].astype(np.int32)

        files = tuple(
            (_named(one.image, one.page), _named(one.label, one.page)) for one in sections
        )
        names = ("membrane", "cell")
        return Dataset("isbi", split, names, 1, _some(folder, files), example, instances)

    return {"train": part("train", sections[:first]), "val": part("val", sections[first:])}


def _named(file: pathlib.Path, page: int | None) -> str:
    return str(file) if page is None else f"{file} (page {page + 1})"


def _membrane_label(file: pathlib.Path, page: int | None) -> np.ndarray:
    label = read_class_map(file, page=page or 0)
    values = np.unique(label)
    if not set(values) <= {0, 255}:
        raise DataError(
            f"{_named(file, page)}: a label holds 0 on membranes and 255 in cells; it holds "
            f"{', '.join(str(value) for value in values if value not in (0, 255))} too. Replace "
            "it, or save it without smoothing."
        )
    return label // 255


def _cells(labels: list[pathlib.Path]) -> dict[str, Dataset]:
    films: dict[pathlib.Path, list[tuple[pathlib.Path, pathlib.Path]]] = {}
    for label in labels:
        truth = label.parents[1]
        film = truth.with_name(truth.name.removesuffix("_GT"))
        image = film / f"t{label.stem.removeprefix('man_seg')}.tif"
        films.setdefault(film, []).append((image, label))
    train = [pair for film in films.values() for pair in film[: -_held_out(len(film))]]
    val = [pair for film in films.values() for pair in film[-_held_out(len(film)) :]]

    def part(split: str, pairs: list[tuple[pathlib.Path, pathlib.Path]]) -> Dataset:
        def example(index: int) -> tuple[np.ndarray, np.ndarray]:
            return pair(
                lambda: read_image(pairs[index][0], channels=1, upright=True),
                lambda: (instances(index) > 0).astype(np.uint8),
            )

        def instances(index: int) -> np.ndarray:
            return _apart(_read_ids(pairs[index][1]))

        files = tuple((str(image), str(label)) for image, label in pairs)
        names = ("background", "cell")
        files = _some(labels[0].parents[2], files)
        return Dataset("isbi", split, names, 1, files, example, instances, background=0)

    return {"train": part("train", train), "val": part("val", val)}


def _read_ids(file: pathlib.Path) -> np.ndarray:
    ids = read_numbers(file)
    if ids.min() < 0 or ids.max() > _MAX_NUMBER:
        raise DataError(
            f"{file}: the number of a cell is 1 to {_MAX_NUMBER:,}, or 0 for none; it holds "
            f"{ids.min()} to {ids.max()}. Number the cells again."
        )
    return ids.astype(np.int32)


def _apart(ids: np.ndarray) -> np.ndarray:
    """The numbers without the pixels that have another cell among their eight neighbours."""
    highest = ndimage.maximum_filter(ids, 3)
    lowest = ndimage.minimum_filter(np.where(ids > 0, ids, _MAX_NUMBER), 3)
    return np.where(highest == lowest, ids, 0)


def _held_out(count: int) -> int:
    return max(1, count // 5)


def _some(folder: pathlib.Path, files: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if not files:
        raise DataError(
            f"{folder}: each split has at least one example, so there are at least two; this "
            "folder has one. Add labelled pages or frames."
        )
    return files
