"""Images to check an export with, and to quantize it: of a folder, or made."""

import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from zoo.images import ENDINGS, read_image

MAX_IMAGES = 100


def read_folder(folder: str | pathlib.Path, channels: int, size: tuple[int, int]) -> np.ndarray:
    """At most 100 images of a folder, spread over it, uint8 `[n, *size, channels]`, scaled.

    Raises:
        ValueError: The folder holds no images.
        zoo.images.ImageError: One cannot be read, or has other channels.
    """
    files = sorted(
        path
        for path in pathlib.Path(folder).glob("*")
        # Systems add hidden files of their own, such as ._NAME.jpg on a Mac's disk.
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )
    if not files:
        raise ValueError(
            f"Representative images are the image files of a folder ({', '.join(ENDINGS)}); "
            f"{folder} holds none. Pass the folder in which they lie, or on the command line the "
            "name of a data set, as zoo verify --help lists them."
        )
    read = (read_image(files[index], channels=channels) for index in spread(len(files)))
    return of_size(read, size)


def spread(count: int) -> list[int]:
    """The indices of at most 100 of so many images, spread over them."""
    return np.linspace(0, count - 1, min(count, MAX_IMAGES)).round().astype(int).tolist()


def of_size(images: Iterable[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Images uint8 `[h, w, channels]` of any sizes, scaled to one, `[n, *size, channels]`."""
    return np.concatenate([scaled(image[None], size) for image in images])


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
