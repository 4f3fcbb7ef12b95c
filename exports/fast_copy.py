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
from zoo.layers import MaxPoolingWithArgmax
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
    asked = [textures(2, settings.size or reference.ANY_SIZE, ports.channels)]
    if settings.images is not None:
        asked.append(settings.images_of_size())
    images = [image[None] for many in asked for image in many]
    expected = _class_maps(model, ports, images)
    has_switches = any(isinstance(layer, MaxPoolingWithArgmax) for layer in model.layers)
    for keep_switches in (False, True) if has_switches else (False,):
        copy = faster(model, keep_switches=keep_switches)
        same = expected == _class_maps(copy, ports, images)
        said = f"The fast copy gives {same.mean():.4%} of {same.size:,} pixels the model's class"
        if same.mean() >= LEAST_AGREEMENT:
            settings.report(said)
            found = {"agreement": float(same.mean()), "pixels": same.size}
            return copy, found | {"keep_switches": keep_switches}
    if settings.fast:
        raise MismatchError(
            f"{said}; at least {LEAST_AGREEMENT:.2%} are required. Leave fast=True (--fast) out, "
            "or check with images of your data: images=, or --image."
        )
    settings.report(f"{said}; {LEAST_AGREEMENT:.2%} are required: the model is written as it is")
    return model, None


def _class_maps(model: keras.Model, ports: Ports, images: list[np.ndarray]) -> np.ndarray:
    """The classes of all pixels of the images, of all heads, one behind the other."""
    found = []
    for head in ports.heads:
        one = plain(model, head)
        with tf.device(CPU):
            found += [one(tf.constant(image, tf.float32), training=False) for image in images]
    return np.concatenate([scores.numpy().argmax(-1).ravel() for scores in found])
