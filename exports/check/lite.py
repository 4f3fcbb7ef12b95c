"""The check of TFLite files, in the LiteRT interpreter."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from exports.check import reference
from exports.check.agreement import Agreement, compare


def tflite(
    model: keras.Model,
    path: pathlib.Path,
    *,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Agreement]:
    """Compares a TFLite file with the model, in the LiteRT interpreter.

    Args and errors: as `saved_model`; ImportError if the interpreter is not installed.
    """
    runner = interpreter()(model_path=str(path)).get_signature_runner()
    shape = tuple(int(side) for side in runner.get_input_details()["image"]["shape"])
    asked = reference.of_model(model, images, shape[1:3])
    images = asked.images
    if images.shape[1:] != shape[1:]:
        raise ValueError(
            f"The file takes images of {shape[1:]}; received {images.shape[1:]} to check it with. "
            "Cut or scale them to this size."
        )
    class_map = np.concatenate([runner(image=image[None])["class_map"] for image in images])
    found = compare("LiteRT", "class_map", class_map, asked.scores)
    report(str(found))
    return [found]


def interpreter() -> type:
    """LiteRT's interpreter.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "A TFLite file is checked in the LiteRT interpreter, which is not installed. "
            'Install it: pip install "segmentation-zoo[litert]".'
        ) from error
    return Interpreter
