"""Random changes of an image together with its label; labels are never interpolated.

The changes are made in the order of AUGMENTATIONS, and only a change that is asked for draws random
numbers: the result is a function of the generator. For speed a scaled image is computed only inside
the crop, and brightness is looked up in a table of 256 values.
"""

import numpy as np
from PIL import Image

from recipes.data import elastic
from recipes.data.dataset import IGNORE_LABEL

AUGMENTATIONS = {
    "scale": "scales by 0.5 to 2, before the crop",
    "elastic": "deforms by a smooth random field, as U-Net",
    "flip": "mirrors left and right, every second time",
    "turn": "turns by a random multiple of 90°",
    "light": "multiplies the brightness by 0.7 to 1.3 and adds −25 to 25",
    "colour": "multiplies each channel by 0.8 to 1.2 of its own",
}


def augmented(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    *,
    crop: int,
    augment: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """A random view of an image and of its label.

    Args:
        rng: Source of all random numbers.
        image: uint8 or float32 `[h, w, channels]`; stays as it is. Light and colour change uint8
            only.
        label: Whole numbers `[h, w]` whose lowest 8 bits are the class; stays as it is.
        crop: Height and width of the view; 0 for the whole image. A smaller image is extended by
            its edge pixels, and its label by void.
        augment: Names in AUGMENTATIONS.
    """
    size = label.shape
    if "scale" in augment:
        factor = 2 ** rng.uniform(-1, 1)
        size = tuple(max(1, round(side * factor)) for side in size)
    window = _window(rng, crop, size) if crop else tuple(slice(0, side) for side in size)
    if "scale" in augment:
        image, label = _blended(image, size, window), _nearest(label, size, window)
    else:
        image, label = image[window], label[window]
    if crop and label.shape != (crop, crop):
        short = [(0, crop - side) for side in label.shape]
        image = np.pad(image, (*short, (0, 0)), mode="edge")
        label = np.pad(label, short, constant_values=IGNORE_LABEL)
    if "elastic" in augment:
        image, label = elastic.deform(rng, image, label)
    if "flip" in augment and rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    if "turn" in augment:
        turns = int(rng.integers(4))
        image, label = np.rot90(image, turns), np.rot90(label, turns)
    image = _compact(image)
    if "light" in augment:
        image = _lit(np.arange(256) * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25), image)
    if "colour" in augment:
        image = _coloured(rng.uniform(0.8, 1.2, image.shape[-1]), image)
    return image, label


def _window(rng: np.random.Generator, crop: int, size: tuple[int, int]) -> tuple[slice, slice]:
    """A square, drawn uniformly where it fits; of a smaller image the whole side."""
    starts = [int(rng.integers(max(side - crop, 0) + 1)) for side in size]
    return tuple(
        slice(start, min(start + crop, side)) for start, side in zip(starts, size, strict=True)
    )


def _blended(image: np.ndarray, size: tuple[int, int], window: tuple[slice, slice]) -> np.ndarray:
    """The window of the image scaled to a size; each pixel is the mean of the area it covers."""
    (top, bottom), (left, right) = (
        (part.start * side / length, min(part.stop * side / length, side))
        for part, side, length in zip(window, image.shape[:2], size, strict=True)
    )
    height, width = (part.stop - part.start for part in window)
    # Pillow scales three channels at once; it would take four for RGB with transparency.
    is_rgb = image.shape[-1] == 3 and image.dtype == np.uint8
    planes = [image] if is_rgb else np.moveaxis(image, -1, 0)
    scaled = [
        Image.fromarray(plane).resize(
            (width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        for plane in planes
    ]
    return np.dstack(scaled)


def _nearest(label: np.ndarray, size: tuple[int, int], window: tuple[slice, slice]) -> np.ndarray:
    """The window of the label scaled to a size; each pixel has the value at its centre."""
    rows, columns = (
        ((np.arange(part.start, part.stop) + 0.5) * side / length).astype(int)
        for part, side, length in zip(window, label.shape, size, strict=True)
    )
    return label[rows][:, columns]


def _lit(brightness: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The image with each of its 256 values replaced by `brightness[value]`."""
    table = np.clip(np.rint(brightness), 0, 255).astype(np.uint8)
    rows = Image.fromarray(image.reshape(len(image), -1))
    return np.asarray(rows.point(table.tolist())).reshape(image.shape)


def _coloured(factors: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The image with each channel multiplied by its factor."""
    # By rows: NumPy is slow where the last axis is short.
    rows = image.reshape(len(image), -1) * np.tile(factors.astype(np.float32), image.shape[1])
    np.minimum(np.rint(rows, out=rows), 255, out=rows)
    return rows.astype(np.uint8).reshape(image.shape)


def _compact(image: np.ndarray) -> np.ndarray:
    """The image as a C-contiguous array."""
    if image.flags.c_contiguous:
        return image
    copy = np.empty(image.shape, image.dtype)
    for channel in range(image.shape[-1]):  # four times as fast as one copy of all
        copy[..., channel] = image[..., channel]
    return copy
