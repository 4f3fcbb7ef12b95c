"""Every model by its name: the builder that makes it and the card that describes it."""

import dataclasses
import difflib
import fnmatch
import inspect
from collections.abc import Callable
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known about a model before it is built.

    `parameters` counts the trainable ones at the default options. In pixels: `stride` lies between
    neighbouring scores before the last up-sampling of an FCN, and between neighbouring features at
    the bottom of DeconvNet and U-Net; `receptive_field` is what one feature at the bottom sees.
    `options` maps each keyword of the builder to its default.
    """

    name: str
    summary: str
    paper: str
    year: int
    parameters: int
    stride: int
    receptive_field: int
    classes: int
    options: dict[str, Any]
    weights_licence: str


_BUILDERS: dict[str, Callable[..., keras.Model]] = {}
_CARDS: dict[str, Card] = {}


def register(
    *,
    paper: str,
    year: int,
    parameters: int,
    stride: int,
    receptive_field: int,
    weights_licence: str,
) -> Callable:
    """Decorates a builder: its function name becomes the model's name, its docstring the summary.

    Raises:
        ValueError: The name is taken.
    """

    def decorate(builder: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
        name = builder.__name__
        if name in _BUILDERS:
            raise ValueError(f"Model names are unique; {name!r} is registered already. Rename it.")
        keywords = inspect.signature(builder).parameters.values()
        options = {keyword.name: keyword.default for keyword in keywords}
        _BUILDERS[name] = builder
        _CARDS[name] = Card(
            name=name,
            summary=inspect.getdoc(builder).partition("\n")[0],
            paper=paper,
            year=year,
            parameters=parameters,
            stride=stride,
            receptive_field=receptive_field,
            classes=options["classes"],
            options=options,
            weights_licence=weights_licence,
        )
        return builder

    return decorate


def list_models(pattern: str = "*") -> list[str]:
    """The names of the models that match a shell pattern, such as `"fcn*"`, sorted."""
    return sorted(name for name in _BUILDERS if fnmatch.fnmatchcase(name, pattern))


def describe(name: str) -> Card:
    """The card of a model.

    Raises:
        ValueError: No model has this name; the message holds the nearest names.
    """
    return _CARDS[_known(name)]


def build(name: str, **options: Any) -> keras.Model:
    """Builds a model by its name.

    Example:

    ```python
    model = zoo.build("fcn8s", classes=21)
    scores = model(images)  # [n, h, w, 3] RGB 0-255  →  [n, h, w, 21] float32
    ```

    Args:
        name: One of `list_models()`.
        **options: The builder's keywords; `describe(name).options` lists them with their defaults.

    Returns:
        A functional `keras.Model` called `name`.

    Raises:
        ValueError: Unknown name; the message holds the nearest names.
        TypeError: Unknown option; the message holds the builder's options.
    """
    known = _CARDS[_known(name)].options
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f"{name} has no option {', '.join(map(repr, unknown))}. Its options are "
            + ", ".join(f"{option}={default!r}" for option, default in known.items())
            + "."
        )
    return _BUILDERS[name](**options)


def _known(name: str) -> str:
    if name in _BUILDERS:
        return name
    near = difflib.get_close_matches(str(name).lower(), _BUILDERS, n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(
        f"A model is built by its name in the zoo; {name!r} is none of them. {hint}"
        f"The zoo has {', '.join(list_models())}."
    )
