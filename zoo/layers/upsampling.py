"""Bilinear up-sampling as in Caffe's deconvolution, and the crop that aligns the result."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class BilinearUpsampling(keras.layers.Layer):
    """Caffe's Deconvolution with stride `factor`, without padding, and the bilinear kernel.

    >>> upscore = zoo.layers.BilinearUpsampling(32)(score_fr)  # 16 × 16 → 544 × 544

    `[n, h, w, c]` → `[n, (h - 1) * factor + kernel_size, (w - 1) * factor + kernel_size, c]`.
    The input counts as surrounded by zeros, so the result fades out towards its border.

    By default the layer is fixed and has no weights: along each axis, a value of the result is a
    fixed mix of two neighbours of the input. The numbers are those of the dense kernel, at a small
    part of the work. With `learned=True` the layer has the dense kernel as a weight; it starts at
    the fixed numbers. `trainable` means the same as in every Keras layer: whether training changes
    the weights.

    Args:
        factor: Stride of the deconvolution, at least 1.
        kernel_size: Side of the kernel, from `factor` to `2 * factor`; None for `2 * factor`.
        learned: Whether there is a dense kernel `[kernel_size, kernel_size, c, c]` to learn.
        use_bias: Whether the learned form also has a bias `[c]`, which starts at zero.
        **kwargs: Options of every Keras layer: `name`, `trainable`, `dtype`.

    Raises:
        ValueError: `factor` or `kernel_size` is out of range, or a fixed layer is given a bias.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation",
    2015, §3.3; the kernel of `surgery.py` in shelhamer/fcn.berkeleyvision.org.
    """

    def __init__(
        self,
        factor: int,
        kernel_size: int | None = None,
        *,
        learned: bool = False,
        use_bias: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        kernel_size = 2 * factor if kernel_size is None else kernel_size
        if factor < 1 or not factor <= kernel_size <= 2 * factor:
            raise ValueError(
                "Bilinear up-sampling takes a factor of at least 1 and a kernel_size from factor "
                f"to 2 * factor; received factor {factor} and kernel_size {kernel_size}. Leave "
                "kernel_size out for 2 * factor."
            )
        if use_bias and not learned:
            raise ValueError(
                "The fixed up-sampling has no weights; received use_bias=True. Pass learned=True "
                "too."
            )
        self.factor = factor
        self.kernel_size = kernel_size
        self.learned = learned
        self.use_bias = use_bias
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, scores_shape):
        channels = scores_shape[-1]
        if self.learned:
            self.kernel = self.add_weight(
                name="kernel",
                shape=(self.kernel_size, self.kernel_size, channels, channels),
                initializer=_bilinear_diagonal,
            )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, scores):
        if self.learned:
            result = ops.conv_transpose(
                scores,
                self.kernel,
                strides=self.factor,
                padding="valid",
                data_format="channels_last",
            )
            return result + self.bias if self.use_bias else result
        _, height, width, channels = ops.shape(scores)
        rows = self._interpolate(ops.reshape(scores, (-1, height, width * channels)))
        both = self._interpolate(ops.reshape(rows, (-1, width, channels)))
        return ops.reshape(both, (-1, self._length(height), self._length(width), channels))

    def _interpolate(self, lines):
        """Up-samples `[lines, length, values]` along its length."""
        _, length, values = ops.shape(lines)
        here, before = _phases(self.factor, self.kernel_size)
        # One zero after the last point and one before the first: the zeros around the input.
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
            "learned": self.learned,
            "use_bias": self.use_bias,
        }


@keras.saving.register_keras_serializable(package="zoo")
class CropLike(keras.layers.Layer):
    """Crops a tensor to the height and width of another, from `offset` on: Caffe's Crop, `axis: 2`.

    >>> score = zoo.layers.CropLike(31)(upscore8, image)

    `[n, h, w, c]` and `like` `[n, H, W, any]` → `[n, H, W, c]`.

    Args:
        offset: The top left corner of the crop in pixels: one integer for both axes, or a pair
            (top, left).
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `offset` is invalid. When called: the crop reaches past the
            border. Eagerly every size is checked; in a model or graph, the sizes that are fixed.
    """

    def __init__(self, offset: int | tuple[int, int] = 0, **kwargs):
        super().__init__(**kwargs)
        self.offset = (offset, offset) if isinstance(offset, int) else tuple(offset)
        if len(self.offset) != 2 or min(self.offset) < 0:
            raise ValueError(
                "offset is where the crop begins: one integer of at least 0, or a pair (top, "
                f"left); received {offset!r}. Pass 0 to crop from the top left."
            )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, x, like):
        self.compute_output_shape(x.shape, like.shape)
        (top, left), (height, width) = self.offset, ops.shape(like)[1:3]
        cropped = x[:, top : top + height, left : left + width]
        # TFLite's converter must know the channels, and forgets them at an unknown size.
        n, channels = ops.shape(x)[0], x.shape[3]
        return ops.reshape(cropped, (n, height, width, channels))

    def compute_output_shape(self, x_shape, like_shape):
        for side, axis, offset in (("height", 1, self.offset[0]), ("width", 2, self.offset[1])):
            have, want = x_shape[axis], like_shape[axis]
            if have is not None and want is not None and offset + want > have:
                raise ValueError(
                    f"A crop lies inside its tensor: offset {offset} and a {side} of {want} need "
                    f"a {side} of {offset + want} or more; received {have}. Choose an offset of "
                    f"at most {have - want}."
                    if have >= want
                    else f"A crop lies inside its tensor; received a {side} of {have} to "
                    f"crop to {want}. Pass a larger tensor or a smaller like."
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
    """The weights of a point and of the point before it: two arrays `[factor, 1]`.

    The result has `factor` values per point of the input; row `i` is for the value `i` of them.
    """
    weights = np.zeros((2 * factor, 1), "float32")
    weights[:kernel_size, 0] = _bilinear_profile(kernel_size)
    return weights[:factor], weights[factor:]
