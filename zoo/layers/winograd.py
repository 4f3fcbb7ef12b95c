"""Convolutions with fewer multiplications: Winograd's minimal filtering, as products of matrices.

`F(m × m, r × r)` computes `m × m` outputs of a convolution with `r × r` weights `g` from a tile of
`n × n` pixels `d`, `n = m + r - 1`: `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`. These are `n²` products in place
of `m² r²`. With channels, `⊙` becomes `n²` matrix products; the transforms are such, too, of both
axes at once. Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
Section 4.1.
"""

import functools
import math

import keras
import numpy as np
from keras import ops

WINDOWS = range(2, 8)
"""The sides of a window, r, that have transforms."""

# The most products of channels and filters for which windows of up to 3 × 3 have tiles of 8 × 8.
# Measured for 3 × 3 on two cores with AVX-512, beside tiles of 6 × 6: 1.2 times faster with 128 to
# 128 and 128 to 256 channels, and from 1.2 times slower (14 × 14 pixels) to 1.2 times faster
# (88 × 88) with 512 to 512, whose transformed kernel of 64 MB is read in each call.
MOST_FOR_LARGE_TILES = 2**17

# Where polynomials are evaluated, besides at infinity, for each side of a tile of pixels, n. Other
# points give the same result but for rounding: the error of F(4 × 4, 3 × 3) is 7 times larger with
# 0, ±1, ±2. Of 2,925 choices of three pairs, these of F(6 × 6, 3 × 3) have the least error.
POINTS = {6: (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2), 8: (0, 1, -1, 2, -2, 1 / 2, -1 / 2)}

HALF = ("float16", "bfloat16")
"""Types in which the transforms round too much."""


def tile_side(window: int, channels: int, filters: int) -> int:
    """The side of a tile of pixels, n, for a kernel `[r, r, channels, filters]`.

    Larger tiles need fewer multiplications, and larger transformed kernels.
    """
    return 6 if window <= 3 and channels * filters > MOST_FOR_LARGE_TILES else 8


@functools.cache
def transforms(window: int, tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transforms of both axes at once, of outputs, pixels and weights.

    A convolution is the transpose of a product of polynomials: evaluate both factors at `n` points,
    multiply there, interpolate.

    Args:
        window: Its side, r.
        tile: Its side in pixels, n; that of its outputs is m = n - r + 1.

    Returns:
        `Aᵀ ⊗ Aᵀ` `[m², n²]`, `Bᵀ ⊗ Bᵀ` `[n², n²]` and `G ⊗ G` `[n², r²]` in float64.
    """
    outputs = tile - window + 1
    at_infinity = np.eye(tile)[-1:]
    values = np.concatenate([np.vander(POINTS[tile], tile, increasing=True), at_infinity])
    a, b, g = values[:, :outputs].copy(), np.linalg.inv(values).T, values[:, :window].copy()
    a[-1, -1] = g[-1, -1] = 1
    # A factor may stand in a row of B or of G: rows of equal size round best.
    factor = np.sqrt(np.abs(g).sum(1) / np.abs(b).sum(1))[:, None]
    return tuple(np.kron(one, one) for one in (a.T, b * factor, g / factor))


def has_transforms(kernel_size: tuple[int, ...]) -> bool:
    """Whether there are transforms for a window of this size."""
    return len(set(kernel_size)) == 1 and kernel_size[0] in WINDOWS


def overlap(window: int, tile: int) -> float:
    """How many values of tiles there are for each pixel: `n² / m²`."""
    return (tile / (tile - window + 1)) ** 2


def transformed_kernel(kernel: np.ndarray, groups: int = 1, tile: int | None = None) -> np.ndarray:
    """The kernel of a Conv2D as `PreparedConv2D` has it, computed in float64 and rounded once.

    `[r, r, c, groups * k]` → float32 `[n² * groups, c, k]`.
    """
    window, _, channels, filters = kernel.shape
    weights = kernel.astype("float64").reshape(-1, channels * filters)
    filters //= groups
    points = transforms(window, tile or tile_side(window, channels, filters))[2] @ weights
    points = points.reshape(-1, channels, groups, filters).swapaxes(1, 2)
    return points.reshape(-1, channels, filters).astype("float32")


@keras.saving.register_keras_serializable(package="zoo")
class WinogradConv2D(keras.layers.Conv2D):
    """Keras's Conv2D in fewer multiplications: the same options, weights and gradients.

    >>> conv4_2 = zoo.layers.WinogradConv2D(512, 3, padding="same")

    Results differ from those of Conv2D by rounding, about 1e-5 of their range. In half precision,
    where they would be wrong, it computes as Conv2D.

    Args:
        filters: Number of filters.
        kernel_size: Side of the window, 2 to 7.
        **kwargs: Options of Conv2D. Strides and dilation are 1, channels come last.

    Raises:
        ValueError: The window, the strides, the dilation or the layout has no such form.

    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        _check_options(self)

    def convolution_op(self, inputs, kernel):
        if self.compute_dtype in HALF:
            return super().convolution_op(inputs, kernel)
        border = _border(self.padding, self.kernel_size[0])
        # TensorFlow's custom gradients take tensors, and a reshaped variable is one.
        return _convolution(border, self.groups)(inputs, ops.reshape(kernel, kernel.shape))


@keras.saving.register_keras_serializable(package="zoo")
class WinogradConv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras's Conv2DTranspose in fewer multiplications: the same options, weights and gradients.

    >>> deconv4_1 = zoo.layers.WinogradConv2DTranspose(512, 3, padding="same")

    At a stride of 1 a transposed convolution is the convolution with the kernel turned by 180°.
    For the rest see `WinogradConv2D`.

    Args:
        filters: Number of filters.
        kernel_size: Side of the window: 3, 5 or 7.
        **kwargs: Options of Conv2DTranspose. Padding is "same", strides and dilation are 1,
            channels come last.

    Raises:
        ValueError: The options have no such form.

    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        _check_options(self)
        if self.padding != "same" or self.kernel_size[0] % 2 == 0:
            raise ValueError(
                'WinogradConv2DTranspose has padding "same" and an odd window; received '
                f"{self.padding!r} and {self.kernel_size[0]}. Take keras.layers.Conv2DTranspose."
            )

    def call(self, inputs):
        if self.compute_dtype in HALF:
            return super().call(inputs)
        border = _border("same", self.kernel_size[0])
        result = _convolution(border, groups=1)(inputs, _turned(self.kernel, groups=1))
        if self.use_bias:
            result = result + self.bias
        return self.activation(result)


@keras.saving.register_keras_serializable(package="zoo")
class PreparedConv2D(keras.layers.Layer):
    """A convolution in fewer multiplications, its kernel transformed before: to use, not to train.

    >>> layer = zoo.layers.PreparedConv2D(8, 3, padding="same", activation="relu")
    >>> layer.build((None, None, None, 3))
    >>> kernel, bias = np.zeros((3, 3, 3, 8)), np.zeros(8)  # those of a Conv2D
    >>> layer.set_weights([zoo.layers.transformed_kernel(kernel), bias])

    Takes `[n, h, w, channels]`, and gives what Conv2D with that kernel gives but for rounding, in
    half precision, too, where it computes in float32. The transformed kernel is larger: 16 times
    for 2 × 2, 7 times for 3 × 3 (9 and 4 times if it is large itself), and 1.3 times for 7 × 7.

    Args:
        filters: Number of filters.
        kernel_size: Side of the window, 2 to 7.
        padding: "valid", "same", or "full": wherever the window meets the image, as in a transposed
            convolution.
        groups: Of the channels.
        activation: As that of Conv2D.
        tile: Side of a tile of pixels, 6 or 8. The smaller one rounds less, and is for windows of
            up to 5 × 5. By default the channels decide.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: The window, the padding or the tile is none of these.

    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        padding: str = "valid",
        groups: int = 1,
        activation: str | None = None,
        tile: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_window((kernel_size, kernel_size))
        if tile is not None and (tile not in POINTS or tile <= kernel_size):
            raise ValueError(
                f"tile is the side of a tile of pixels, {' or '.join(map(str, POINTS))}, and more "
                f"than that of a window; received {tile}, and windows of {kernel_size}. Leave it "
                "out, and the channels decide."
            )
        self.border = _border(padding, kernel_size)
        self.filters = filters
        self.kernel_size = kernel_size
        self.padding = padding
        self.groups = groups
        self.tile = tile
        self.activation = keras.activations.get(activation)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, image_shape):
        kernel = image_shape[-1] // self.groups, self.filters // self.groups
        points = (self.tile or tile_side(self.kernel_size, *kernel)) ** 2 * self.groups
        options = {"initializer": "zeros", "trainable": False, "autocast": False}
        options["dtype"] = keras.backend.result_type(self.variable_dtype, "float32")
        for name, size in (("kernel", (points, *kernel)), ("bias", (self.filters,))):
            setattr(self, name, self.add_weight(name=name, shape=size, **options))

    def call(self, image):
        image = ops.cast(image, self.kernel.dtype)
        kernel = ops.convert_to_tensor(self.kernel)
        result = _by_tiles(image, kernel, self.kernel_size, self.border, self.groups)
        return ops.cast(self.activation(result + self.bias), self.compute_dtype)

    def compute_output_shape(self, image_shape):
        n, height, width, _ = image_shape
        height, width = (
            s if s is None else s + sum(self.border) - self.kernel_size + 1 for s in (height, width)
        )
        return n, height, width, self.filters

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "groups": self.groups,
            "activation": keras.activations.serialize(self.activation),
            "tile": self.tile,
        }


def _convolution(border, groups):
    """A function of an image and the kernel of a Conv2D, with its gradient.

    The gradient of a gather would be a scatter, which is slow. That of the image is a convolution
    again; that of the kernel is taken where the products are.
    """

    @ops.custom_gradient
    def convolve(image, kernel):
        window = kernel.shape[0]

        def gradient(*args, upstream=None):
            above = args[0] if upstream is None else upstream
            opposite = window - 1 - border[0], window - 1 - border[1]
            points = _points(_turned(kernel, groups), groups)
            of_image = _by_tiles(above, points, window, opposite, groups)
            return of_image, _gradient_of_kernel(image, above, kernel, border, groups)

        return _by_tiles(image, _points(kernel, groups), window, border, groups), gradient

    return convolve


def _by_tiles(image, points, window, border, groups):
    """The convolution of an image `[n, h, w, groups * c]` by a transformed kernel."""
    points_of_all, _, filters = points.shape
    tile = math.isqrt(points_of_all // groups)
    to_outputs, to_points, _ = _matrices(window, tile, image.dtype)
    side = tile - window + 1
    n, height, width, _ = ops.shape(image)
    height, width = (size + sum(border) - window + 1 for size in (height, width))
    rows, columns = -(-height // side), -(-width // side)
    at_points = _pixels_at_points(image, to_points, side, border, rows, columns, groups)
    products = ops.reshape(ops.matmul(at_points, points), (len(to_points), -1))
    outputs = ops.reshape(ops.matmul(to_outputs, products), (-1, filters))
    where = _places(n, height, width, side, rows, columns, groups)
    return ops.reshape(ops.take(outputs, where, axis=0), (n, height, width, groups * filters))


def _pixels_at_points(image, to_points, side, border, rows, columns, groups):
    """The transformed tiles of an image: `[points * groups, tiles, c]`."""
    channels = image.shape[-1] // groups
    tile = math.isqrt(len(to_points))
    tiles = _tiles(image, tile, side, border[0], rows, columns, groups)
    tiles = ops.reshape(tiles, (len(to_points), -1))
    return ops.reshape(ops.matmul(to_points, tiles), (len(to_points) * groups, -1, channels))


def _gradient_of_kernel(image, above, kernel, border, groups):
    """The gradient of a kernel from that of the outputs, `above`."""
    window, _, channels, filters = kernel.shape
    filters //= groups
    tile = tile_side(window, channels, filters)
    to_outputs, to_points, to_weights = _matrices(window, tile, image.dtype)
    side = tile - window + 1
    n, height, width, _ = ops.shape(above)
    rows, columns = -(-height // side), -(-width // side)
    at_points = _pixels_at_points(image, to_points, side, border, rows, columns, groups)
    tiles = ops.reshape(_tiles(above, side, side, 0, rows, columns, groups), (side**2, -1))
    shape = tile**2 * groups, n * rows * columns, filters
    products = ops.reshape(ops.matmul(to_outputs.T, tiles), shape)
    points = ops.matmul(ops.swapaxes(at_points, 1, 2), products)
    weights = ops.matmul(to_weights.T, ops.reshape(points, (len(to_points), -1)))
    weights = ops.reshape(weights, (window**2, groups, channels, -1))
    return ops.reshape(ops.swapaxes(weights, 1, 2), kernel.shape)


def _points(kernel, groups):
    """The transformed kernel, as `transformed_kernel` computes it."""
    window, _, channels, filters = kernel.shape
    weights = ops.reshape(kernel, (window**2, channels * filters))
    filters //= groups
    to_weights = _matrices(window, tile_side(window, channels, filters), kernel.dtype)[2]
    points = ops.reshape(ops.matmul(to_weights, weights), (-1, channels, groups, filters))
    return ops.reshape(ops.swapaxes(points, 1, 2), (-1, channels, filters))


def _turned(kernel, groups):
    """The kernel of the gradient of the image: turned by 180°, from filters to channels."""
    window, _, channels, filters = kernel.shape
    parts = ops.reshape(
        ops.flip(kernel, (0, 1)), (window, window, channels, groups, filters // groups)
    )
    return ops.reshape(
        ops.transpose(parts, (0, 1, 4, 3, 2)), (window, window, -1, channels * groups)
    )


def _tiles(image, side, step, before, rows, columns, groups):
    """The pixels of `rows × columns` tiles, one every `step` pixels.

    Pads with zeros: `before` at the top and left, what is missing at the bottom and right.

    Returns:
        `[side² * groups * n * rows * columns, c]`, in this order.
    """
    n, height, width, _ = ops.shape(image)
    down, across = ((count - 1) * step + side for count in (rows, columns))
    reach = [[0, 0], [before, down - before - height], [before, across - before - width], [0, 0]]
    pixels = ops.reshape(ops.pad(image, reach), (-1, image.shape[-1] // groups))
    return ops.take(
        pixels,
        _sums(
            ops.arange(side) * across * groups,
            ops.arange(side) * groups,
            ops.arange(groups),
            ops.arange(n) * down * across * groups,
            ops.arange(rows) * step * across * groups,
            ops.arange(columns) * step * groups,
        ),
        axis=0,
    )


def _places(n, height, width, side, rows, columns, groups):
    """Where `_tiles` would have put each pixel of an image that is cut into tiles: `[pixels]`."""
    y, x, tiles = ops.arange(height), ops.arange(width), n * rows * columns
    return _sums(
        ops.arange(n) * rows * columns,
        y % side * side * groups * tiles + y // side * columns,
        x % side * groups * tiles + x // side,
        ops.arange(groups) * tiles,
    )


def _sums(*vectors):
    """The sum of one value of each vector, for all choices, the last vector's first."""
    total = vectors[0]
    for vector in vectors[1:]:
        total = ops.reshape(total[:, None] + vector, (-1,))
    return total


def _matrices(window, tile, dtype):
    dtype = keras.backend.standardize_dtype(dtype)
    return [matrix.astype(dtype) for matrix in transforms(window, tile)]


def _border(padding, window):
    """The pixels of zeros before and behind the image."""
    borders = {
        "valid": (0, 0),
        "same": ((window - 1) // 2, window // 2),
        "full": (window - 1, window - 1),
    }
    if padding not in borders:
        raise ValueError(
            f'padding is "valid", "same" or "full"; received {padding!r}. Pass padding="same" for '
            "results of the size of the image."
        )
    return borders[padding]


def _check_options(layer):
    _check_window(layer.kernel_size)
    if {*layer.strides, *layer.dilation_rate} != {1} or layer.data_format != "channels_last":
        kind = type(layer).__name__
        raise ValueError(
            f"{kind} has strides and a dilation of 1, and channels last; received strides "
            f"{layer.strides}, dilation_rate {layer.dilation_rate} and data_format "
            f"{layer.data_format!r}. Take keras.layers.{kind.removeprefix('Winograd')}."
        )


def _check_window(kernel_size):
    if not has_transforms(kernel_size):
        raise ValueError(
            f"A window is a square with sides of {WINDOWS[0]} to {WINDOWS[-1]}; received "
            f"{' × '.join(map(str, kernel_size))}. Take keras.layers.Conv2D for others."
        )
