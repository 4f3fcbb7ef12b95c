"""The check of files for other runtimes, which have one signature: `image` to `class_map`."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from exports.check import reference
from exports.check.agreement import Agreement, near
from exports.graph import SERVING_DEFAULT
from exports.runtimes import process


def check_class_map(
    model: keras.Model,
    path: pathlib.Path,
    *,
    runtime: str,
    loader: str,
    size: tuple[int, int] | None,
    dtype: str,
    images: np.ndarray | None = None,
    max_disagreement: float | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Agreement]:
    """Compares a file with the model, in a process of its own.

    A file for images of any size is asked about two sizes.

    Args:
        model: The model that was exported.
        path: The file.
        runtime: Its runtime's name, for messages.
        loader: The module of `exports.runtimes` that loads it.
        size: Height and width of the images it takes; None for any.
        dtype: The type of the images it takes.
        images: uint8 `[n, h, w, channels]` of that size; two textures if None.
        max_disagreement: The share of the pixels that may have another class; None for a file in
            float32, which must agree but for rounding.
        report: Called with a line on the answer that agrees.

    Raises:
        MismatchError: An answer is not the model's.
        exports.runtimes.UnableError: The runtime cannot run the graph.
        ValueError: The images do not fit; the model's scores are not finite; it sees one class.
    """
    asked = reference.of_model(model, images, size or reference.ANY_SIZE)
    with process.loaded(path, loader) as ask:

        def compared(images: np.ndarray, scores: np.ndarray) -> Agreement:
            answer = ask(SERVING_DEFAULT, {"image": images.astype(dtype)}).outputs
            return near(runtime, "class_map", answer["class_map"], scores, max_disagreement)

        if size is None:
            part = asked.images[:1, asked.images.shape[1] // 3 :, asked.images.shape[2] // 4 :]
            compared(part, asked.scores_of(part))
        found = compared(asked.images, asked.scores)
    report(str(found))
    return [found]
