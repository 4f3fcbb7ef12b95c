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
from recipes.training.checkpoints import first_line
from zoo.terminal import tell

PICTURES = 4  # of the held-out split
MAX_SIDE = 1024  # pixels; of a larger image its middle is scored and shown


@dataclasses.dataclass
class Board:
    """Writes the events of a run; nothing without TensorBoard, or once they cannot be written."""

    writer: tf.summary.SummaryWriter | None

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if self.writer is None:
            return
        with self._writing(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def pictures(self, step: int, predict: Predictor, dataset: Dataset, *, head: str = "") -> None:
        """The first examples, each with its label on the left and its class map on the right.

        `head` names a further head of a net, whose pictures have its name.
        """
        palette = zoo.pictures.with_colours(zoo.pictures.bright_palette(), dataset.colours)
        for index in range(min(PICTURES, len(dataset))):
            if self.writer is None:
                return
            image, label = (_middle(array) for array in dataset.example(index))
            left, right = (
                zoo.pictures.overlay(
                    *(zoo.pictures.visible(image), classes),
                    dataset.class_names,
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
            with self._writing(step):
                name = f"{head} label and answer {index}".strip()
                tf.summary.image(name, np.asarray(both)[np.newaxis])

    @contextlib.contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        with self._harmless(), self.writer.as_default(step):
            yield
            self.writer.flush()  # here and not later, where an error would end the run

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """Tells an error, once, and goes on without events: what they show is in the tables."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            tell(
                f"TensorBoard's events can no longer be written ({first_line(error)}); the run "
                "goes on without them"
            )
            self.writer = None


def _middle(array: np.ndarray) -> np.ndarray:
    starts = (max(side - MAX_SIDE, 0) // 2 for side in array.shape[:2])
    return array[tuple(slice(start, start + MAX_SIDE) for start in starts)]


@contextlib.contextmanager
def opened(folder: pathlib.Path) -> Iterator[Board]:
    """Adds events to a folder; a resumed run repeats those after its checkpoint."""
    board = Board(None)
    if importlib.util.find_spec("tensorboard"):
        with board._harmless():
            board.writer = tf.summary.create_file_writer(str(folder))
    try:
        yield board
    finally:
        with board._harmless():
            if board.writer is not None:
                board.writer.close()
