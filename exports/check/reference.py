"""What a file's answers are compared with: images, and the model's scores of them."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from exports.images import textures
from exports.runtimes.tensorflow import CPU

ANY_SIZE = (97, 131)
"""Of the textures for a file that takes any size; a multiple of no network's stride."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """Images and the model's scores of them.

    Args:
        images: uint8 `[n, h, w, channels]`.
        scores: Of each image alone, `[n, h, w, classes]`.
        scores_of: Gives the scores of other images, of any numeric type. A batch is summed in
            another order than its images one by one: compare only what was asked alike.
    """

    images: np.ndarray
    scores: np.ndarray
    scores_of: Callable[[np.ndarray], np.ndarray]

    def in_batches(self, max_batch: int) -> np.ndarray:
        """The scores of the images, computed in batches of at most `max_batch`."""
        if min(max_batch, len(self.images)) == 1:
            return self.scores
        starts = range(0, len(self.images), max_batch)
        parts = [self.images[start : start + max_batch] for start in starts]
        return np.concatenate([self.scores_of(part) for part in parts])

    def unsettled(self) -> float:
        """The share of the pixels whose class changes with the rounding of the image.

        Other engines may rightly give other classes there: a net with many layers and switches,
        such as DeconvNet, can amplify rounding to any size, above all in flat images.
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
        small = images[0].shape[0] * images[0].shape[1] < 32 * 32
        raise ValueError(
            "A file is checked with images in which the model sees two classes or more: equal "
            f"answers prove nothing where there is one. {name!r} gives class "
            f"{scores.argmax(-1).flat[0]} to every pixel of these. Pass "
            + "a size, or a limit of pixels, of 32 × 32 or more, or " * small
            + "images of your data: images=, or --image on the command line."
        )
    return Reference(images, scores, scores_of)
