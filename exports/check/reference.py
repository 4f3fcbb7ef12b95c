"""What a file is held to: images in which several classes occur, and the model's scores of them."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

CPU = "CPU:0"


@dataclasses.dataclass(frozen=True)
class Reference:
    """Images uint8 `[n, h, w, channels]`, their scores one by one, and what gives those of others.

    A batch is summed in another order than each of its images: compare what was asked alike.
    `scores_of` takes values that are no whole numbers, too.
    """

    images: np.ndarray
    scores: np.ndarray
    scores_of: Callable[[np.ndarray], np.ndarray]

    def in_batches(self, max_batch: int) -> np.ndarray:
        """The scores of the images in batches of so many."""
        if min(max_batch, len(self.images)) == 1:
            return self.scores
        starts = range(0, len(self.images), max_batch)
        parts = [self.images[start : start + max_batch] for start in starts]
        return np.concatenate([self.scores_of(part) for part in parts])

    def unsettled(self) -> float:
        """The fraction of the pixels whose class turns with a change that is no more than rounding.

        Other engines give other classes there, however right they are: a net with many layers and
        switches, as DeconvNet, can amplify rounding to any size, above all in flat images.
        """
        change = np.random.default_rng(0).normal(0, 1e-4, self.images.shape)
        changed = (self.images + change).astype(np.float32)
        turned = np.concatenate([self.scores_of(image[None]) for image in changed])
        return float(np.mean(turned.argmax(-1) != self.scores.argmax(-1)))


def of_model(model: keras.Model, images: np.ndarray | None, size: tuple[int, int]) -> Reference:
    """The scores of a model for images, or for textures of this size if None.

    Raises:
        ValueError: As `of_scores`.
    """

    def scores_of(images: np.ndarray) -> np.ndarray:
        with tf.device(CPU):
            return model(tf.constant(images, tf.float32), training=False).numpy()

    return of_scores(scores_of, model.name, model.input_shape[-1], images, size)


def of_scores(
    scores_of: Callable[[np.ndarray], np.ndarray],
    name: str,
    channels: int,
    images: np.ndarray | None,
    size: tuple[int, int],
) -> Reference:
    """The scores of images, or of textures of this size if None.

    Raises:
        ValueError: The images do not fit the model; its scores are not finite; it sees one class.
    """
    if images is None:
        images = textures(2, size, channels)
    fit = images.ndim == 4 and images.shape[-1] == channels and images.size
    if images.dtype != np.uint8 or not fit:
        raise ValueError(
            f"A file is checked with images uint8 [n, h, w, {channels}], at least one; received "
            f"{images.dtype} {list(images.shape)}. Convert them."
        )
    scores = np.concatenate([scores_of(image[None]) for image in images])
    if not np.isfinite(scores).all():
        raise ValueError(
            "A model that is exported gives finite scores; "
            f"{np.mean(~np.isfinite(scores)):.1%} of those of {name!r} are not. Its weights "
            "are damaged or its training diverged: take an earlier checkpoint."
        )
    if len(np.unique(scores.argmax(-1))) == 1:
        raise ValueError(
            "A file is checked with images in which the model sees two classes or more: equal "
            f"answers prove nothing where there is one. {name!r} gives class "
            f"{scores.argmax(-1).flat[0]} to every pixel of these. Pass images of your data: "
            "images=, or --image on the command line."
        )
    return Reference(images, scores, scores_of)


def read_image(file: str, channels: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """The picture to check with, uint8 `[1, h, w, channels]`, scaled to `size` if there is one.

    Raises:
        ValueError: The file cannot be read as a picture.
    """
    try:
        with Image.open(file) as picture:
            picture = picture.convert("L" if channels == 1 else "RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"A picture is a file such as a PNG or a JPEG; {file} cannot be read ({error}). "
            "Pass another one, or none."
        ) from error
    if size is not None:
        picture = picture.resize(size[::-1])
    return np.asarray(picture).reshape(1, picture.height, picture.width, channels)


def textures(count: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Images uint8 `[count, h, w, channels]`, the same every time, in which much differs.

    Patches of flat colours, stripes and noise, of many brightnesses: what one network takes for
    different classes, if anything does.
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
