"""Scorers of NumPy for the tests of inference: place and colours decide, so that views differ."""

import numpy as np

from zoo.inference.scorers import CLASSES, PROBABILITIES, SCORES, Scorer
from zoo.spec import Spec

NAMES = ("sky", "road", "tree")


def linear(images: np.ndarray, *, classes: int = 3, seed: int = 0) -> np.ndarray:
    """Scores of a pixel's colours, its right neighbour's, and its place from the top left."""
    rng = np.random.default_rng(seed)
    images = np.asarray(images, np.float32) / 255
    kernel = rng.normal(0, 3, (2, images.shape[-1], classes))
    beside = np.concatenate([images[:, :, 1:], images[:, :, -1:]], 2)
    rows, columns = np.indices(images.shape[1:3])[..., np.newaxis] / 50
    place = rows * rng.normal(size=classes) + columns * rng.normal(size=classes)
    return (images @ kernel[0] + beside @ kernel[1] + place).astype(np.float32)


def softmax(scores: np.ndarray) -> np.ndarray:
    parts = np.exp(scores.astype(float))
    return parts / parts.sum(-1, keepdims=True)


def numpy_scorer(
    *,
    gives: str = PROBABILITIES,
    names: tuple[str, ...] | None = NAMES,
    classes: int = 3,
    channels: int = 3,
    seed: int = 0,
    margin: int = 5,
    stride: int = 4,
    **fields,
) -> Scorer:
    def answer(images):
        scores = linear(images, classes=classes, seed=seed)
        if gives == CLASSES:
            return (scores == scores.max(-1, keepdims=True)).astype(np.float32)
        return scores if gives == SCORES else softmax(scores).astype(np.float32)

    spec = Spec("double", {"classes": classes, "channels": channels}, names)
    return Scorer(answer, spec, margin, stride, gives, **fields)


def image_of(height: int = 21, width: int = 30, channels: int = 3, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
