"""Caffe's layers that Keras does not have: ceil-mode pooling, local response normalization."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class CaffeMaxPooling(keras.layers.Layer):
    """Max pooling whose last windows may extend past the bottom and right border: ceil mode.

    >>> pooled = zoo.layers.CaffeMaxPooling(pool_size=3, strides=2)(image)  # 173 × 173 → 86 × 86

    `[n, h, w, c]` → `[n, ceil((h - pool_size) / strides) + 1, …, c]`. The part of a window past the
    border counts as minus infinity. With a window of 3 and strides of 2, this differs from both the
    `same` and the `valid` pooling of Keras.

    Args:
        pool_size: Side of the window in pixels.
        strides: Pixels from one window to the next, from 1 to `pool_size`.
        **kwargs: Options of every Keras layer.

    Attributes:
        repeats_border: False; True while a graph for integers is made, which have no infinity. Then
            the last row and column are repeated past the border. No maximum changes, because each
            window that reaches there holds some of them. The gradient would take thrice as long.

    Raises:
        ValueError: `strides` is out of range. When called: the image is too small for one window.

    Source: `pooling_layer.cpp` in BVLC/caffe, with `pad: 0`.
    """

    repeats_border = False

    def __init__(self, pool_size: int, strides: int, **kwargs):
        super().__init__(**kwargs)
        if not 1 <= strides <= pool_size:
            raise ValueError(
                "Ceil-mode pooling takes strides from 1 to pool_size, because with longer strides "
                "the last window could lie entirely outside the image; received pool_size "
                f"{pool_size} and strides {strides}. Choose strides of at most {pool_size}."
            )
        self.pool_size = pool_size
        self.strides = strides
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        self.compute_output_shape(image.shape)
        n, height, width, channels = ops.shape(image)
        rows, columns = (
            (self._pooled(size) - 1) * self.strides + self.pool_size for size in (height, width)
        )
        if self.repeats_border:
            padded = image
            for axis, size, side in ((1, height, rows), (2, width, columns)):
                padded = ops.take(padded, ops.minimum(ops.arange(side), size - 1), axis=axis)
        else:
            reach = [[0, 0], [0, rows - height], [0, columns - width], [0, 0]]
            padded = ops.pad(image, reach, constant_values=-float("inf"))
        # TFLite's converter must know the channels, and forgets them at an unknown size.
        padded = ops.reshape(padded, (n, rows, columns, channels))
        return ops.max_pool(
            padded, self.pool_size, self.strides, padding="valid", data_format="channels_last"
        )

    def _pooled(self, size):
        return -((self.pool_size - size) // self.strides) + 1

    def compute_output_shape(self, image_shape):
        n, height, width, channels = image_shape
        smallest = self.pool_size - self.strides + 1
        if any(size is not None and size < smallest for size in (height, width)):
            raise ValueError(
                f"Ceil-mode pooling with pool_size {self.pool_size} and strides {self.strides} "
                f"takes heights and widths of at least {smallest}; received {height} × {width}. "
                f"Pad the image to {max(height or smallest, smallest)} × "
                f"{max(width or smallest, smallest)}."
            )
        height, width = (s if s is None else self._pooled(s) for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}


@keras.saving.register_keras_serializable(package="zoo")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the sum of squares over its neighbouring channels.

    >>> norm1 = zoo.layers.LocalResponseNormalization()(pool1)

    The result is `x / (k + alpha / size * e) ** beta`. Here `e` is the sum of the squares of the
    `size` channels around the channel of `x`; channels before the first and after the last count
    as zero. The shape does not change.

    Caffe divides `alpha` by `size`; TensorFlow does not. So `size=5, alpha=1e-4, beta=0.75, k=1`
    equals `tf.nn.local_response_normalization(x, depth_radius=2, bias=1, alpha=2e-5, beta=0.75)`.
    Under half precision the layer computes in float32, because the squares would overflow.

    Args:
        size: Number of channels in the sum, odd.
        alpha: Weight of the sum.
        beta: Exponent.
        k: Added to the weighted sum.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `size` is even or less than 1.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional
    Neural Networks", 2012, §3.3; `lrn_layer.cpp` in BVLC/caffe.
    """

    def __init__(
        self,
        size: int = 5,
        *,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(
                "Local response normalization takes an odd size of at least 1, so that it sums as "
                f"many channels before as after; received {size!r}. Choose {max(size + 1, 1)!r}."
            )
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def call(self, features):
        x = ops.cast(features, keras.backend.result_type(features.dtype, "float32"))
        radius, channels = self.size // 2, features.shape[-1]
        squares = ops.pad(ops.square(x), [[0, 0]] * (len(x.shape) - 1) + [[radius, radius]])
        energy = sum(squares[..., first : first + channels] for first in range(self.size))
        base = self.k + self.alpha / self.size * energy
        if self.beta == 0.75:  # a tenth of the time of a power, on two cores
            root = ops.rsqrt(base)
            return ops.cast(x * root * ops.sqrt(root), features.dtype)
        return ops.cast(x * base**-self.beta, features.dtype)

    def compute_output_shape(self, features_shape):
        return features_shape

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
        }
