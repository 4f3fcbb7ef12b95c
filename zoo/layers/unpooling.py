"""Max pooling that remembers where its maxima were, and the field's three unpoolings."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class MaxPoolingWithArgmax(keras.layers.Layer):
    """Max pooling over windows that do not overlap, with the switches that undo it.

    >>> pooled, switches = zoo.layers.MaxPoolingWithArgmax()(image)
    >>> restored = zoo.layers.MaxUnpooling()(pooled, switches, like=image)

    Takes floats `[n, h, w, c]`; height and width may be odd or unknown. Returns `pooled`, of
    `[n, ceil(h / pool_size), ceil(w / pool_size), c]`, and int32 `switches` of the same shape. A
    switch is the position of the maximum inside its window, counted row by row:
    `pool_size * dy + dx`. Windows start at the top left; the last ones may reach past the border,
    and what lies there never wins.

    On ties the first position takes the value and the gradient, exactly like
    `tf.nn.max_pool_with_argmax` (`SAME`) on the CPU. As there, a NaN wins only in the first
    position of its window and is passed over elsewhere, so look for NaNs before the pooling.

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
        # Keras would give the switches the layer's own dtype.
        pooled, switches = self.compute_output_shape(image.shape)
        return (
            keras.KerasTensor(pooled, dtype=self.compute_dtype),
            keras.KerasTensor(switches, dtype="int32"),
        )

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="zoo")
class MaxUnpooling(keras.layers.Layer):
    """Puts each pooled value back where its maximum was; zeros elsewhere.

    >>> pooled, switches = zoo.layers.MaxPoolingWithArgmax()(image)
    >>> restored = zoo.layers.MaxUnpooling()(pooled, switches, like=image)

    Takes `pooled` `[n, h, w, c]` and `switches` of the same shape. The result has the height and
    width of `like` `[n, H, W, any]`, which must be such that `ceil(H / pool_size)` is `h` and
    `ceil(W / pool_size)` is `w`; without `like` it is `[n, pool_size * h, pool_size * w, c]`.
    Shapes that do not match are an error where they are known: eagerly, and in a model or graph
    for the sizes that are fixed there.

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
    """Puts each pooled value in the top left position of its window; zeros elsewhere.

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
    """The indices that `tf.nn.max_pool_with_argmax` gives for these switches.

    >>> indices = switches_to_flat_indices(switches, like=image)

    `like` is the tensor that was pooled; its height and width count. An index is
    `(y * width + x) * channels + c`, and with `include_batch_in_index`
    `((b * height + y) * width + x) * channels + c`. The result is int64; on the JAX backend, which
    has no int64 by default, int32.
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
    """The int32 switches for indices that `tf.nn.max_pool_with_argmax` gave.

    >>> pooled, indices = tf.nn.max_pool_with_argmax(image, 2, 2, "SAME")
    >>> restored = MaxUnpooling()(pooled, flat_indices_to_switches(indices, like=image), like=image)

    `like` is the tensor that was pooled; its height and width count. Indices with and without
    the batch are both understood.
    """
    channels = ops.shape(indices)[3]
    height, width = (ops.cast(size, indices.dtype) for size in ops.shape(like)[1:3])
    pixel = indices // channels
    y, x = pixel // width % height, pixel % width
    return ops.cast(y % pool_size * pool_size + x % pool_size, "int32")


def _first_maxima(image, p):
    """The position of the maximum in each window of an image that is whole windows."""
    first, *others = _split_windows(image, p)
    best, switches = first, ops.zeros_like(first, dtype="int32")
    for position, candidate in enumerate(others, start=1):
        wins = candidate > best
        best = ops.where(wins, candidate, best)
        switches = ops.where(wins, position, switches)
    return switches


# Gathering and scattering are each other's gradient. Written out, the gradients need nothing but
# the switches, and are exact on ties, among which that of `ops.max` would be divided.


def _gather(image, switches, p):
    """From each window of `image` the value that its switch names."""

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
    """Each value where its switch says, in an image of whole windows that is zero elsewhere."""

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
    """One tensor `[n, rows, columns, c]` for each position in a window, row by row."""
    _, height, width, channels = ops.shape(image)
    rows, columns = height // p, width // p
    windows = ops.reshape(image, (-1, p, columns, p, channels))
    return [
        ops.reshape(position, (-1, rows, columns, channels))
        for band in ops.unstack(windows, p, axis=1)
        for position in ops.unstack(band, p, axis=2)
    ]


def _join_windows(positions, p):
    """The image of which `_split_windows` gives these positions."""
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
                f"Unpooling restores the tensor that was pooled: a pooled {side} of {pooled} with "
                f"pool_size {p} restores {p * pooled - p + 1} to {p * pooled}; received like with "
                f"a {side} of {size}. Pass as like the tensor that was pooled."
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
        raise ValueError(f"pool_size must be an integer from 1 on; received {pool_size!r}.")
    return pool_size
