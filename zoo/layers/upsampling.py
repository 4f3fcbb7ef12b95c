"""Bilinear up-sampling as Caffe's deconvolution does it, and the crop that aligns the result."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class BilinearUpsampling(keras.layers.Layer):
    """Caffe's Deconvolution with stride `factor`, no padding, no bias and the bilinear kernel.

    >>> upscore = zoo.layers.BilinearUpsampling(32)(score_fr)  # 16 × 16 → 544 × 544

    `[n, h, w, c]` → `[n, (h - 1) * factor + kernel_size, (w - 1) * factor + kernel_size, c]`.
    `kernel_size` lies from `factor` to `2 * factor`, the default. There, the image is surrounded
    by zeros, into which its border fades: the first and last half window of the result.

    The fixed form has no weights: each of the `factor` phases of a line is a fixed mix of two
    neighbours. It gives what the dense kernel gives, at a small part of the work. With
    `trainable=True` the layer has that dense kernel, `[kernel_size, kernel_size, c, c]`, which
    starts as the fixed form and is learned, and with `use_bias=True` a bias `[c]` that starts at
    zero. Freezing it later (`layer.trainable = False`) keeps both.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation",
    2015, §3.3; the kernel of `surgery.py` in shelhamer/fcn.berkeleyvision.org.
    """

    def __init__(
        self,
        factor: int,
        kernel_size: int | None = None,
        *,
        trainable: bool = False,
        use_bias: bool = False,
        **kwargs,
    ):
        super().__init__(trainable=trainable, **kwargs)
        kernel_size = 2 * factor if kernel_size is None else kernel_size
        if factor < 1 or not factor <= kernel_size <= 2 * factor:
            raise ValueError(
                "Bilinear up-sampling takes a factor from 1 on and a kernel_size from factor to "
                f"2 * factor; received factor {factor} and kernel_size {kernel_size}. Leave "
                "kernel_size out for 2 * factor."
            )
        if use_bias and not trainable:
            raise ValueError(
                "The fixed up-sampling has no weights; received use_bias=True. Pass trainable=True "
                "too."
            )
        self.factor = factor
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        # Keras's own `trainable` may change with every model that is frozen or thawed.
        self.learned = bool(trainable)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, scores_shape):
        if self.learned:
            channels = scores_shape[-1]
            self.kernel = self.add_weight(
                name="kernel",
                shape=(self.kernel_size, self.kernel_size, channels, channels),
                initializer=_bilinear_diagonal,
            )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, scores):
        if self.learned:
            result = ops.conv_transpose(scores, self.kernel, strides=self.factor, padding="valid")
            return result + self.bias if self.use_bias else result
        _, height, width, channels = ops.shape(scores)
        rows = self._interpolate(ops.reshape(scores, (-1, height, width * channels)))
        both = self._interpolate(ops.reshape(rows, (-1, width, channels)))
        return ops.reshape(both, (-1, self._length(height), self._length(width), channels))

    def _interpolate(self, lines):
        """Up-samples `[any, length, values]` along its length."""
        _, length, values = ops.shape(lines)
        here, before = _phases(self.factor, self.kernel_size)
        # The element `length` and the element -1 are the zeros around the image.
        points = ops.pad(lines, [[0, 0], [0, 1], [0, 0]])[:, :, None]
        points_before = ops.pad(lines, [[0, 0], [1, 0], [0, 0]])[:, :, None]
        mixed = points * ops.cast(here, lines.dtype) + points_before * ops.cast(before, lines.dtype)
        mixed = ops.reshape(mixed, (-1, (length + 1) * self.factor, values))
        return mixed[:, : self._length(length)]

    def _length(self, size):
        return (size - 1) * self.factor + self.kernel_size

    def compute_output_shape(self, scores_shape):
        n, height, width, channels = scores_shape
        height, width = (s if s is None else self._length(s) for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {
            **super().get_config(),
            "factor": self.factor,
            "kernel_size": self.kernel_size,
            "trainable": self.learned,
            "use_bias": self.use_bias,
            "frozen": self.learned and not self.trainable,
        }

    @classmethod
    def from_config(cls, config):
        options = {name: value for name, value in config.items() if name != "frozen"}
        layer = super().from_config(options)
        if config.get("frozen"):
            layer.trainable = False
        return layer


@keras.saving.register_keras_serializable(package="zoo")
class CropLike(keras.layers.Layer):
    """The part of a tensor that begins at `offset` and has the height and width of another.

    >>> score = zoo.layers.CropLike(31)(upscore8, image)

    `[n, h, w, c]` and `like` `[n, H, W, any]` → `[n, H, W, c]`. `offset` is one integer, or one
    each for the rows and columns. This is Caffe's Crop with `axis: 2`. A crop that reaches past
    the border is an error where the sizes are known: eagerly, and in a model or graph for the
    sizes that are fixed there.
    """

    def __init__(self, offset: int | tuple[int, int] = 0, **kwargs):
        super().__init__(**kwargs)
        self.offset = (offset, offset) if isinstance(offset, int) else tuple(offset)
        if len(self.offset) != 2 or min(self.offset) < 0:
            raise ValueError(
                f"offset is where the crop begins, one integer from 0 on or a pair (top, left); "
                f"received {offset!r}."
            )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, x, like):
        self.compute_output_shape(x.shape, like.shape)
        (top, left), (height, width) = self.offset, ops.shape(like)[1:3]
        return x[:, top : top + height, left : left + width]

    def compute_output_shape(self, x_shape, like_shape):
        for side, axis, offset in (("height", 1, self.offset[0]), ("width", 2, self.offset[1])):
            have, want = x_shape[axis], like_shape[axis]
            if have is not None and want is not None and offset + want > have:
                raise ValueError(
                    f"A crop lies inside its tensor: offset {offset} and a {side} of {want} need "
                    f"a {side} of {offset + want} or more; received {have}. Choose an offset of "
                    f"at most {have - want}."
                    if have >= want
                    else f"A crop lies inside its tensor; received a {side} of {have} to be "
                    f"cropped like one of {want}. Pass a larger tensor or a smaller like."
                )
        return x_shape[0], like_shape[1], like_shape[2], x_shape[3]

    def get_config(self):
        return {**super().get_config(), "offset": self.offset}


def bilinear_kernel(size: int) -> np.ndarray:
    """The bilinear kernel of Caffe's nets, float32 `[size, size]`.

    >>> bilinear_kernel(4)[1]
    array([0.1875, 0.5625, 0.5625, 0.1875], dtype=float32)

    With `f = (size + 1) // 2` and the centre `c` (`f - 1` for an odd size, `f - 0.5` for an even
    one), the weight at `(y, x)` is `(1 - |y - c| / f) * (1 - |x - c| / f)`.
    """
    profile = _bilinear_profile(size)
    return np.outer(profile, profile).astype("float32")


def _bilinear_profile(size):
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    return 1 - np.abs(np.arange(size) - centre) / factor


def _bilinear_diagonal(shape, dtype=None):
    return ops.convert_to_tensor(
        bilinear_kernel(shape[0])[:, :, None, None] * np.eye(shape[2]), dtype=dtype
    )


def _phases(factor, kernel_size):
    """What a point and the point before it give to each phase: two arrays `[factor, 1]`."""
    weights = np.zeros((2 * factor, 1), "float32")
    weights[:kernel_size, 0] = _bilinear_profile(kernel_size)
    return weights[:factor], weights[factor:]
