"""The check of TFLite files, in the LiteRT interpreter."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from exports.check import reference
from exports.check.agreement import Agreement, compare
from exports.litert import runner

ANY_SIZE = (97, 131)  # of the textures for a file that takes any; no network's multiple


def tflite(
    model: keras.Model,
    path: pathlib.Path,
    *,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Agreement]:
    """Compares a TFLite file with the model, in the LiteRT interpreter.

    A file for images of any size is asked about two sizes.

    Args and errors: as `saved_model`; ImportError if the interpreter is not installed.
    """
    answer = runner(path)
    takes = answer.get_input_details()["image"]
    shape = tuple(int(side) for side in takes["shape_signature"][1:])
    any_size = shape[:2] == (-1, -1)
    asked = reference.of_model(model, images, ANY_SIZE if any_size else shape[:2])
    if not any_size and asked.images.shape[1:] != shape:
        raise ValueError(
            f"The file takes images of {shape}; received {asked.images.shape[1:]} to check it "
            "with. Cut or scale them to this size."
        )

    def class_map_of(images: np.ndarray) -> np.ndarray:
        given = images.astype(takes["dtype"])
        return np.concatenate([answer(image=image[None])["class_map"] for image in given])

    found = compare("LiteRT", "class_map", class_map_of(asked.images), asked.scores)
    if any_size:
        part = asked.images[:, asked.images.shape[1] // 3 :, asked.images.shape[2] // 4 :]
        compare("LiteRT, another size", "class_map", class_map_of(part), asked.scores_of(part))
    report(str(found))
    return [found]
