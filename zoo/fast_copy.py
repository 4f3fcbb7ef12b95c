"""A copy of a model that computes faster on CPUs, with the same answers."""

import collections
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from zoo import layers
from zoo.calls import calls
from zoo.layers.winograd import has_transforms, overlap, tile_side

# Multiplications that a layer has to save for each value that its transforms move. Measured on two
# cores with AVX-512, with windows of 3 × 3: at 130 (64 to 64 channels) up to 13 % are lost, at 173
# (64 to 128) 4 to 11 % are gained, at 260 (128 to 128) 30 %, at 520 (256 to 256) it is 2.5 times
# faster. In a U-Net, layers at 173 would cost a quarter more memory and save 1 % of the time, so
# they stay. In training they save 4 to 10 % of a step, because gradients become faster, too.
LEAST_GAIN, SHARE_TO_TRAIN = 190, 3 / 4

# The side of the tiles where rounding may turn a switch: a quarter of the error of tiles of 8 × 8.
PRECISE = 6

# The least side of a window that may become one product of matrices. To train, all such do: to
# transform a kernel of 400 MB in each step would take what it saves. In use, transposed ones do,
# and those that see few pixels.
LARGE = 5

# Products of channels and filters from which a window of one pixel becomes a product of matrices.
# Measured on the same two cores with fc7 of the FCNs: 1.2 times faster for one image of 16 × 16
# pixels, 1.3 times for four. With 1024 to 1024 channels both take the same time; between them was
# not measured.
WIDE = 4096 * 4096

# The FCNs pad by 100 pixels. Between the rows of a map that see the outer border of these zeros and
# those that see the image, all rows are equal, and so are columns. It is enough to pad by 12, and
# behind each of the first three pools to repeat one such row on each side: 8 × 2 + 10 × 4 + 4 × 8 =
# 88 pixels. Behind pool3 there are no such rows any more.
PADDING, ENOUGH = 100, 12
RINGS = ({"index": 1, "count": 8}, {"index": 2, "count": 10}, {"index": 4, "count": 4})

# The most convolutions before each of these pools for which that is so: those of VGG-19.
MOST_CONVOLUTIONS = (2, 2, 4)

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)

# Layers that see each pixel alone, as a convolution with a window of one pixel does.
POINTWISE = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.ReLU,
)


def faster(
    model: keras.Model, *, trainable: bool = False, keep_switches: bool = True
) -> keras.Model:
    """A copy of a model that computes the same with fewer multiplications, for CPUs.

    ```python
    model = zoo.faster(zoo.load("runs/coins"))
    ```

    - Convolutions with many channels are computed by Winograd's minimal filtering, some as a
      product of matrices; see `zoo.layers.WinogradConv2D` and `ProductConv2D`. The shape of a
      layer decides.
    - Kernels are transformed once, and each normalization is part of the kernel before it, if the
      copy is not trained.
    - What is constant in the 100 pixels of zeros around the image of an FCN is not computed.

    Scores differ by rounding, about 1e-5 of their range; where two scores are that close, so may
    the class of a pixel. The copy needs more memory: transformed kernels are larger. On GPUs it is
    not faster. Layers that do not compute in float32 stay as they are.

    Args:
        model: A functional model, such as `zoo.build` gives, or a Sequential. Its Spec goes along.
        trainable: Whether the copy is trained. It then shares its weights with the model, so that
            to train one trains both; kernels are transformed in each step, normalizations stay.
        keep_switches: Whether convolutions before a `zoo.layers.MaxPoolingWithArgmax` stay as they
            are. In a flat part of an image the values of a pooling window are equal, and the first
            is its maximum; after other roundings it may be another, and the scores differ by more.
            In a copy to train they always stay.

    Returns:
        The copy; with weights of its own, if it is not trained.

    Raises:
        ValueError: The model has no graph of layers.
    """
    if not getattr(model, "outputs", None):
        raise ValueError(
            "A faster copy is made of the layers of a functional model; received "
            f"{type(model).__name__}. Build it with keras.Model(inputs, outputs)."
        )
    spec = getattr(model, "spec", None)
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    followers = _followers(model)
    normalized = {} if trainable else _normalized(followers)
    absorbed = {layer.name for layer in normalized.values()}
    padded, rings = _rings(followers)
    switching = _before_switches(followers)
    kept = switching if keep_switches or trainable else set()
    undone = _undone(followers)
    made = []

    def clone(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, keras.Layer):  # an operation has no weights
            return layer
        if layer in padded:
            return type(layer).from_config(layer.get_config() | {"padding": ENOUGH})
        if trainable:
            gains = _gains(layer, share=SHARE_TO_TRAIN)
            return _to_train(layer) if gains and layer not in kept else layer
        if type(layer) in CONVOLUTIONS:
            precise = layer in switching and layer.kernel_size[0] < PRECISE
            tile = PRECISE if precise else None
            copy, weights = _to_use(
                layer,
                normalized.get(layer),
                gains=_gains(layer, tile) and layer not in kept,
                few_pixels=layer in undone,
                tile=tile,
            )
        else:
            copy, weights = _copied(layer), layer.get_weights()
        made.append((copy, weights))
        return copy

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        if layer.name in absorbed:
            return inputs[0]
        y = layer(*inputs, **options)
        if layer.name not in rings:
            return y
        options = rings[layer.name] | {"name": f"{layer.name}_ring", "dtype": layer.dtype_policy}
        return layers.RepeatNearBorder(**options)(y)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer, weights in made:
        if layer.built:  # an absorbed normalization was never called
            layer.set_weights(weights)
    if spec is not None:
        copy.spec = spec
    return copy


def on_processor() -> bool:
    """Whether Keras finds no GPU: there the copy is faster."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_physical_devices("GPU")
    return not any(
        "gpu" in device or "cuda" in device for device in keras.distribution.list_devices()
    )


def _copied(layer: keras.Layer) -> keras.Layer:
    """The layer made anew; one that its configuration does not make, such as a Lambda, itself."""
    try:
        return type(layer).from_config(layer.get_config())
    except (TypeError, ValueError, NotImplementedError):
        return layer


def _to_train(layer: keras.Layer) -> keras.Layer:
    """A faster form of a convolution, with the same weights; the layer itself, if it has none."""
    transposed = type(layer) is keras.layers.Conv2DTranspose
    if _is_product(layer):
        kind = layers.ProductConv2DTranspose if transposed else layers.ProductConv2D
    elif not transposed:
        kind = layers.WinogradConv2D
    elif layer.padding == "same":
        kind = layers.WinogradConv2DTranspose
    else:
        return layer
    form = kind.from_config(layer.get_config())
    # Keras shares layers, not weights: instead of being built, a form is given the layer's.
    setattr(form, "kernel" if transposed else "_kernel", layer.kernel)
    form.bias, form.input_spec, form.built = layer.bias, layer.input_spec, True
    return form


def _to_use(
    layer: keras.Layer,
    normalization: keras.Layer | None,
    *,
    gains: bool,
    few_pixels: bool,
    tile: int | None,
) -> tuple[keras.Layer, list[np.ndarray]]:
    """The form of a convolution and of the normalization behind it, and its weights.

    Where a large window sees few pixels, its kernel is all that takes time, and a transformed one
    is larger.
    """
    config, kernel = layer.get_config(), np.asarray(layer.kernel, "float64")
    bias = np.zeros(layer.filters) if layer.bias is None else np.asarray(layer.bias, "float64")
    transposed = type(layer) is keras.layers.Conv2DTranspose
    if transposed:  # from [r, r, filters, channels]
        kernel = kernel.swapaxes(2, 3)
    if normalization is not None:
        factor, shift = _line(normalization)
        kernel, bias = kernel * factor, bias * factor + shift
    alone = transposed or few_pixels or layer.kernel_size == (1, 1)
    by_product = gains and alone and _is_product(layer)
    if gains and not by_product:
        padding = {"valid": "full"}.get(layer.padding, "same") if transposed else layer.padding
        copy = layers.PreparedConv2D(
            layer.filters,
            layer.kernel_size[0],
            padding=padding,
            groups=getattr(layer, "groups", 1),
            activation=keras.activations.serialize(layer.activation),
            tile=tile,
            dtype=layer.dtype_policy,
            name=layer.name,
        )
        if transposed:
            kernel = kernel[::-1, ::-1]
        return copy, [layers.transformed_kernel(kernel, copy.groups, tile), bias]
    if transposed:
        kernel = kernel.swapaxes(2, 3)
    product = layers.ProductConv2DTranspose if transposed else layers.ProductConv2D
    kind = product if by_product else type(layer)
    return kind.from_config(config | {"use_bias": True}), [kernel, bias]


def _is_product(layer: keras.Layer) -> bool:
    """Whether a convolution with a large window, or one pixel, can be one product of matrices."""
    valid = layer.padding == "valid" and getattr(layer, "groups", 1) == 1
    return valid and (layer.kernel_size[0] >= LARGE or layer.kernel_size == (1, 1))


def _line(normalization: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    """What a batch normalization does in use: by which factor and shift of each channel."""
    mean, variance = normalization.moving_mean, normalization.moving_variance
    factor = 1 / np.sqrt(np.asarray(variance, "float64") + normalization.epsilon)
    if normalization.scale:
        factor = factor * np.asarray(normalization.gamma)
    shift = -np.asarray(mean, "float64") * factor
    return factor, shift + np.asarray(normalization.beta) if normalization.center else shift


def _gains(layer: keras.Layer, tile: int | None = None, share: float = 1) -> bool:
    """Whether a layer is a convolution that has a form with so few multiplications as to gain.

    Args:
        layer: Any layer.
        tile: The side of the tiles that it would have; by default that of `tile_side`.
        share: Of `LEAST_GAIN`, that is enough.
    """
    groups = getattr(layer, "groups", 1)
    if (
        type(layer) not in CONVOLUTIONS
        or {*layer.strides, *layer.dilation_rate} != {1}
        or layer.data_format != "channels_last"
        or layer.compute_dtype != "float32"
    ):
        return False
    window = layer.kernel_size[0]
    if layer.kernel_size == (1, 1):
        return _is_product(layer) and layer.input_spec.axes[-1] * layer.filters >= WIDE
    if not has_transforms(layer.kernel_size):
        return False
    if type(layer) is keras.layers.Conv2DTranspose and layer.padding == "same" and not window % 2:
        return False  # its paddings are those of "same" the other way round
    channels, filters = layer.input_spec.axes[-1] // groups, layer.filters // groups
    values = overlap(window, tile or tile_side(window, channels, filters))
    saved = (window**2 - values) * channels * filters
    return saved >= share * LEAST_GAIN * values * (channels + filters)


Followers = Mapping[keras.Layer, list[keras.Layer | None]]


def _followers(model: keras.Model) -> Followers:
    """The layers that take what a layer gives, one for each time; None for an output of the model.

    A layer that is called several times has the followers of all its calls.
    """
    found = collections.defaultdict(list)
    for call in calls(model):
        for tensor in call.input_tensors:
            found[_maker(tensor)].append(call.operation)
    for tensor in model.outputs:
        found[_maker(tensor)].append(None)
    return found


def _maker(tensor: keras.KerasTensor) -> keras.Layer:
    return tensor._keras_history.operation  # Keras has no public name for it


def _normalized(followers: Followers) -> dict[keras.Layer, keras.Layer]:
    """The batch normalization behind each convolution that nothing else takes the results of."""
    takers = collections.Counter(one for many in followers.values() for one in many)
    found = {}
    for layer, (first, *others) in followers.items():
        if (
            type(layer) in CONVOLUTIONS
            and type(first) is keras.layers.BatchNormalization
            and not others
            and takers[layer] == takers[first] == 1
            and layer.activation is keras.activations.linear
            and layer.data_format == "channels_last"
            and first.axis in (-1, 3)
            and first.compute_dtype == layer.compute_dtype == "float32"
        ):
            found[layer] = first
    return found


def _undone(followers: Followers) -> set[keras.Layer]:
    """Convolutions that a transposed one with the same large window undoes: DeconvNet's fc6."""

    def is_undone(layer, window):
        takers = followers.get(layer, ())
        if len(takers) != 1 or takers[0] is None:
            return False
        (taker,) = takers
        if type(taker) is keras.layers.Conv2DTranspose:
            same = taker.kernel_size == window and taker.strides == (1, 1)
            return same and _is_product(taker)
        alone = type(taker) in POINTWISE or getattr(taker, "kernel_size", None) == (1, 1)
        return alone and is_undone(taker, window)

    return {
        layer
        for layer in followers
        if type(layer) is keras.layers.Conv2D
        and _is_product(layer)
        and is_undone(layer, layer.kernel_size)
    }


def _before_switches(followers: Followers) -> set[keras.Layer]:
    """The layers on whose results the positions of maxima depend."""
    pools = [layer for layer in followers if isinstance(layer, layers.MaxPoolingWithArgmax)]
    found, waiting = set(), pools
    while waiting:
        taker = waiting.pop()
        givers = {layer for layer, takers in followers.items() if taker in takers} - found
        found |= givers
        waiting += givers
    return found


def _rings(followers: Followers) -> tuple[set[keras.Layer], dict[str, dict[str, int]]]:
    """The paddings of which a part is constant, and what is repeated behind which pool."""
    padded, rings = set(), {}
    for layer in followers:
        if type(layer) is keras.layers.ZeroPadding2D and {*sum(layer.padding, ())} == {PADDING}:
            pools = _first_pools(followers, layer)
            if len(pools) == len(RINGS):
                padded.add(layer)
                rings |= {pool.name: ring for pool, ring in zip(pools, RINGS, strict=True)}
    return padded, rings


def _first_pools(followers: Followers, layer: keras.Layer) -> list[keras.Layer]:
    """The pools behind a padding, as long as the layers are those of VGG's first three stages."""
    pools, convolutions, expected = [], 0, "valid"
    while len(pools) < len(RINGS) and len(followers[layer]) == 1:
        (layer,) = followers[layer]
        if type(layer) is keras.layers.Conv2D:
            convolutions += 1
            form = layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding
            if form != ((3, 3), (1, 1), (1, 1), expected):
                break
            expected = "same"
        elif type(layer) is keras.layers.MaxPooling2D:
            form = layer.pool_size, layer.strides, layer.padding
            if form != ((2, 2), (2, 2), "same") or convolutions > MOST_CONVOLUTIONS[len(pools)]:
                break
            pools.append(layer)
            convolutions = 0
        else:
            break
    return pools
