"""The first part of every model: the image input, and the authors' preprocessing."""

from collections.abc import Sequence

import keras


def image_input(channels: int, name: str = "image") -> keras.KerasTensor:
    """Makes an input: float32 `[n, h, w, channels]`, 0-255, of any size."""
    return keras.Input((None, None, channels), dtype="float32", name=name)


def subtract_mean(
    image: keras.KerasTensor,
    *,
    mean: Sequence[float],
    channel_order: Sequence[int],
    suffix: str = "",
) -> keras.KerasTensor:
    """Caffe's preprocessing: the channels in the net's order, minus the data set's mean.

    Computes in float32 under every precision policy, because bfloat16 cannot tell 255 from 254.5.

    Args:
        image: `[n, h, w, channels]`, 0-255.
        mean: Of each channel, in the order of the image.
        channel_order: Which channel of the image is the net's first, second, and so on.
        suffix: What ends the name of the layer.
    """
    if list(channel_order) != sorted(channel_order):
        image = keras.ops.take(image, list(channel_order), axis=-1)
    # One scale: of several Keras moves the axis where its images are channels first.
    return keras.layers.Rescaling(
        scale=1.0,
        offset=[-mean[channel] for channel in channel_order],
        dtype="float32",
        name=f"subtract_mean{suffix}",
    )(image)
