"""Which layers of a file stay in float32 while all others compute in integers, by measured pixels.

A layer that has an operation without a form in int8 stays in float32 as a whole: rounding between
its operations would cost accuracy and time. For `"mixed"`, more do:

1. Each layer is made integer alone, all others in float32, and the pixels are counted to which the
   file then gives another class than the model.
2. While the file disagrees on more than `GOAL` of the pixels, the layer that changed the most alone
   stays in float32, too.

The pixels are those of the images that the file is checked with. A transposed convolution, as a
U-Net has, stays integer: the converter offers no other choice.
"""

import dataclasses
import re
from collections.abc import Callable, Container, Iterable, Mapping

import keras

from exports.formats import flatbuffer, quantization

GOAL = 0.01
"""The share of the pixels on which a file may disagree, if no smaller one was asked for."""

MOST = 0.5
"""The largest share of the layers that are taken out."""

# The converter makes it integer whatever nodes are named.
_ALWAYS_INTEGER = {"TRANSPOSE_CONV"}

Quantize = Callable[[Iterable[str]], flatbuffer.Model]
"""Gives the tables of the file in which the named nodes stay in float32."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """The layers that were left in float32, in the order in which they were chosen.

    Args:
        disagreement: Of the file without any of them, a share of the pixels.
        layers: The name of each, what it changed `alone`, and the `disagreement` once it was left.
    """

    disagreement: float
    layers: tuple[Mapping[str, str | float], ...] = ()


def layers_of(tables: flatbuffer.Model, model: keras.Model) -> dict[str, set[str]]:
    """The nodes of each layer that computes, by its name, in the order of the file.

    `tables` are those of the calibrated file, whose names the converter knows. What copies, such as
    a padding, belongs to the layer before it, and the argmax to the last one.
    """
    known, found, last = {layer.name for layer in model.layers}, {}, None
    for operation, operator, graph in flatbuffer.uses(tables):
        names = {graph.tensors[index].name.decode() for index in operator.outputs}
        layer = next(filter(None, (_layer(name, known) for name in sorted(names))), None)
        if layer is not None and operation not in quantization.COPIES | _ALWAYS_INTEGER:
            found.setdefault(layer, set())
            last = layer
        home = layer if layer in found else last
        if home is not None:
            found[home] |= names
    return found


def _layer(name: str, known: Container[str]) -> str | None:
    """The layer in the scopes of a tensor's name, such as `unet_1/conv_1/Relu;unet_1/conv_1/Bias`.

    The scopes of a second call end in `_1`.
    """
    for scope in name.split(";")[0].split("/"):
        for layer in (re.sub(r"_\d+$", "", scope), scope):
            if layer in known:
                return layer
    return None


def partly_in_float(tables: flatbuffer.Model, layers: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The layers of which an operation computes in float32."""
    floats = {
        _layer(graph.tensors[index].name.decode(), layers)
        for operation, operator, graph in flatbuffer.uses(tables)
        for index in operator.outputs
        if quantization.computes_in_float(operation, graph.tensors[index])
    }
    return tuple(layer for layer in layers if layer in floats)


def choose(
    quantize: Quantize,
    layers: Mapping[str, set[str]],
    kept: tuple[str, ...],
    disagreement: Callable[[flatbuffer.Model], float],
    goal: float,
    report: Callable[[str], None],
) -> Choice:
    """Chooses the layers, besides the `kept` ones, that stay in float32.

    Args:
        quantize: See `Quantize`.
        layers: As `layers_of` gives them.
        kept: Those that stay in float32 anyway.
        disagreement: The share of the pixels on which a file disagrees with the model.
        goal: The share at which no further layer is left.
        report: Called with a line on each measurement.
    """

    def measured(floats: Iterable[str]) -> float:
        return disagreement(quantize(nodes_of(layers, floats)))

    plain = measured(kept)
    report(f"All layers in integers: {plain:.2%} of the pixels have another class")
    if plain <= goal:
        return Choice(plain)
    others = [layer for layer in layers if layer not in kept]
    alone = {}
    for layer in others:
        alone[layer] = measured(one for one in layers if one != layer)
        report(f"{layer} alone in integers: {alone[layer]:.2%}")
    chosen, best = [], 0
    for layer in sorted(others, key=alone.get, reverse=True)[: int(MOST * len(others))]:
        left = [*(one["layer"] for one in chosen), layer]
        found = measured([*kept, *left])
        chosen.append({"layer": layer, "alone": alone[layer], "disagreement": found})
        report(f"{', '.join(left)} in float32: {found:.2%}")
        if found < min([plain, *(one["disagreement"] for one in chosen[:best])]):
            best = len(chosen)
        if found <= goal:
            break
    return Choice(plain, tuple(chosen[:best]))


def nodes_of(layers: Mapping[str, set[str]], names: Iterable[str]) -> list[str]:
    """The nodes of these layers."""
    return sorted(set().union(*(layers[name] for name in names)))
