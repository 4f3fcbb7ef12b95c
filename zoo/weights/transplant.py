"""Copies weights into a model by the names of its layers.

All weights are checked before any is copied.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from zoo import registry
from zoo.spec import Spec
from zoo.weights.trunks import own_name

# The layers that are trained on ImageNet, VGG's and GoogLeNet's; fully connected ones are
# convolutions here.
TRUNK = re.compile(
    r"(conv\d+(_\d+)?|fc[67])(color|hha)?|conv1_1_bgrd|conv\d_\dx\d_?\w*|inception_\w+"
)
# Those that score the classes: fc8 in the ImageNet classifiers, the last two in SegNet.
SCORES = re.compile(r".*score.*|fc8|conv1_1_D|conv_classifier")
# The up-samplings between the skips, which the FCNs of 2015 learned.
LEARNED = ("upscore2", "upscore_pool4")
# FCN-8s at-once scales its pools by 0.01 and less: scores that were trained without would vanish.
SCALED = "scale_pool4"


@dataclasses.dataclass(frozen=True)
class Source:
    """The weights in a file.

    `name` is for messages. `layers` maps layer names to arrays in Keras's order and layouts:
    anything with a shape that NumPy can read, such as a variable or an array in an open file.
    `model` is the name in the zoo of the model that was saved, and `spec` its Spec, if known.
    `of_caffe` says that the file holds the fixed numbers of layers without weights, too. `trunk` is
    the one of the model's trunks that the layers are for. `error` is raised if the weights do not
    fit.
    """

    name: str
    layers: dict[str, list[Any]]
    model: str | None = None
    spec: Spec | None = None
    of_caffe: bool = False
    trunk: str = ""
    error: type[ValueError] = ValueError


Progress = Callable[[int, int], None]  # called with the numbers copied and the total


def fill(
    model: keras.Model,
    source: Source,
    *,
    fixed: Mapping[str, np.ndarray],
    remedy: str,
    progress: Progress,
) -> None:
    """Sets every weight of `model` from a source of the same net.

    `fixed` holds the values that the source must have for layers that are constants in `model`.
    `remedy` ends the error; `{name!r}` in it stands for the source.

    Raises:
        ValueError: Layers are missing on one side, shapes or constants differ, or numbers are not
            finite. All that does not fit is listed; `model` is unchanged.
    """
    layers = [layer for layer in model.layers if layer.weights]
    names = [layer.name for layer in layers] + list(fixed)
    shared = [layer for layer in layers if layer.name in source.layers]
    misfits = [
        f"{title}: {', '.join(lacking)}"
        for title, lacking in (
            ("not in the file", [name for name in names if name not in source.layers]),
            (f"not in {model.name}", sorted(name for name in source.layers if name not in names)),
        )
        if lacking
    ]
    kind = model.spec.model if hasattr(model, "spec") else model.name
    if source.model not in (None, kind) and kind in registry.list_models():
        misfits.insert(0, f"they were saved from {source.model}")
    misfits += filter(None, (_misfit(model, layer, source) for layer in shared))
    misfits += filter(None, (_other_constants(n, x, source) for n, x in fixed.items()))
    if misfits:
        raise source.error(
            f"The weights in {source.name} do not fit {model.name}, which is unchanged:\n"
            f"{_lines(misfits)}{remedy.format(name=source.name)}"
        )
    _copy([(layer, source.layers[layer.name]) for layer in layers], progress)


def fill_encoder(model: keras.Model, sources: Sequence[Source], *, progress: Progress) -> None:
    """Sets the layers that both have, and leaves the others unchanged.

    There is a source for each trunk of the model, and it must have the whole trunk. A score layer
    for another number of classes is left unchanged too, and so are the scores of pools that only
    one of the two nets scales.

    Raises:
        ValueError: No layer is shared, a layer of the trunk is missing, shapes differ, or numbers
            are not finite. `model` is unchanged.
    """
    shared = [
        (layer, source.layers[layer.name])
        for source in sources
        for layer in _shared_layers(model, source)
    ]
    _copy(shared, progress)


def _shared_layers(model: keras.Model, source: Source) -> list[keras.layers.Layer]:
    """The layers of one trunk of the model that the source fills, all of them checked."""
    layers = [x for x in model.layers if x.weights and x.name.endswith(source.trunk)]
    shared = [layer for layer in layers if layer.name in source.layers]
    if not shared:
        has, needs = (
            _listed(own_name(name, source.trunk) for name in names)
            for names in (sorted(source.layers), (layer.name for layer in layers))
        )
        raise source.error(
            f"encoder_weights copies layers by their names; {source.name} has {has}, and "
            f"{model.name} has {needs}. Give weights of the same trunk."
        )
    missing = [
        own_name(x.name, source.trunk)
        for x in layers
        if TRUNK.fullmatch(x.name) and x not in shared
    ]
    if missing:
        raise source.error(
            f"encoder_weights fills the whole trunk of {model.name}; {source.name} lacks "
            f"{_listed(missing)}. Give weights that hold these layers too; the fully connected "
            "ones belong to the trunk."
        )
    shared = [layer for layer in shared if _trained_classes(model, layer, source) is None]
    scaled = any(layer.name == SCALED for layer in model.layers)
    if scaled != (source.model == "fcn8s_atonce" or SCALED in source.layers):
        shared = [layer for layer in shared if not layer.name.startswith("score_pool")]
    misfits = list(filter(None, (_misfit(model, layer, source) for layer in shared)))
    if misfits:
        raise source.error(
            f"The weights in {source.name} do not fit the trunk of {model.name}, which is "
            f"unchanged:\n{_lines(misfits)}Build with the channels and widths of the trained "
            "model, or give weights of the same trunk."
        )
    return shared


def _misfit(model: keras.Model, layer: keras.layers.Layer, source: Source) -> str | None:
    """Why a layer cannot be filled."""
    arrays = source.layers[layer.name]
    have = [tuple(array.shape) for array in arrays]
    need = [tuple(weight.shape) for weight in layer.weights]
    if len(have) != len(need) or not all(map(_fits, have, need)):
        classes = _trained_classes(model, layer, source)
        option = "geometric_classes" if layer.name.endswith("_geo") else "classes"
        trained = "" if classes is None else f"; trained with {option}={classes}"
        return (
            f"{layer.name}: {_joined(have)} in the file, {_joined(need)} in {model.name}{trained}"
        )
    try:
        if not all(_is_finite(array) for array in arrays):
            return f"{layer.name}: it holds NaN or infinity; take earlier weights"
    except OSError as error:
        return f"{layer.name}: damaged ({error}); copy or download the file again"
    return None


def _fits(have: tuple[int, ...], need: tuple[int, ...]) -> bool:
    """Whether shapes are equal, or a fully connected kernel fits the convolution made of it."""
    return have == need or (len(need) == 4 and have == (math.prod(need[:3]), need[3]))


def _trained_classes(model: keras.Model, layer: keras.layers.Layer, source: Source) -> int | None:
    """The number of classes that a score layer was trained for, if nothing else differs."""
    have, need = tuple(source.layers[layer.name][0].shape), tuple(layer.weights[0].shape)
    if have == need[2:3] + have[-1:] and need[:2] == (1, 1):  # a fully connected kernel
        have = (1, 1, *have)
    classes = {answer.shape[-1] for answer in keras.tree.flatten(model.output)}
    if not SCORES.fullmatch(layer.name) or len(have) != len(need) or need[-1] not in classes:
        return None
    axes = 2 if layer.name.startswith("upscore") else 1  # whose length is the number of classes
    return have[-1] if have[:-axes] == need[:-axes] and have != need else None


def _other_constants(name: str, expected: np.ndarray, source: Source) -> str | None:
    arrays, hint = source.layers.get(name, [expected]), ""
    if len(arrays) == 1 and arrays[0].size == expected.size:
        found = np.asarray(arrays[0]).reshape(expected.shape)  # old files have ones in front
        if np.allclose(found, expected, rtol=1e-5, atol=1e-7):
            return None
        hint = "; trained ones load with upsampling='learned'" if name in LEARNED else ""
    return (
        f"{name}: {_joined([array.shape for array in arrays])} in the file, but fixed numbers "
        f"{list(expected.shape)} of at most {expected.max():g} are required{hint}"
    )


def _is_finite(array: Any) -> bool:
    # One row at a time: np.isfinite needs a byte for each number.
    parts = (array[()],) if len(array.shape) < 2 else (array[row] for row in range(array.shape[0]))
    return all(np.isfinite(_numbers(part)).all() for part in parts)


def _copy(filled: list[tuple[keras.layers.Layer, list[Any]]], progress: Progress) -> None:
    """Sets the weights of each layer from its arrays."""
    total = sum(math.prod(weight.shape) for layer, _ in filled for weight in layer.weights)
    done = 0
    for layer, arrays in filled:
        for weight, array in zip(layer.weights, arrays, strict=True):
            weight.assign(_numbers(array).reshape(weight.shape))
            done += math.prod(weight.shape)
            progress(done, total)


def _numbers(array: Any) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # overflow gives infinity, which is refused
        return np.asarray(array, dtype="float32")


def _lines(misfits: list[str]) -> str:
    return "".join(f"  {misfit}\n" for misfit in misfits)


def _joined(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(str(list(shape)) for shape in shapes)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + rest
