"""PASCAL VOC: 20 classes of objects and background; and any data set in VOC's layout.

    JPEGImages/NAME.jpg
    SegmentationClass/NAME.png               palette PNG: class indices, and 255 around objects
    ImageSets/Segmentation/{train,val}.txt   one NAME a line

Download VOCtrainval_11-May-2012.tar from the PASCAL VOC challenge's site, unpack it, and pass
`--data-dir VOCdevkit/VOC2012`.

Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015.
"""

import contextlib
import functools
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from recipes.data.dataset import DataError, Dataset, pair
from zoo.class_names import CLASS_NAMES

MAX_PIXELS = 2**26  # 8192²; Pillow itself warns from 89 and refuses from 179 million pixels on


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """VOC's own splits from the folder that holds JPEGImages."""
    return read(data_dir, name="voc", class_names=CLASS_NAMES["voc"])


def read(folder: pathlib.Path, *, name: str, class_names: tuple[str, ...]) -> dict[str, Dataset]:
    """The splits "train" and "val" of a folder in VOC's layout.

    Raises:
        DataError: The folder has another layout, or a list of names is missing or empty.
    """
    return {split: _split(folder, name, split, class_names) for split in ("train", "val")}


def read_image(file: pathlib.Path, *, channels: int = 3, page: int = 0) -> np.ndarray:
    """An image as uint8 `[h, w, 3]` RGB, or `[h, w, 1]` grey; of a TIFF stack the given page."""
    with opened(file, page=page) as image:
        if image.mode.startswith(("I", "F")):
            raise DataError(
                f"{file}: an image has 8 bits per channel; this one is stored as {image.mode!r}. "
                "Save it with 8 bits."
            )
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            raise DataError(
                f"{file}: an image is stored the way its label is; this one is to be turned by its "
                "EXIF orientation. Save it turned, without that tag."
            )
        pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
        return pixels.reshape(*pixels.shape[:2], channels)


def read_label(file: pathlib.Path, *, page: int = 0) -> np.ndarray:
    """A label as uint8 `[h, w]`: the indices of a palette or grey image, not its colours."""
    with opened(file, page=page) as image:
        if image.mode not in ("P", "L"):
            raise DataError(
                f"{file}: a label holds one class index per pixel; this one is stored as "
                f"{image.mode!r}. Save the indices as a palette (P) or 8-bit grey (L) PNG."
            )
        return np.asarray(image)


@contextlib.contextmanager
def opened(file: pathlib.Path, *, page: int = 0) -> Iterator[Image.Image]:
    """An image that Pillow has opened, at one of its pages; its pixels may be read inside `with`.

    Raises:
        DataError: There is no such file or page, it is no image, is damaged, or is too large.
    """
    shown = f"{file} (page {page + 1})" if page else file
    try:
        with Image.open(file) as image:
            image.seek(page)
            # Known from the header: a small file can declare more pixels than there is memory.
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{shown}: an image has {MAX_PIXELS:,} pixels at most; this one has "
                    f"{image.width * image.height:,}. Cut it into tiles."
                )
            yield image
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(
            f"{file}: there is no such file. Add it, or take it off the list."
        ) from error
    except Exception as error:  # damaged bytes make Pillow's readers raise whatever comes of them
        why = error if file.stat().st_size else "it is empty"
        raise DataError(f"{shown}: cannot be read as an image ({why}). Replace it.") from error


def _split(folder: pathlib.Path, name: str, split: str, class_names: tuple[str, ...]) -> Dataset:
    names_file = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
    try:
        names = names_file.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise DataError(
            f"{folder} is not a data set in PASCAL VOC's layout: there is no {names_file}. Pass "
            "the folder that holds JPEGImages, SegmentationClass and ImageSets as --data-dir."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{names_file}: cannot be read as text ({error}). Write one name a line into it."
        ) from error
    if not names:
        raise DataError(f"{names_file} names no example. Write one name a line into it.")
    files = tuple(
        (
            str(folder / "JPEGImages" / f"{one}.jpg"),
            str(folder / "SegmentationClass" / f"{one}.png"),
        )
        for one in names
    )
    return Dataset(name, split, class_names, 3, files, functools.partial(_example, files))


def _example(files: tuple[tuple[str, str], ...], index: int) -> tuple[np.ndarray, np.ndarray]:
    image, label = files[index]
    return pair(lambda: read_image(pathlib.Path(image)), lambda: read_label(pathlib.Path(label)))
