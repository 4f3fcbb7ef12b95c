"""Copies weights into a model by the names of its layers.

Everything that is to be copied is checked before anything in the model changes.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

# The layers that are trained on ImageNet; fully connected ones are convolutions here.
TRUNK = re.compile(r"conv\d+(_\d+)?|fc\d+")


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights from outside.

    `name` is for messages. `layers` maps names to arrays in Keras's order and layouts: anything
    with a shape that NumPy can read, such as a variable or an array in an open file.
    `model` is the name of the model that they were saved from, where that is known.
    """

    name: str
    layers: dict[str, list[Any]]
    model: str | None = None


def fill(model: keras.Model, source: Source, *, fixed: Mapping[str, np.ndarray]) -> None:
    """Sets every weight of `model` from a source that was made by the same net.

    `fixed` holds what the source must have for layers that are constants in `model`.

    Raises:
        ValueError: Another model, number of classes or width; a layer that one of the two lacks;
            other constants; numbers that are not finite. `model` is unchanged then.
    """
    if source.model not in (None, model.name):
        raise ValueError(
            f"{source.name} holds the weights of {source.model}, and this model is {model.name}. "
            f"Build {source.model}, or take the layers that both have with "
            f"encoder_weights={source.name!r}."
        )
    layers = [layer for layer in model.layers if layer.weights]
    names = [layer.name for layer in layers] + list(fixed)
    lacks = [
        f"{owner} lacks {_listed(lacking)}"
        for owner, lacking in (
            (source.name, [name for name in names if name not in source.layers]),
            (model.name, sorted(name for name in source.layers if name not in names)),
        )
        if lacking
    ]
    if lacks:
        raise ValueError(
            f"Weights fit the model that they were trained in; {', and '.join(lacks)}. Build that "
            f"model, or take the layers that both have with encoder_weights={source.name!r}."
        )
    for layer in layers:
        _check_shapes(model, layer, source)
    for name, expected in fixed.items():
        _check_fixed(name, expected, source)
    _copy(layers, source)


def fill_encoder(model: keras.Model, source: Source) -> None:
    """Sets the weights of the layers that both have and leaves the others as they are.

    The whole trunk must be there. A score layer for another number of classes is left as it is.

    Raises:
        ValueError: No layer or not the whole trunk is there, or shapes differ; numbers that are not
            finite. `model` is unchanged then.
    """
    layers = [layer for layer in model.layers if layer.weights]
    shared = [layer for layer in layers if layer.name in source.layers]
    if not shared:
        raise ValueError(
            f"encoder_weights copies layers by their names; {source.name} has "
            f"{_listed(sorted(source.layers))}, and {model.name} has "
            f"{_listed(layer.name for layer in layers)}. Give weights of the same trunk."
        )
    missing = [x.name for x in layers if TRUNK.fullmatch(x.name) and x not in shared]
    if missing:
        raise ValueError(
            f"encoder_weights fills the whole trunk of {model.name}; {source.name} lacks "
            f"{_listed(missing)}. Give weights that hold these layers too; the fully connected "
            "ones belong to the trunk."
        )
    shared = [layer for layer in shared if _trained_classes(model, layer, source) is None]
    for layer in shared:
        _check_shapes(model, layer, source)
    _copy(shared, source)


def _check_shapes(model: keras.Model, layer: keras.layers.Layer, source: Source) -> None:
    have = [tuple(array.shape) for array in source.layers[layer.name]]
    need = [tuple(weight.shape) for weight in layer.weights]
    if len(have) == len(need) and all(map(_fits, have, need)):
        return
    classes = _trained_classes(model, layer, source)
    if classes is not None:
        raise ValueError(
            f"{model.name} with classes={model.output_shape[-1]} has {layer.name} of shape "
            f"{list(need[0])}; {source.name} has {list(have[0])}: they were trained for {classes} "
            f"classes. Build with classes={classes}, or keep yours and take all but the scores "
            f"with encoder_weights={source.name!r}."
        )
    raise ValueError(
        f"{model.name} has {layer.name} with weights of shape {_joined(need)}; {source.name} has "
        f"{_joined(have)}. Build with the options that they were trained with: channels and the "
        "widths of the layers."
    )


def _fits(have: tuple[int, ...], need: tuple[int, ...]) -> bool:
    """The same shape, or a fully connected kernel of Keras's over a convolution's window."""
    return have == need or (len(need) == 4 and have == (math.prod(need[:3]), need[3]))


def _trained_classes(model: keras.Model, layer: keras.layers.Layer, source: Source) -> int | None:
    """The number of classes that a score layer was trained for, if that alone does not fit."""
    have, need = tuple(source.layers[layer.name][0].shape), tuple(layer.weights[0].shape)
    scores = "score" in layer.name and need[-1] == model.output_shape[-1]
    if scores and len(have) == len(need) and have[:-1] == need[:-1] and have != need:
        return have[-1]
    return None


def _check_fixed(name: str, expected: np.ndarray, source: Source) -> None:
    found = np.asarray(source.layers[name][0])
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-5, atol=1e-7):
        raise ValueError(
            f"{name} is fixed here and {source.name} holds other numbers: of shape "
            f"{list(found.shape)}, where the fixed ones have {list(expected.shape)} and a largest "
            f"of {expected.max():g}. Take the layers that both have with "
            f"encoder_weights={source.name!r}, and train on."
        )


def _copy(layers: list[keras.layers.Layer], source: Source) -> None:
    """Reads one array at a time, and each twice: all are checked before the first is copied."""
    for layer in layers:
        for array in source.layers[layer.name]:
            if not np.isfinite(_numbers(array, layer, source)).all():
                raise ValueError(
                    f"Weights are finite numbers; {source.name} has infinite or undefined ones in "
                    f"{layer.name}. Take weights from before the training diverged."
                )
    for layer in layers:
        for weight, array in zip(layer.weights, source.layers[layer.name], strict=True):
            weight.assign(_numbers(array, layer, source).reshape(weight.shape))


def _numbers(array: Any, layer: keras.layers.Layer, source: Source) -> np.ndarray:
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
            return np.asarray(array, dtype="float32")
    except OSError as error:
        raise ValueError(
            f"{source.name} is damaged in {layer.name}: {error}. Copy or download it again."
        ) from error


def _joined(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(str(list(shape)) for shape in shapes)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + rest
