"""A model as one traced function of images: what every format but a SavedModel is made from."""

from collections.abc import Callable

import keras
import tensorflow as tf


def image_spec(
    shape: tuple[int | None, int | None, int], *, dtype: str = "uint8", batch: int | None = 1
) -> tf.TensorSpec:
    """The images that a file takes: `[batch, h, w, channels]`; None stands for any size."""
    return tf.TensorSpec([batch, *shape], dtype, name="image")


def class_map(model: keras.Model, image: tf.TensorSpec) -> Callable:
    """Image → `class_map` int32 `[batch, h, w]`."""

    @tf.function(input_signature=[image])
    def class_map_of(image: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = model(tf.cast(image, tf.float32), training=False)
        # keras.ops.argmax adds BitwiseAnd, for which TFLite has no built-in operation.
        return {"class_map": tf.argmax(scores, axis=-1, output_type=tf.int32)}

    return class_map_of


def scores(model: keras.Model, image: tf.TensorSpec) -> Callable:
    """Image → `scores` float32 `[batch, h, w, classes]`, before the softmax."""

    @tf.function(input_signature=[image])
    def scores_of(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": model(tf.cast(image, tf.float32), training=False)}

    return scores_of
