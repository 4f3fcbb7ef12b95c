"""The way of an image through a model: its stages, their sizes, and what skips from one to another.

All is read from the layers of the model; nothing is computed.
"""

import dataclasses
import math
from typing import Any

import keras

from zoo.calls import calls
from zoo.layers import (
    BedOfNailsUnpooling,
    BilinearUpsampling,
    CaffeMaxPooling,
    CropLike,
    LocalResponseNormalization,
    MaxPoolingWithArgmax,
    MaxUnpooling,
    MirrorPadding,
    NearestUnpooling,
    PadToMultiple,
    ValidTile,
)

# What a layer is. Others, such as a ReLU, belong to the layer before them.
KINDS = {
    "image": (keras.layers.InputLayer,),
    "convolution": (keras.layers.Conv2D,),
    "pooling": (
        *(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D),
        *(CaffeMaxPooling, MaxPoolingWithArgmax),
    ),
    "normalization": (LocalResponseNormalization,),
    "unpooling": (
        *(MaxUnpooling, NearestUnpooling, BedOfNailsUnpooling),
        keras.layers.UpSampling2D,
    ),
    "deconvolution": (keras.layers.Conv2DTranspose, BilinearUpsampling),
    "sum or concatenation": (keras.layers.Add, keras.layers.Average, keras.layers.Concatenate),
    "padding or crop": (
        *(keras.layers.ZeroPadding2D, keras.layers.Cropping2D, CropLike, PadToMultiple),
        *(MirrorPadding, ValidTile),
    ),
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """Layers in a row of one kind that give one size, `(height, width, channels)`."""

    layers: tuple[str, ...]
    kind: str
    size: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Skip:
    """A way beside the main one, from a stage to another, by their places in the list of stages.

    `layers` lie on it, and `size` arrives. With `switches`, what arrives is where the maxima were.
    """

    start: int
    end: int
    layers: tuple[str, ...]
    size: tuple[int, int, int]
    switches: bool = False


@dataclasses.dataclass(eq=False)
class _Node:
    """A layer that is a part of the drawing, and those before it."""

    name: str
    kind: str
    size: tuple[int, int, int]
    before: "list[_Node]"
    depth: int
    switches: "_Node | None" = None


def anatomy(model: keras.Model, size: tuple[int, int]) -> tuple[list[Stage], list[Skip]]:
    """The stages of a model along its longest way, and the skips between them.

    ```python
    stages, skips = anatomy(model, (500, 500))
    stages[0].layers, stages[0].size  # (("image",), (500, 500, 3))
    ```

    Args:
        model: A model of the zoo. Its weights need not be there.
        size: Height and width of the image whose sizes are told.

    Raises:
        ValueError: The model has no layer that can be drawn, or cannot take the size.
    """
    last = _walked(model, size)
    main = [last]
    while main[0].before:
        main.insert(0, max(main[0].before, key=lambda node: node.depth))
    stages, places = [], {}
    for node in main:
        here = stages and (stages[-1].kind, stages[-1].size) == (node.kind, node.size)
        layers = (*stages.pop().layers, node.name) if here else (node.name,)
        stages.append(Stage(layers, node.kind, node.size))
        places[node] = len(stages) - 1
    skips = []
    for node in main:
        for start in node.before:
            beside = []
            while start not in places:
                beside.insert(0, start)
                (start,) = start.before  # a skip has one way
            if beside or places[start] < places[node] - 1:
                arrives = beside[-1] if beside else start
                names = tuple(x.name for x in beside)
                skips.append(Skip(places[start], places[node], names, arrives.size))
        if node.switches in places:
            skips.append(
                Skip(places[node.switches], places[node], (), node.switches.size, switches=True)
            )
    return stages, skips


def multiplications(model: keras.Model, size: tuple[int, int]) -> int:
    """How many multiplications the convolutions of a model take to answer one image.

    Those with zeros at a border count. The fixed up-samplings of the FCNs do not: they hold no
    weights, and take less than a thousandth of the rest.

    ```python
    multiplications(model, (500, 500)) / 1e9  # GMAC
    ```

    Args:
        model: A model of the zoo; its weights need not be there. With several inputs each has the
            size, and all heads count.
        size: Height and width of the image.
    """
    sizes, count = {}, 0
    for call, shape in _answers(model, size):
        sizes[id(call.outputs[0])] = shape
        layer = call.operation
        if isinstance(layer, keras.layers.Conv2D):
            count += math.prod((*shape[:2], *layer.kernel.shape))
        elif isinstance(layer, keras.layers.Conv2DTranspose):
            # Each pixel of what it takes is multiplied by the whole kernel.
            count += math.prod((*sizes[id(call.input_tensors[0])][:2], *layer.kernel.shape))
    return count


def _walked(model: keras.Model, size: tuple[int, int]) -> _Node:
    """The node of the model's answer."""
    made, node = {}, None
    sizes = _sizes(model, size)
    for call in calls(model):
        layer = call.operation
        inputs = [made[id(x)] for x in call.input_tensors if id(x) in made]
        kind = next((kind for kind, types in KINDS.items() if isinstance(layer, types)), None)
        if kind is None:
            node = inputs[0]
        else:
            # What a layer takes for its size alone is no way of the image.
            before = inputs[:1] if isinstance(layer, CropLike | MaxUnpooling) else inputs
            node = _Node(
                layer.name,
                kind,
                sizes[layer.name],
                before,
                depth=max((x.depth for x in before), default=0) + 1,
                switches=inputs[1] if isinstance(layer, MaxUnpooling) else None,
            )
        for output in call.outputs:
            made[id(output)] = node
    return made[id(keras.tree.flatten(model.output)[0])]


def _sizes(model: keras.Model, size: tuple[int, int]) -> dict[str, tuple[int, int, int]]:
    """The size that each layer gives, by its name."""
    return {call.operation.name: shape for call, shape in _answers(model, size)}


def _answers(model: keras.Model, size: tuple[int, int]) -> list[tuple[Any, tuple[int, int, int]]]:
    """Each call of a layer, in the order of computation, with the size of what it gives."""
    images = keras.tree.map_structure(
        lambda x: keras.KerasTensor((1, *size, x.shape[-1])), model.input
    )
    made = calls(model)
    # Not the outputs of the layers: one that models share has those of all of them.
    specs = keras.Model(model.input, [call.outputs[0] for call in made]).compute_output_spec(images)
    return [(call, tuple(spec.shape[1:])) for call, spec in zip(made, specs, strict=True)]
