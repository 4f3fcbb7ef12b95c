"""What the class numbers mean: the signature `class_names`, and the table behind it.

A client asks for the legend of a mask instead of guessing it.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from exports.graph import requests
from zoo.pictures import voc_palette, with_colours
from zoo.spec import Spec


@dataclasses.dataclass(frozen=True)
class Classes:
    """What the class numbers mean.

    Args:
        names: The name of each class.
        background: The number of the class that is background; None if no class is.
        colours: Red, green and blue of each class, uint8 `[classes, 3]`.
    """

    names: tuple[str, ...]
    background: int | None
    colours: np.ndarray


def classes_of(spec: Spec | None, count: int, head: str | None = None) -> Classes:
    """The classes of a Spec, of one of its heads if there are several.

    Without a Spec: "class 0", "class 1", …, no background, VOC's colours.
    """
    if spec is None:
        return Classes(
            tuple(f"class {number}" for number in range(count)), None, voc_palette(count)
        )
    spec = spec if head is None else spec.of_head(head)
    return Classes(spec.names, spec.background, with_colours(voc_palette(count), spec.colours))


def class_names_signature(classes: Classes) -> Callable:
    """`index` int32 `[n]` → `name` string, `is_background` uint8 `[n]`, `colour` uint8 `[n, 3]`."""
    count = len(classes.names)
    background = np.array([number == classes.background for number in range(count)], np.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="index")])
    def class_names(index: tf.Tensor) -> dict[str, tf.Tensor]:
        index = requests.checked_index(index, count)
        return {
            "name": tf.gather(tf.constant(classes.names), index),
            "is_background": tf.gather(tf.constant(background), index),
            "colour": tf.gather(tf.constant(classes.colours), index),
        }

    return class_names


def heads_signature(names: Sequence[str]) -> Callable:
    """`index` int32 `[n]` → `name` string `[n]` and `count` uint8 `[n]`, of the heads."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="index")])
    def heads(index: tf.Tensor) -> dict[str, tf.Tensor]:
        index = requests.checked_index(index, len(names), "head number")
        count = tf.fill(tf.shape(index), tf.constant(len(names), tf.uint8))
        return {"name": tf.gather(tf.constant(names), index), "count": count}

    return heads
