"""Max pooling that returns the positions of its maxima, and three kinds of unpooling."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class MaxPoolingWithArgmax(keras.layers.Layer):
    """Max pooling without overlap, which also returns the position of each maximum, its switch.

    >>> pooled, switches = zoo.layers.MaxPoolingWithArgmax()(image)
    >>> restored = zoo.layers.MaxUnpooling()(pooled, switches, like=image)

    Takes floats `[n, h, w, c]`; height and width may be odd or unknown. Returns `pooled`
    `[n, ceil(h / pool_size), ceil(w / pool_size), c]` and int32 `switches` of the same shape. A
    switch is the position of the maximum in its window, counted row by row: `pool_size * dy + dx`.
    Windows start at the top left. The last ones may extend past the border; the part there counts
    as minus infinity.

    On ties the first maximum gives the value and gets the whole gradient, exactly as in
    `tf.nn.max_pool_with_argmax` (`SAME`) on the CPU. A NaN also behaves as there: it is the maximum
    only if it is first in its window, and is ignored elsewhere. Check for NaNs before the pooling.

    Args:
        pool_size: Side of the window in pixels, at least 1.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `pool_size` is invalid.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, §2.1;
    Noh et al., "Learning Deconvolution Network for Semantic Segmentation", 2015, §3.2.1.
    """

    def __init__(self, pool_size: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _checked_pool_size(pool_size)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        p = self.pool_size
        height, width = ops.shape(image)[1:3]
        if image.shape[1] is None or image.shape[2] is None or height % p or width % p:
            reach = [[0, 0], [0, -height % p], [0, -width % p], [0, 0]]
            image = ops.pad(image, reach, constant_values=-float("inf"))
        switches = _first_maxima(ops.stop_gradient(image), p)
        return _gather(image, switches, p), switches

    def compute_output_shape(self, image_shape):
        n, height, width, channels = image_shape
        rows, columns = (s if s is None else -(-s // self.pool_size) for s in (height, width))
        return (n, rows, columns, channels), (n, rows, columns, channels)

    def compute_output_spec(self, image):
        # By default Keras would announce the switches in the layer's dtype, not in int32.
        pooled, switches = self.compute_output_shape(image.shape)
        return (
            keras.KerasTensor(pooled, dtype=self.compute_dtype),
            keras.KerasTensor(switches, dtype="int32"),
        )

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="zoo")
class MaxUnpooling(keras.layers.Layer):
    """Puts each pooled value back where its maximum was, and zeros elsewhere.

    >>> pooled, switches = zoo.layers.MaxPoolingWithArgmax()(image)
    >>> restored = zoo.layers.MaxUnpooling()(pooled, switches, like=image)

    Takes `pooled` `[n, h, w, c]` and `switches` of the same shape. With `like` `[n, H, W, any]`,
    the tensor that was pooled, the result is `[n, H, W, c]`; `h` must be `ceil(H / pool_size)`, and
    `w` `ceil(W / pool_size)`. Without `like` it is `[n, pool_size * h, pool_size * w, c]`.

    Args:
        pool_size: Side of the window of the pooling, in pixels.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `pool_size` is invalid. When called: the shapes do not match. Eagerly every
            size is checked; in a model or graph, the sizes that are fixed.

    Source: Noh et al., "Learning Deconvolution Network for Semantic Segmentation", 2015, §3.2.1.
    """

    def __init__(self, pool_size: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _checked_pool_size(pool_size)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, pooled, switches, like=None):
        _check_switches(pooled.shape, switches.shape)
        _check_like(pooled.shape, self.pool_size, None if like is None else like.shape)
        return _cropped(_scatter(pooled, switches, self.pool_size), like)

    def compute_output_shape(self, pooled_shape, switches_shape, like_shape=None):
        _check_switches(pooled_shape, switches_shape)
        return _restored_shape(pooled_shape, self.pool_size, like_shape)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="zoo")
class NearestUnpooling(keras.layers.Layer):
    """Repeats each pooled value over its whole window.

    >>> restored = zoo.layers.NearestUnpooling()(pooled, like=image)

    The call, the shapes and the errors are those of `MaxUnpooling`; `switches` may be given and
    are not used.
    """

    def __init__(self, pool_size: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _checked_pool_size(pool_size)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, pooled, switches=None, like=None):
        _check_like(pooled.shape, self.pool_size, None if like is None else like.shape)
        return _cropped(_join_windows([pooled] * self.pool_size**2, self.pool_size), like)

    def compute_output_shape(self, pooled_shape, switches_shape=None, like_shape=None):
        return _restored_shape(pooled_shape, self.pool_size, like_shape)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="zoo")
class BedOfNailsUnpooling(keras.layers.Layer):
    """Puts each pooled value at the top left of its window, and zeros elsewhere.

    >>> restored = zoo.layers.BedOfNailsUnpooling()(pooled, like=image)

    The call, the shapes and the errors are those of `MaxUnpooling`; `switches` may be given and
    are not used.
    """

    def __init__(self, pool_size: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _checked_pool_size(pool_size)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, pooled, switches=None, like=None):
        _check_like(pooled.shape, self.pool_size, None if like is None else like.shape)
        nails = [pooled] + [ops.zeros_like(pooled)] * (self.pool_size**2 - 1)
        return _cropped(_join_windows(nails, self.pool_size), like)

    def compute_output_shape(self, pooled_shape, switches_shape=None, like_shape=None):
        return _restored_shape(pooled_shape, self.pool_size, like_shape)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


def switches_to_flat_indices(
    switches, like, *, pool_size: int = 2, include_batch_in_index: bool = False
):
    """Converts switches to the indices that `tf.nn.max_pool_with_argmax` returns.

    >>> indices = switches_to_flat_indices(switches, like=image)

    An index is `(y * width + x) * channels + c`, and with `include_batch_in_index`
    `((b * height + y) * width + x) * channels + c`.

    Args:
        switches: int32 `[n, h, w, c]` of a `MaxPoolingWithArgmax`.
        like: The tensor that was pooled, `[n, H, W, any]`; only its height and width are used.
        pool_size: Side of the window of the pooling, in pixels.
        include_batch_in_index: Whether the indices count on from image to image.

    Returns:
        The indices `[n, h, w, c]`, int64; on JAX, which has no int64 by default, int32.
    """
    dtype = "int32" if keras.backend.backend() == "jax" else "int64"
    n, rows, columns, channels = ops.shape(switches)
    height, width = (ops.cast(size, dtype) for size in ops.shape(like)[1:3])
    switches = ops.cast(switches, dtype)
    top = ops.reshape(ops.arange(rows, dtype=dtype) * pool_size, (-1, 1, 1))
    left = ops.reshape(ops.arange(columns, dtype=dtype) * pool_size, (-1, 1))
    y, x = top + switches // pool_size, left + switches % pool_size
    indices = (y * width + x) * channels + ops.arange(channels, dtype=dtype)
    if include_batch_in_index:
        image = ops.reshape(ops.arange(n, dtype=dtype), (-1, 1, 1, 1))
        indices = indices + image * (height * width * channels)
    return indices


def flat_indices_to_switches(indices, like, *, pool_size: int = 2):
    """Converts the indices that `tf.nn.max_pool_with_argmax` returned to switches.

    >>> pooled, indices = tf.nn.max_pool_with_argmax(image, 2, 2, "SAME")
    >>> restored = MaxUnpooling()(pooled, flat_indices_to_switches(indices, like=image), like=image)

    Args:
        indices: `[n, h, w, c]`, with or without the batch in the index.
        like: The tensor that was pooled, `[n, H, W, any]`; only its height and width are used.
        pool_size: Side of the window of the pooling, in pixels.

    Returns:
        int32 switches `[n, h, w, c]`.
    """
    channels = ops.shape(indices)[3]
    height, width = (ops.cast(size, indices.dtype) for size in ops.shape(like)[1:3])
    pixel = indices // channels
    y, x = pixel // width % height, pixel % width
    return ops.cast(y % pool_size * pool_size + x % pool_size, "int32")


def _first_maxima(image, p):
    """The first position of the maximum in each window; the image is a whole number of windows."""
    first, *others = _split_windows(image, p)
    best, switches = first, ops.zeros_like(first, dtype="int32")
    for position, candidate in enumerate(others, start=1):
        wins = candidate > best
        best = ops.where(wins, candidate, best)
        switches = ops.where(wins, position, switches)
    return switches


# Gathering and scattering are each other's gradient. The gradients are written out, because then
# they need only the switches. On ties the first maximum gets the whole gradient; `ops.max` would
# split it.


def _gather(image, switches, p):
    """Takes from each window of `image` the value at the position of its switch."""

    @ops.custom_gradient
    def gather(image, switches):
        def gradient(*inputs, upstream=None):
            upstream = inputs[0] if upstream is None else upstream
            return _scatter(upstream, switches, p), None

        chosen, *others = reversed(_split_windows(image, p))
        for distance, candidate in enumerate(others, start=2):
            chosen = ops.where(ops.equal(switches, p * p - distance), candidate, chosen)
        return chosen, gradient

    return gather(image, switches)


def _scatter(values, switches, p):
    """Puts each value at the position of its switch in an image that is zero elsewhere."""

    @ops.custom_gradient
    def scatter(values, switches):
        def gradient(*inputs, upstream=None):
            upstream = inputs[0] if upstream is None else upstream
            return _gather(upstream, switches, p), None

        nothing = ops.zeros((), dtype=values.dtype)
        positions = [ops.where(ops.equal(switches, i), values, nothing) for i in range(p * p)]
        return _join_windows(positions, p), gradient

    return scatter(values, switches)


def _split_windows(image, p):
    """Gives one tensor `[n, rows, columns, c]` per position in the window, row by row."""
    _, height, width, channels = ops.shape(image)
    rows, columns = height // p, width // p
    windows = ops.reshape(image, (-1, p, columns, p, channels))
    return [
        ops.reshape(position, (-1, rows, columns, channels))
        for band in ops.unstack(windows, p, axis=1)
        for position in ops.unstack(band, p, axis=2)
    ]


def _join_windows(positions, p):
    """The inverse of `_split_windows`."""
    _, rows, columns, channels = ops.shape(positions[0])
    positions = [ops.reshape(position, (-1, columns, channels)) for position in positions]
    bands = [ops.stack(positions[start : start + p], axis=2) for start in range(0, p * p, p)]
    return ops.reshape(ops.stack(bands, axis=1), (-1, rows * p, columns * p, channels))


def _cropped(restored, like):
    if like is None:
        return restored
    height, width = ops.shape(like)[1:3]
    return restored[:, :height, :width]


def _restored_shape(pooled_shape, p, like_shape):
    _check_like(pooled_shape, p, like_shape)
    n, rows, columns, channels = pooled_shape
    if like_shape is None:
        return n, rows and rows * p, columns and columns * p, channels
    return n, like_shape[1], like_shape[2], channels


def _check_like(pooled_shape, p, like_shape):
    if like_shape is None:
        return
    for side, axis in (("height", 1), ("width", 2)):
        pooled, size = pooled_shape[axis], like_shape[axis]
        if pooled is not None and size is not None and -(-size // p) != pooled:
            raise ValueError(
                f"Unpooling restores the size before the pooling: with pool_size {p}, a pooled "
                f"{side} of {pooled} comes from {p * pooled - p + 1} to {p * pooled}; received "
                f"like with a {side} of {size}. Pass as like the tensor that was pooled."
            )


def _check_switches(pooled_shape, switches_shape):
    pairs = zip(pooled_shape, switches_shape, strict=True)
    if any(a != b for a, b in pairs if a is not None and b is not None):
        raise ValueError(
            f"Each pooled value has one switch; received pooled of shape {tuple(pooled_shape)} "
            f"and switches of shape {tuple(switches_shape)}. Pass the switches of the pooling "
            "that this layer undoes."
        )


def _checked_pool_size(pool_size):
    if not isinstance(pool_size, int) or pool_size < 1:
        raise ValueError(
            f"pool_size is a whole number of at least 1; received {pool_size!r}. Pass pool_size=2, "
            "for example."
        )
    return pool_size
