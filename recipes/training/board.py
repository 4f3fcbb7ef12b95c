"""Events for TensorBoard: `tensorboard --logdir WORKDIR`."""

import contextlib
import dataclasses
import importlib.util
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image

import zoo.pictures
from recipes.data import Dataset
from recipes.scoring import Predictor

PICTURES = 4  # of the held-out split


@dataclasses.dataclass(frozen=True)
class Board:
    """Writes the events of a run, or nothing if TensorBoard is not installed."""

    writer: tf.summary.SummaryWriter

    def scalars(self, step: int, values: dict[str, float]) -> None:
        with self.writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def pictures(self, step: int, predict: Predictor, dataset: Dataset) -> None:
        """The first examples, each with its label on the left and its class map on the right."""
        palette = zoo.pictures.bright_palette()
        if dataset.colours:
            palette[: len(dataset.colours)] = dataset.colours
        with self.writer.as_default(step):
            for index in range(min(PICTURES, len(dataset))):
                image, label = dataset.example(index)
                left, right = (
                    zoo.pictures.overlay(
                        *(_visible(image), classes, dataset.class_names),
                        background=dataset.background,
                        palette=palette,
                    )
                    for classes in (label, predict(image))
                )
                # The legends list the classes that occur, so the heights may differ.
                size = left.width + right.width, max(left.height, right.height)
                both = Image.new("RGB", size, "white")
                both.paste(left, (0, 0))
                both.paste(right, (left.width, 0))
                tf.summary.image(f"label and answer {index}", np.asarray(both)[np.newaxis])


def _visible(image: np.ndarray) -> np.ndarray:
    """The image as uint8 with three channels or one: the first ones, floats over their range."""
    image = image[..., : 3 if image.shape[-1] >= 3 else 1]
    if image.dtype == np.uint8:
        return image
    low, high = image.min(), image.max()
    return np.rint(255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)


@contextlib.contextmanager
def opened(folder: pathlib.Path) -> Iterator[Board]:
    """Adds events to a folder; a resumed run repeats those after its checkpoint."""
    if importlib.util.find_spec("tensorboard"):
        writer = tf.summary.create_file_writer(str(folder))
    else:
        writer = tf.summary.create_noop_writer()
    with contextlib.closing(writer):
        yield Board(writer)
