"""Images to check an export with: of a file, of a folder, or made."""

import pathlib

import numpy as np
from PIL import Image

MAX_IMAGES = 100

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")  # of others, Pillow starts programs for some
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def read_image(
    file: str | pathlib.Path, channels: int, size: tuple[int, int] | None = None
) -> np.ndarray:
    """An image of a file, uint8 `[1, h, w, channels]`, scaled to `size` if one is given.

    Raises:
        ValueError: The file cannot be read as an image, or the model does not take grey or RGB.
    """
    if channels not in (1, 3):
        raise ValueError(
            f"An image file is grey or RGB; the model takes {channels} channels. Pass arrays: "
            "images= and representative= of exports.export."
        )
    try:
        with Image.open(file, formats=_FORMATS) as picture:
            picture = picture.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"An image is a file such as a PNG or a JPEG; {file} cannot be read ({error}). "
            "Pass another one, or none."
        ) from error
    image = np.asarray(picture).reshape(1, picture.height, picture.width, channels)
    return image if size is None else scaled(image, size)


def read_folder(folder: str | pathlib.Path, channels: int, size: tuple[int, int]) -> np.ndarray:
    """At most 100 images of a folder, spread over it, uint8 `[n, *size, channels]`, scaled.

    Raises:
        ValueError: The folder holds no images, or one that cannot be read.
    """
    files = sorted(
        path for path in pathlib.Path(folder).glob("*") if path.suffix.lower() in _SUFFIXES
    )
    if not files:
        raise ValueError(
            f"Representative images are the image files of a folder ({', '.join(sorted(_SUFFIXES))}"
            f"); {folder} holds none. Pass the folder in which they lie."
        )
    spread = np.linspace(0, len(files) - 1, min(len(files), MAX_IMAGES)).round().astype(int)
    return np.concatenate([read_image(files[index], channels, size) for index in spread])


def scaled(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images uint8 `[n, h, w, channels]`, scaled to a height and a width."""
    if images.shape[1:3] == size:
        return images
    height, width = size
    channels = [
        [np.asarray(Image.fromarray(channel).resize((width, height))) for channel in image]
        for image in np.moveaxis(images, -1, 1)
    ]
    return np.moveaxis(np.array(channels), 1, -1)


def textures(count: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Images uint8 `[count, h, w, channels]`, the same every time, in which much differs.

    Patches of flat colours, stripes and noise, of many brightnesses: a network that sees several
    classes in anything sees them here.
    """
    rng = np.random.default_rng(8)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    patch = 3 * (rows * 3 // height) + columns * 3 // width
    images = np.empty((count, height, width, channels))
    for image in images:
        base, swing = rng.uniform(0, 255, (9, channels)), rng.uniform(0, 120, (9, channels))
        period, tilt = rng.uniform(3, 24, 9), rng.uniform(-1, 1, 9)
        wave = np.sin(2 * np.pi * (columns + tilt[patch] * rows) / period[patch])
        grain = rng.normal(0, 1, size) * (patch % 3 == 0)
        image[:] = base[patch] + swing[patch] * (wave + grain)[..., None]
    return np.clip(np.round(images), 0, 255).astype(np.uint8)
