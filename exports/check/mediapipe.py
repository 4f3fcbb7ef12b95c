"""The check of TFLite files for MediaPipe, in its ImageSegmenter."""

import pathlib
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from exports.check import reference
from exports.check.agreement import ROUNDING, Finding, MismatchError, NotChecked, near
from exports.graph import SERVING_DEFAULT
from exports.runtimes import process
from exports.runtimes.litert import runner
from zoo.quiet import without_chatter

MAX_SECONDS = 120  # a file that ImageSegmenter does not understand can hang it


def check_mediapipe(
    model: keras.Model,
    path: pathlib.Path,
    *,
    python: str | None = None,
    images: np.ndarray | None = None,
    max_disagreement: float | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares a file with the model in MediaPipe, in a process of its own.

    Args:
        model: The model that was exported.
        path: The file.
        python: A Python in which MediaPipe is installed; this one if None.
        images: uint8 `[n, h, w, 3]`, of the size of the file.
        max_disagreement: As `check_tflite` has it; without it the probabilities are compared, too.
        report: Called with a line on the answer, or on MediaPipe if it is missing.

    Raises:
        MismatchError: MediaPipe does not answer, or too many pixels have another class than the
            model's.
        OSError: `python` cannot be run.
    """
    with without_chatter():
        size = runner(path).get_input_details()["image"]["shape"][1:3]
    asked = reference.of_model(model, images, tuple(size))
    try:
        with process.loaded(path, "mediapipe", python=python, limit=MAX_SECONDS) as ask:
            answers = [ask(SERVING_DEFAULT, {"image": one[None]}).outputs for one in asked.images]
    except ImportError:
        found = NotChecked(
            "MediaPipe",
            f"it is not installed in {python or sys.executable}. Install it: pip install "
            '"segmentation-zoo[mediapipe]", or name a Python that has it: mediapipe_python=, or '
            "--mediapipe-python on the command line",
        )
    except (RuntimeError, ValueError, TimeoutError) as error:
        raise MismatchError(f"MediaPipe does not take the file: {error}") from error
    else:
        class_map = np.concatenate([answer["class_map"] for answer in answers])
        found = near("MediaPipe", "class_map", class_map, asked.scores, max_disagreement)
        probabilities = np.concatenate([answer["probabilities"] for answer in answers])
        expected = tf.nn.softmax(asked.scores).numpy()
        rounding = max(ROUNDING * np.ptp(asked.scores), ROUNDING)
        if max_disagreement is None and np.abs(probabilities - expected).max() > rounding:
            raise MismatchError("MediaPipe, probabilities: they are not the model's")
    report(str(found))
    return [found]
