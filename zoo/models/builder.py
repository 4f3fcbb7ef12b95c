"""What every builder does besides building: it says what it built, and reads that from files."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import keras

from zoo import spec
from zoo.weights.hdf5 import stored_spec


def builder(function: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """Decorates a builder: its model gets the attribute `spec`, a `zoo.Spec`.

    Where `weights` is a file with a Spec, the options must agree with it, and the class names and
    the background are the file's.

    Raises:
        ValueError: The options contradict the weights file.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def build(**options: Any) -> keras.Model:
        bound = signature.bind(**options)
        bound.apply_defaults()
        _check_name(bound.arguments["name"])
        file = bound.arguments["weights"]
        stored = None if file is None else stored_spec(file)
        if stored is not None:
            spec.check_agrees(stored, function.__name__, bound.arguments, where=str(file))
        model = function(**options)
        built = spec.of_options(function.__name__, bound.arguments)
        if stored is not None:
            built = built.named_as(stored)
        model.spec = built
        return model

    return build


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(
            "name holds at most 64 letters, digits, and . _ - only; received "
            f"{str(name)[:80]!r}. Give the model another name."
        )
