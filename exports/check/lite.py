"""The check of TFLite files, in the LiteRT interpreter."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from exports.check import reference
from exports.check.agreement import Agreement, MismatchError, compare
from exports.litert import runner

ANY_SIZE = (97, 131)  # of the textures for a file that takes any; no network's multiple


def tflite(
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
        path: The file's.
        images: uint8 `[n, h, w, channels]`; two textures if None.
        max_disagreement: The share of the pixels that may have another class; None for a file that
            computes as the model does, which must agree but for rounding.
        report: Called with a line on the answer that agrees.

    Raises:
        MismatchError: An answer is not the model's, or too often another.
        ValueError: The images do not fit; the model's scores are not finite; it sees one class.
        ImportError: The interpreter is not installed.
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

    def compared(loader: str, images: np.ndarray, scores: np.ndarray) -> Agreement:
        class_map = class_map_of(images)
        if max_disagreement is None:
            return compare(loader, "class_map", class_map, scores)
        return _near(loader, class_map, scores, max_disagreement)

    found = compared("LiteRT", asked.images, asked.scores)
    if any_size:
        part = asked.images[:, asked.images.shape[1] // 3 :, asked.images.shape[2] // 4 :]
        compared("LiteRT, another size", part, asked.scores_of(part))
    report(str(found))
    return [found]


def _near(
    loader: str, class_map: np.ndarray, scores: np.ndarray, max_disagreement: float
) -> Agreement:
    """Counts the pixels that have the model's class, with no allowance for rounding."""
    expected = scores.argmax(-1)
    if class_map.shape != expected.shape:
        raise MismatchError(
            f"{loader}, class_map: the shape is {list(class_map.shape)}; the model's is "
            f"{list(expected.shape)}"
        )
    agreement = float(np.mean(class_map == expected))
    if 1 - agreement > max_disagreement:
        raise MismatchError(
            f"{loader}, class_map: {1 - agreement:.2%} of the pixels have another class than the "
            f"model's, where max_disagreement allows {max_disagreement:.2%}. Quantize less, or "
            "give more representative images of your data; allow more only if you can bear it."
        )
    return Agreement(loader, "class_map", agreement, 0, len(np.unique(expected)))
