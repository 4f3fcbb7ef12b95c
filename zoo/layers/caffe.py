"""What Caffe does and Keras does not: ceil-mode pooling and its local response normalization."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class CaffeMaxPooling(keras.layers.Layer):
    """Max pooling whose last windows may reach past the bottom and right border.

    >>> pooled = zoo.layers.CaffeMaxPooling(pool_size=3, strides=2)(image)  # 173 × 173 → 86 × 86

    `[n, h, w, c]` → `[n, ceil((h - pool_size) / strides) + 1, …, c]`. What lies past the border
    never wins. For a window of 3 and strides of 2 this is neither `same` nor `valid` pooling.

    Source: `pooling_layer.cpp` in BVLC/caffe, with `pad: 0`.
    """

    def __init__(self, pool_size: int, strides: int, **kwargs):
        super().__init__(**kwargs)
        if not 1 <= strides <= pool_size:
            raise ValueError(
                "Ceil-mode pooling takes strides from 1 to pool_size, because with longer strides "
                "a last window could lie wholly outside the image; received pool_size "
                f"{pool_size} and strides {strides}. Choose strides of at most {pool_size}."
            )
        self.pool_size = pool_size
        self.strides = strides
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        self.compute_output_shape(image.shape)
        bottom, right = (
            (self._pooled(size) - 1) * self.strides + self.pool_size - size
            for size in ops.shape(image)[1:3]
        )
        reach = [[0, 0], [0, bottom], [0, right], [0, 0]]
        image = ops.pad(image, reach, constant_values=-float("inf"))
        return ops.max_pool(image, self.pool_size, self.strides, padding="valid")

    def _pooled(self, size):
        return -((self.pool_size - size) // self.strides) + 1

    def compute_output_shape(self, image_shape):
        n, height, width, channels = image_shape
        smallest = self.pool_size - self.strides + 1
        if any(size is not None and size < smallest for size in (height, width)):
            raise ValueError(
                f"Ceil-mode pooling with pool_size {self.pool_size} and strides {self.strides} "
                f"takes heights and widths from {smallest} on; received {height} × {width}. Pad "
                f"the image to {max(height or smallest, smallest)} × "
                f"{max(width or smallest, smallest)}."
            )
        height, width = (s if s is None else self._pooled(s) for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}


@keras.saving.register_keras_serializable(package="zoo")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the energy of its neighbours across the channels.

    >>> norm1 = zoo.layers.LocalResponseNormalization()(pool1)

    `x / (k + alpha / size * e) ** beta`, where `e` is the sum of the squares of the `size`
    channels around that of `x`, those past the first and last channel being zero. Caffe divides
    `alpha` by `size` and TensorFlow does not: `size=5, alpha=1e-4, beta=0.75, k=1` is
    `tf.nn.local_response_normalization(x, depth_radius=2, bias=1, alpha=2e-5, beta=0.75)`.
    Computed in float32 under half precision too, where squares overflow.

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
                "Local response normalization takes an odd size, so that as many channels lie "
                f"before as behind; received {size!r}. Choose {size + 1!r}."
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
        normalized = x * (self.k + self.alpha / self.size * energy) ** -self.beta
        return ops.cast(normalized, features.dtype)

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
