"""Convolutions with large windows, or of one pixel, as one product of matrices, faster on CPUs."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class ProductConv2D(keras.layers.Conv2D):
    """Keras's valid Conv2D as one matrix product: the same options, weights and gradients.

    >>> fc6 = zoo.layers.ProductConv2D(4096, 7)  # patches [n * h * w, 49 * c] by [49 * c, 4096]

    The patches take as many times the memory of the image as a window has pixels, so this is for
    small maps with many channels. Results differ from those of Conv2D by rounding.

    Args:
        filters: Number of filters.
        kernel_size: Side of the window.
        **kwargs: Options of Conv2D. Padding is "valid", strides, dilation and groups are 1,
            channels come last.

    Raises:
        ValueError: The options have no such form.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        _check(self)

    def convolution_op(self, inputs, kernel):
        n, height, width, _ = ops.shape(inputs)
        down, across, channels, filters = kernel.shape
        height, width = height - down + 1, width - across + 1
        patches = ops.concatenate(
            [inputs[:, y : y + height, x : x + width] for y in range(down) for x in range(across)],
            axis=-1,
        )
        rows = ops.reshape(patches, (-1, down * across * channels))
        product = ops.matmul(rows, ops.reshape(kernel, (-1, filters)))
        return ops.reshape(product, (n, height, width, filters))


@keras.saving.register_keras_serializable(package="zoo")
class ProductConv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras's valid Conv2DTranspose as one matrix product: same options, weights and gradients.

    >>> deconv = zoo.layers.ProductConv2DTranspose(512, 7)  # 1 × 1 → 7 × 7

    Each pixel gives a whole window; where windows overlap, they are added. Results differ from
    those of Conv2DTranspose by rounding.

    Args:
        filters: Number of filters.
        kernel_size: Side of the window.
        **kwargs: Options of Conv2DTranspose. Padding is "valid", strides and dilation are 1,
            channels come last.

    Raises:
        ValueError: The options have no such form.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        _check(self)

    def call(self, inputs):
        n, height, width, channels = ops.shape(inputs)
        down, across, filters, _ = self.kernel.shape
        kernel = ops.transpose(ops.reshape(self.kernel, (-1, channels)))
        windows = ops.matmul(ops.reshape(inputs, (-1, channels)), kernel)
        windows = ops.reshape(windows, (n, height, width, down, across, filters))
        columns = ops.reshape(
            ops.transpose(windows, (0, 1, 2, 4, 3, 5)),
            (n * height, width, across, down * filters),
        )
        wide = width + across - 1
        rows = ops.reshape(_added(columns), (n, height, wide, down, filters))
        rows = ops.reshape(ops.transpose(rows, (0, 1, 3, 2, 4)), (n, height, down, wide * filters))
        result = ops.reshape(_added(rows), (n, height + down - 1, wide, filters))
        if self.use_bias:
            result = result + self.bias
        return self.activation(result)


def _added(parts):
    """Adds parts that begin at positions 0, 1, 2, …: `[m, count, length, values]`.

    Each part is padded by `count` zeros; without the last of them each row of a matrix of parts
    begins one position later.

    Returns:
        `[m, count + length - 1, values]`.
    """
    m, count, length, values = ops.shape(parts)
    padded = ops.pad(parts, [[0, 0], [0, 0], [0, count], [0, 0]])
    line = ops.reshape(padded, (m, count * (length + count), values))
    long = length + count - 1
    return ops.sum(ops.reshape(line[:, : count * long], (m, count, long, values)), axis=1)


def _check(layer):
    if (
        {*layer.strides, *layer.dilation_rate, getattr(layer, "groups", 1)} != {1}
        or layer.padding != "valid"
        or layer.data_format != "channels_last"
    ):
        kind = type(layer).__name__
        raise ValueError(
            f'{kind} has padding "valid", strides, dilation and groups of 1, and channels last; '
            f"received padding {layer.padding!r}, strides {layer.strides}, dilation_rate "
            f"{layer.dilation_rate} and data_format {layer.data_format!r}. Take "
            f"keras.layers.{kind.removeprefix('Product')}."
        )
