"""What every builder does besides building: it says what it built, and reads that from files."""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras

from zoo import spec
from zoo.class_names import CLASS_NAMES
from zoo.models.options import (
    MAX_CLASSES,
    Choices,
    check_parameters,
    checked,
    parameters_at_most,
)
from zoo.models.plain import heads
from zoo.weights.hdf5 import stored_spec
from zoo.weights.imagenet import IMAGENET

# The types in which layers may hold weights and compute. Halves lose what a solver adds to a
# weight, and the quantized types are not for a whole model.
POLICIES = ("float32", "float64", "mixed_float16", "mixed_bfloat16")


def builder(
    function: Callable[..., keras.Model] | None = None,
    *,
    most_classes: int = MAX_CLASSES,
    choices: Choices = MappingProxyType({}),
    bound: Callable[[Mapping[str, Any]], int] = parameters_at_most,
    **defaults: Sequence[float],
) -> Callable:
    """Decorates a builder: its model gets the attribute `spec`, a `zoo.Spec`.

    The builder gets its options checked. Where `weights` is a file with a Spec, the options must
    agree with it, and the class names and the background are the file's. Of Keras's global settings
    the dtype policy counts; images are float32 `[n, h, w, channels]` whatever the others say.

    Args:
        function: The builder; None where the decorator is called with what follows.
        most_classes: The largest number of classes of the builder's models.
        choices: The builder's options that are choices: for each its words, the default first, and
            what they mean. An error names them.
        bound: How many parameters a model of the checked options has at most. The builder has it
            as the attribute `parameters_at_most`.
        **defaults: `mean` and `channel_order` of an image with the authors' channels, where they
            are not VOC's.

    Raises:
        ValueError: An option is invalid, the options contradict the weights file, or a global
            setting of Keras does not suit.
    """
    if function is None:
        return functools.partial(
            builder, most_classes=most_classes, choices=choices, bound=bound, **defaults
        )
    signature = inspect.signature(function)

    @functools.wraps(function)
    def build(**options: Any) -> keras.Model:
        given = signature.bind(**options)
        given.apply_defaults()
        options = checked(given.arguments, most_classes=most_classes, choices=choices, **defaults)
        check_parameters(options, bound(options))
        _check_name(options["name"])
        file = options["weights"]
        stored = None if file is None else stored_spec(file)
        if stored is not None:
            spec.check_agrees(stored, function.__name__, options, where=str(file))
        with _settings():
            model = function(**options)
        built = spec.of_options(function.__name__, options, heads=heads(model))
        if stored is not None:
            built = built.named_as(stored)
        elif file == IMAGENET:
            built = built.replace(class_names=CLASS_NAMES[IMAGENET])
        model.spec = built
        return model

    build.parameters_at_most = bound
    return build


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Checks Keras's global types, and sets its image format to channels last for the block."""
    if keras.config.floatx() != "float32":
        raise ValueError(
            "Images and scores are float32, so keras.config.floatx() must be 'float32'; received "
            f"{keras.config.floatx()!r}. Call keras.config.set_floatx('float32'), and choose the "
            "type of the layers with keras.config.set_dtype_policy('mixed_float16'), for example."
        )
    policy = keras.config.dtype_policy().name
    if policy not in POLICIES:
        raise ValueError(
            f"The dtype policy of a model is one of {', '.join(POLICIES)}; received {policy!r}. "
            "Call keras.config.set_dtype_policy('float32'), for example, before building."
        )
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(
            "name holds at most 64 letters, digits, and . _ - only; received "
            f"{str(name)[:80]!r}. Give the model another name."
        )
