"""The trunks of a model, and which layers of a trained net each of them takes.

Most nets have one trunk, whose layers have the same names in the net that it comes from. The nets
that fuse colour and depth differ, and these are the rules of their authors: `solve.py` of
`nyud-fcn32s-color-d` and `nyud-fcn32s-color-hha` in github.com/shelhamer/fcn.berkeleyvision.org.

- Late fusion has a trunk for each input, and its layers' names end in the name of the input.
- Early fusion begins with `conv1_1_bgrd`, which takes the kernel of `conv1_1`, and for the depth
  the mean of that kernel over its channels.
"""

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

COLOUR, FUSED = "conv1_1", "conv1_1_bgrd"

Paths = str | os.PathLike | Mapping[str, str | os.PathLike]
"""Where weights of trunks come from: one path for all of them, or one for each by its name."""


def trunks(model: keras.Model) -> tuple[str, ...]:
    """What ends the names of the layers of each trunk: nothing, where a model has one."""
    return tuple(model.input) if isinstance(model.input, dict) else ("",)


def by_trunk(model: keras.Model, paths: Paths) -> dict[str, str | os.PathLike]:
    """The path for each trunk.

    Raises:
        ValueError: The model has one trunk and a mapping is given, or a path is missing or for
            another trunk.
    """
    names = trunks(model)
    if not isinstance(paths, Mapping):
        return dict.fromkeys(names, paths)
    if names == ("",):
        raise ValueError(
            f"A model of one trunk takes one file; {model.name} received "
            f"{', '.join(map(repr, paths))}. Pass the path alone."
        )
    if set(paths) != set(names):
        raise ValueError(
            f"encoder_weights of {model.name} has a file for each of its trunks, "
            f"{' and '.join(names)}; received {', '.join(map(repr, paths)) or 'none'}. Pass "
            f"{{{', '.join(f'{name!r}: …' for name in names)}}}, or one path for all."
        )
    return {name: paths[name] for name in names}


def renamed(model: keras.Model, layers: Mapping[str, Any], trunk: str) -> dict[str, Any]:
    """The layers of a file by the names that they have in a trunk of the model."""
    own = {layer.name for layer in model.layers if layer.weights}
    if trunk and any(name.endswith(trunk) and name in own for name in layers):
        return dict(layers)  # it was saved from a net with these trunks
    named = {name + trunk: arrays for name, arrays in layers.items()}
    if FUSED in own and COLOUR in named and FUSED not in named:
        named[FUSED] = named.pop(COLOUR)
    return named


def with_depth(model: keras.Model, layers: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The layers with a first kernel for the depth too, where that of the file is for colour.

    Args:
        model: A model of early fusion, or any other.
        layers: By their names in the model and in Keras's layouts.
    """
    first = next((layer for layer in model.layers if layer.name == FUSED), None)
    if first is None or FUSED not in layers:
        return dict(layers)
    kernel, *bias = layers[FUSED]
    rows, columns, channels, filters = first.kernel.shape
    if tuple(kernel.shape) != (rows, columns, channels - 1, filters):
        return dict(layers)
    kernel = np.asarray(kernel)
    depth = kernel.mean(axis=2, keepdims=True)
    return {**layers, FUSED: [np.concatenate([kernel, depth], axis=2), *bias]}


def own_name(name: str, trunk: str) -> str:
    """The name that a layer of a trunk has in the net that it comes from.

    >>> own_name("fc6hha", "hha"), own_name("conv1_1_bgrd", "")
    ('fc6', 'conv1_1')
    """
    return COLOUR if name == FUSED else name.removesuffix(trunk)
