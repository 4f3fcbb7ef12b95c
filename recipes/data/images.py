"""Reads image and label files with Pillow, within a limit of pixels."""

import contextlib
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from recipes.data.dataset import DataError

MAX_PIXELS = 2**26  # 8192²; Pillow itself warns from 89 and refuses from 179 million pixels on


def read_image(file: pathlib.Path, *, channels: int = 3, page: int = 0) -> np.ndarray:
    """An image as uint8 `[h, w, 3]` RGB, or `[h, w, 1]` grey; of a TIFF stack the given page.

    Raises:
        DataError: The file is missing, damaged or too large, has other than 8 bits per channel, or
            an EXIF orientation.
    """
    with opened(file, page=page) as image:
        if image.mode.startswith(("I", "F")):
            raise DataError(
                f"{file}: an image has 8 bits per channel; this one is stored as {image.mode!r}. "
                "Save it with 8 bits."
            )
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            raise DataError(
                f"{file}: an image is stored the way its label is; this one has an EXIF "
                "orientation that turns it. Save it turned, without that tag."
            )
        pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
        return pixels.reshape(*pixels.shape[:2], channels)


def read_label(file: pathlib.Path, *, page: int = 0) -> np.ndarray:
    """A label as uint8 `[h, w]`: the indices of a palette or grey image, not its colours.

    Raises:
        DataError: The file is missing, damaged or too large, or stores colours.
    """
    with opened(file, page=page) as image:
        if image.mode not in ("P", "L"):
            raise DataError(
                f"{file}: a label holds one class index per pixel; this one is stored as "
                f"{image.mode!r}. Save the indices as a palette (P) or 8-bit grey (L) PNG."
            )
        return np.asarray(image)


@contextlib.contextmanager
def opened(file: pathlib.Path, *, page: int = 0) -> Iterator[Image.Image]:
    """Opens an image at one of its pages; its pixels can be read inside the `with` block.

    Raises:
        DataError: There is no such file or page, or it is not an image, damaged or too large.
    """
    shown = f"{file} (page {page + 1})" if page else file
    try:
        with Image.open(file) as image:
            image.seek(page)
            # The header tells: a small file can declare more pixels than the memory holds.
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
    except Exception as error:  # for damaged bytes Pillow's readers raise errors of any kind
        why = error if file.stat().st_size else "it is empty"
        raise DataError(f"{shown}: cannot be read as an image ({why}). Replace it.") from error
