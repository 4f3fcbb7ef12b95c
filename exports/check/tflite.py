"""The check of TFLite files, in the LiteRT interpreter."""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from exports.check import reference
from exports.check.agreement import Agreement, near
from exports.runtimes.litert import runner
from zoo.quiet import without_chatter


def check_tflite(
    model: keras.Model,
    path: pathlib.Path,
    *,
    images: np.ndarray | None = None,
    max_disagreement: float | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Agreement]:
    """Compares a TFLite file with the model, in the LiteRT interpreter.

    A file for images of any size is asked about two sizes.

    Args:
        model: The model that was exported.
        path: The file.
        images: uint8 `[n, h, w, channels]`; two textures if None.
        max_disagreement: The share of the pixels that may have another class; None for a file in
            float32, which must agree but for rounding.
        report: Called with a line on the answer that agrees.

    Raises:
        MismatchError: Too many pixels have another class than the model's.
        ValueError: The images do not fit; the model's scores are not finite; it sees one class.
        ImportError: The interpreter is not installed.
    """
    with without_chatter():
        answer = runner(path)
    takes = answer.get_input_details()["image"]
    shape = tuple(int(side) for side in takes["shape_signature"][1:])
    any_size = shape[:2] == (-1, -1)
    asked = reference.of_model(model, images, reference.ANY_SIZE if any_size else shape[:2])
    if not any_size and asked.images.shape[1:] != shape:
        raise ValueError(
            f"The file takes images of {shape}; received {asked.images.shape[1:]} to check it "
            "with. Cut or scale them to this size."
        )

    (gives,) = answer.get_output_details()
    class_map = class_map_of(answer, asked.images)
    found = near("LiteRT", gives, class_map, asked.scores, max_disagreement)
    if any_size:
        part = asked.images[:, asked.images.shape[1] // 3 :, asked.images.shape[2] // 4 :]
        scores = asked.scores_of(part)
        near("LiteRT, another size", gives, class_map_of(answer, part), scores, max_disagreement)
    report(str(found))
    return [found]


def class_map_of(answer: Any, images: np.ndarray) -> np.ndarray:
    """The class map `[n, h, w]` that the runner of a file gives for images of its size."""
    (gives,) = answer.get_output_details()
    dtype = answer.get_input_details()["image"]["dtype"]
    one_by_one = images[:, None].astype(dtype)
    with without_chatter():  # the interpreter takes its kernels when it is first asked
        answers = np.concatenate([answer(image=image)[gives] for image in one_by_one])
    return answers if gives == "class_map" else answers.argmax(-1)
