"""How far the scores of a net see: what a tile must have around its interior."""

import math

import keras

from zoo import registry
from zoo.calls import calls
from zoo.layers import (
    BedOfNailsUnpooling,
    BilinearUpsampling,
    MaxPoolingWithArgmax,
    MaxUnpooling,
    NearestUnpooling,
)
from zoo.spec import Spec

# Options that say how wide a net is, and values with which it is built at once.
_WIDTHS = {"filters": 2, "fc_filters": 2, "stages": (2, 2, 2, 2, 2)}


def reach(model: keras.Model) -> tuple[int, int]:
    """How many pixels around it a score depends on, at most, and the net's largest stride.

    For nets of convolutions, poolings and up-samplings, as all of the zoo are. Of a net that sees
    the whole image, as by a mean over it, it does not tell that.

    Raises:
        ValueError: The model holds models, whose layers are not seen.
    """
    inner = [layer.name for layer in model.operations if isinstance(layer, keras.Model)]
    if inner:
        raise ValueError(
            f"How far a net sees is read off its layers; {model.name!r} holds the model "
            f"{inner[0]!r}. Build it of layers alone."
        )
    seen, strides = {}, [1]  # of each tensor: its stride and its reach, in pixels of the image
    for call in calls(model):
        layer = call.operation
        inputs = [seen[id(x)] for x in call.input_tensors] or [(1, 0)]
        stride, radius = max(x[0] for x in inputs), max(x[1] for x in inputs)
        window, down, up = window_of(layer)
        stride /= up
        radius += (window - 1) / 2 * stride
        stride *= down
        strides.append(stride)
        for output in call.outputs:
            seen[id(output)] = stride, radius
    largest = int(max(strides))
    # Windows with an even side lie half a stride aside, and crops are to whole pixels.
    return math.ceil(max(radius for _, radius in seen.values())) + 2 * largest, largest


def reach_of(spec: Spec) -> tuple[int, int]:
    """As `reach`, of the model that a Spec describes; it does not depend on its widths.

    Raises:
        ValueError: The zoo cannot build such a model.
    """
    widths = {name: width for name, width in _WIDTHS.items() if name in spec.options}
    return reach(registry.build(spec.model, **dict(spec.options) | widths))


def window_of(layer: keras.Layer) -> tuple[int, int, int]:
    """The side of a layer's window, and by how much it makes its input smaller, and larger."""

    def side(name: str) -> int:
        value = getattr(layer, name, 1)
        return max(value) if isinstance(value, tuple) else value

    window = max((side("kernel_size") - 1) * side("dilation_rate") + 1, side("pool_size"))
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return window, 1, side("strides")
    if isinstance(layer, BilinearUpsampling):
        return window, 1, layer.factor
    if isinstance(layer, keras.layers.UpSampling2D):
        return side("size"), 1, side("size")
    if isinstance(layer, MaxUnpooling | NearestUnpooling | BedOfNailsUnpooling):
        return window, 1, window
    if isinstance(layer, MaxPoolingWithArgmax):
        return window, window, 1
    return window, side("strides"), 1
