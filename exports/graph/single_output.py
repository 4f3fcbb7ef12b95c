"""A model as one traced function of one image: what all formats but the SavedModel ask of it."""

from collections.abc import Callable

import keras
import tensorflow as tf

from exports.graph.signatures import channels_of

DTYPES = ("uint8", "float32")


def image_spec(
    model: keras.Model, *, size: tuple[int, int] | None, dtype: str = "uint8", batch: int | None = 1
) -> tf.TensorSpec:
    """The images that a file takes: `[batch, h, w, channels]`; of any size if `size` is None.

    Raises:
        ValueError: A model that cannot be exported; a size or a dtype that is none.
    """
    channels = channels_of(model)
    height, width = (None, None) if size is None else _checked(size)
    if dtype not in DTYPES:
        raise ValueError(
            f"A file takes images uint8 or float32, both 0-255; received {dtype!r}. "
            'Pass dtype="uint8".'
        )
    return tf.TensorSpec([batch, height, width, channels], dtype, name="image")


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


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f"size is a height and a width in pixels, each at least 1; received {size!r}. "
            "Pass size=(256, 256), for example."
        )
    return size
