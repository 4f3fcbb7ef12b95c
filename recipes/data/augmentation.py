"""Random changes of an image together with its label; labels are never interpolated.

The changes are made in the order of AUGMENTATIONS, and only a change that is asked for draws random
numbers: the result is a function of the generator. For speed an image is scaled and moved only
inside the crop, and brightness is looked up in a table of 256 values.
"""

import numpy as np
from PIL import Image

from recipes.data import moving
from recipes.data.dataset import IGNORE_LABEL

AUGMENTATIONS = {
    "scale": "scales by 0.5 to 2, before the crop",
    "shift": "shifts by up to a tenth of the height and width, before the crop",
    "rotate": "rotates by any angle",
    "elastic": "deforms by a smooth random field, as U-Net",
    "flip": "mirrors left and right, every second time",
    "turn": "turns by a random multiple of 90°",
    "light": "multiplies the brightness by 0.7 to 1.3 and adds −25 to 25",
    "colour": "multiplies each channel by 0.8 to 1.2 of its own",
}
SHIFT = 0.1  # of the height and the width, at most


def augmented(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    *,
    crop: int,
    augment: tuple[str, ...],
    context: tuple[int, int] = (0, 0),
) -> tuple[np.ndarray, np.ndarray]:
    """A random view of an image and of its label.

    What lies outside of the image is void in the label. With a context, a shift or a rotation the
    image is mirrored there, as U-Net does; else a smaller image than the crop is extended by its
    edge pixels.

    Args:
        rng: Source of all random numbers.
        image: uint8 or float32 `[h, w, channels]`; stays as it is. Light and colour change uint8
            only.
        label: Whole numbers `[h, w]` whose lowest 8 bits are the class; stays as it is.
        crop: Height and width of the view; 0 for the whole image.
        augment: Names in AUGMENTATIONS.
        context: Pixels of the image around the crop, before it and behind it along each axis; all
            changes move them with the crop. The label has none.
    """
    size = label.shape
    if "scale" in augment:
        factor = 2 ** rng.uniform(-1, 1)
        size = tuple(max(1, round(side * factor)) for side in size)
    shift = rng.uniform(-SHIFT, SHIFT, 2) * size if "shift" in augment else np.zeros(2)
    starts = _starts(rng, crop, size) - np.rint(shift).astype(int)
    # The same pixels on each side, so that a flip and a turn leave the crop in its place.
    around = max(context)
    shape = tuple((crop or side) + 2 * around for side in size)
    begins = starts - around
    places = None
    if "rotate" in augment:
        places = moving.rotated(shape, rng.uniform(0, 2 * np.pi))
        corner = np.floor(places.min((1, 2))).astype(int)
        reach = np.ceil(places.max((1, 2))).astype(int) + 1 - corner
        places -= corner[:, np.newaxis, np.newaxis]
    else:
        corner, reach = np.zeros(2, int), shape
    mirrored = around > 0 or "shift" in augment or "rotate" in augment
    image, label = _view(image, label, size, begins + corner, reach, mirrored=mirrored)
    if "elastic" in augment:
        places = (np.indices(shape) if places is None else places) + moving.elastic(rng, shape)
    if places is not None:
        image, label = moving.resampled(image, label, places)
    if "flip" in augment and rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    if "turn" in augment:
        turns = int(rng.integers(4))
        image, label = np.rot90(image, turns), np.rot90(label, turns)
    if around:
        before, behind = (around - pixels for pixels in context)
        image = image[before : shape[0] - behind, before : shape[1] - behind]
        label = label[around:-around, around:-around]
    image = _compact(image)
    if "light" in augment:
        image = _lit(np.arange(256) * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25), image)
    if "colour" in augment:
        image = _coloured(rng.uniform(0.8, 1.2, image.shape[-1]), image)
    return image, label


def _starts(rng: np.random.Generator, crop: int, size: tuple[int, int]) -> np.ndarray:
    """Where a square begins, drawn uniformly where it fits; at 0 along a side that is smaller."""
    if not crop:
        return np.zeros(2, int)
    return np.array([int(rng.integers(max(side - crop, 0) + 1)) for side in size])


def _view(
    image: np.ndarray,
    label: np.ndarray,
    size: tuple[int, int],
    begins: np.ndarray,
    shape: tuple[int, int],
    *,
    mirrored: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """A window of the image and the label scaled to a size, which may reach outside of them.

    Args:
        image: See `augmented`.
        label: See `augmented`.
        size: Height and width of the scaled image.
        begins: The first row and column of the window, in the scaled image.
        shape: Height and width of the window.
        mirrored: Mirror the image outside; else extend it by its edge pixels.
    """
    places = [np.arange(begin, begin + side) for begin, side in zip(begins, shape, strict=True)]
    sources = [
        _triangle(place, side) if mirrored else np.clip(place, 0, side - 1)
        for place, side in zip(places, size, strict=True)
    ]
    window = tuple(slice(int(source.min()), int(source.max()) + 1) for source in sources)
    if size == label.shape:
        image, label = image[window], label[window]
    else:
        image, label = _blended(image, size, window), _nearest(label, size, window)
    outside = [(place < 0) | (place >= side) for place, side in zip(places, size, strict=True)]
    if any(part.any() for part in outside):
        rows, columns = (source - part.start for source, part in zip(sources, window, strict=True))
        image, label = image[rows][:, columns], label[rows][:, columns]
        label[outside[0]] = IGNORE_LABEL
        label[:, outside[1]] = IGNORE_LABEL
    return image, label


def _triangle(place: np.ndarray, side: int) -> np.ndarray:
    """The row or column of a mirrored image at each place; its border itself is not repeated."""
    last = side - 1
    return last - np.abs(place % max(2 * last, 1) - last)


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
