"""The fast copy of a model, and whether it gives the model's classes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from exports.check import reference
from exports.check.agreement import MismatchError
from exports.formats.settings import Settings
from exports.graph.ports import Ports
from exports.images import textures
from exports.runtimes.tensorflow import CPU
from zoo.fast_copy import faster
from zoo.models.plain import plain

LEAST_AGREEMENT = 0.9999
"""The share of the pixels to which a fast copy gives the model's class."""


def fast_copy(
    model: keras.Model, ports: Ports, settings: Settings
) -> tuple[keras.Model, dict[str, Any] | None]:
    """The copy of `zoo.faster`, and what a record says of it; or the model itself, and None.

    Both are asked about textures, and about the images of the settings.

    Raises:
        MismatchError: The copy is required, and gives fewer pixels the model's class.
    """
    copy = faster(model)
    asked = [textures(2, settings.size or reference.ANY_SIZE, ports.channels)]
    if settings.images is not None:
        asked.append(settings.images_of_size())
    same = []
    for image in (image[None] for many in asked for image in many):
        for head in ports.heads:
            expected, found = (_class_map(plain(one, head), image) for one in (model, copy))
            same.append((expected == found).ravel())
    same = np.concatenate(same)
    agreement = float(same.mean())
    said = f"The fast copy gives {agreement:.4%} of {same.size:,} pixels the model's class"
    if agreement >= LEAST_AGREEMENT:
        settings.report(said)
        return copy, {"agreement": agreement, "pixels": same.size}
    if settings.fast:
        raise MismatchError(
            f"{said}; at least {LEAST_AGREEMENT:.2%} are required. Leave fast=True (--fast) out, "
            "or check with images of your data: images=, or --image."
        )
    settings.report(
        f"{said}, where {LEAST_AGREEMENT:.2%} are required: the model is exported as it is"
    )
    return model, None


def _class_map(model: keras.Model, image: np.ndarray) -> np.ndarray:
    with tf.device(CPU):
        return model(tf.constant(image, tf.float32), training=False).numpy().argmax(-1)
