"""What a trained model is: a `Spec`, which is written into its weights file and its exports."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

MAX_BYTES = 1 << 15
"""The largest Spec that is written or read, as JSON text. One of 255 classes has about 10 kB,
one of ImageNet's 1000 has 27."""

MAX_CLASSES = 1000
"""Those of ImageNet; a class map holds 255 at most, which the builders of its models check."""

MAX_NAME = 128
MAX_OPTIONS = 64

_FORMAT = 1
_NOT_OPTIONS = ("name", "weights", "encoder_weights")
# They do not change what the weights mean: dropout acts in training only, and where U-Net scores a
# tile, it scores it alike in a mirrored image. Padded with zeros it is another function.
_FREE = {"dropout": None, "border": ("mirror", "valid")}


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the class numbers of one head mean; the fields are those of a `Spec`."""

    class_names: tuple[str, ...] | None = None
    background: int | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that must be known to use trained weights.

    ```python
    spec = zoo.read_spec("runs/coins/model.weights.h5")
    spec.model, spec.options["filters"], spec.class_names  # "unet", 16, ("background", "coin")
    ```

    Args:
        model: Name in the zoo.
        options: Every option of its builder with its value, those left at their defaults too.
            Values are numbers, texts, lists or None.
        class_names: The name of each class, in the order of the class numbers; None if unknown.
        background: The number of the class that is background; None if no class is.
        colours: Red, green and blue, 0-255, of each class; None for VOC's palette.
        head: Of a net with several heads, the one that the classes above are of: the first, or the
            only one that is used. Its number of classes is the option `HEAD_classes`, or else
            `classes`. None for a net with one head.
        other_heads: The labels of the heads after the first, by their names.

    Raises:
        ValueError: A field breaks its rule; the message names the rule and the value.
    """

    model: str
    options: Mapping[str, Any]
    class_names: tuple[str, ...] | None = None
    background: int | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None
    head: str | None = None
    other_heads: Mapping[str, Labels] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not (isinstance(self.model, str) and self.model.isidentifier() and len(self.model) < 65):
            raise ValueError(f"A model's name is that of its builder; received {self.model!r}.")
        options = _plain(self.options)
        if wrong := sorted(set(options) & set(_NOT_OPTIONS)):
            raise ValueError(f"options are what a model is; {wrong[0]} is not one of them.")
        object.__setattr__(self, "options", options)
        _check_heads(self.head, self.other_heads)
        classes = self.classes
        whole = isinstance(classes, int) and not isinstance(classes, bool)
        if not whole or not 2 <= classes <= MAX_CLASSES:
            raise ValueError(
                f"options holds classes, from 2 to {MAX_CLASSES}; received {classes!r}. Pass the "
                "number of classes."
            )
        if self.class_names is not None:
            object.__setattr__(self, "class_names", _checked_names(self.class_names, classes))
        _check_background(self.background, classes)
        if self.colours is not None:
            colours = tuple(tuple(colour) for colour in self.colours)
            object.__setattr__(self, "colours", colours)
            _check_colours(colours, classes)
        others = {name: _checked_labels(self, name) for name in self.other_heads}
        object.__setattr__(self, "other_heads", others)
        self.to_json()  # its length is checked before anything is trained

    @property
    def classes(self) -> int:
        """The number of classes, of the head that the class names are of."""
        return self.options.get(f"{self.head}_classes", self.options.get("classes"))

    @property
    def channels(self) -> int:
        """The number of channels of an image; of a net with several inputs that of all together."""
        others = [self.options[name] for name in self.options if name.endswith("_channels")]
        return self.options.get("channels", 3) + sum(others)

    @property
    def heads(self) -> tuple[str, ...]:
        """The names of the heads, the first one first; none for a net with one head."""
        return (self.head, *self.other_heads) if self.other_heads else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, or "class 0", "class 1", … where they are unknown."""
        return self.class_names or tuple(f"class {number}" for number in range(self.classes))

    def replace(self, **fields: Any) -> "Spec":
        """A copy with other values in these fields."""
        return dataclasses.replace(self, **fields)

    def named_as(self, other: "Spec") -> "Spec":
        """A copy with the class names, the background and the colours of another Spec."""
        return self.replace(
            class_names=other.class_names,
            background=other.background,
            colours=other.colours,
            head=other.head,
            other_heads=other.other_heads,
        )

    def of_head(self, name: str) -> "Spec":
        """The Spec of one head alone.

        Raises:
            ValueError: The net has no such head.
        """
        if name == self.head:
            return self.replace(other_heads={})
        if name not in self.other_heads:
            has = f"has the heads {', '.join(self.heads)}" if self.heads else "has one head"
            raise ValueError(
                f"A head is chosen by its name; {self.model} {has}, and received {name!r}. "
                + ("Pass one of them." if self.heads else "Leave the head out.")
            )
        labels = dataclasses.asdict(self.other_heads[name])
        return Spec(self.model, self.options, head=name, **labels)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them, and the number of this format.

        Those of heads are left out where there is one head, which earlier versions read.
        """
        fields = dataclasses.asdict(self)
        several = {name: fields.pop(name) for name in ("head", "other_heads")}
        return {"format": _FORMAT, **fields, **{k: v for k, v in several.items() if v}}

    def to_json(self) -> str:
        """One line of JSON.

        Raises:
            ValueError: It is longer than `MAX_BYTES`.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False)
        size = len(text.encode(errors="replace"))
        if size > MAX_BYTES or not text.isprintable():
            raise ValueError(
                f"A Spec is one printable line of JSON with at most {MAX_BYTES} bytes; this one "
                f"has {size}. Shorten the class names."
            )
        return text


def of_options(
    model: str, options: Mapping[str, Any], *, heads: Sequence[str] = (), **known: Any
) -> Spec:
    """The Spec of a model that was built with these options, `weights` and `name` left out.

    `heads` names those of a net with several, and `known` are further fields.
    """
    if heads:
        others = dict.fromkeys(heads[1:], Labels())
        known = {"head": heads[0], "other_heads": others} | known
    kept = {name: value for name, value in options.items() if name not in _NOT_OPTIONS}
    return Spec(model, kept, **known)


def from_json(text: str, *, where: str) -> Spec:
    """The Spec that `to_json` wrote; `where` names the file in messages.

    Raises:
        ValueError: The text is too long, is not JSON, or is not a Spec.
    """
    try:
        if len(text.encode(errors="replace")) > MAX_BYTES:
            raise ValueError(f"it is longer than {MAX_BYTES} bytes")
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(where, error) from error
    return from_dict(content, where=where)


def from_dict(content: Any, *, where: str) -> Spec:
    """The Spec that `to_dict` gave; `where` names the file in messages.

    Raises:
        ValueError: The content is not a Spec.
    """
    try:
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"it is not of format {_FORMAT}")
        fields = {name: value for name, value in content.items() if name != "format"}
        known = {field.name for field in dataclasses.fields(Spec)}
        if not {"model", "options"} <= set(fields) <= known:
            raise ValueError(f"its fields are not {', '.join(sorted(known))}")
        return Spec(**fields | {"options": of_today(fields["options"])})
    except (ValueError, TypeError, RecursionError) as error:
        raise _unusable(where, error) from error


def of_today(options: Any, *, channels: int = 3) -> Any:
    """Options as earlier versions wrote them, with the names that they have today.

    The nets of version 0.1 all reversed RGB, and `mean_bgr` held its mean. `fc_filters` was `head`.

    Args:
        options: Of a builder.
        channels: Of the image, if the options do not say it.

    Raises:
        TypeError: The mean is not a list of numbers.
    """
    if not isinstance(options, dict):
        return options
    found = {{"head": "fc_filters"}.get(name, name): value for name, value in options.items()}
    if "mean_bgr" not in found:
        return found
    bgr = found.pop("mean_bgr")
    grey = found.get("channels", channels) == 1
    return found | {
        "mean": [math.fsum(bgr) / 3] if grey else bgr[::-1],
        "channel_order": [0] if grey else [2, 1, 0],
    }


def _unusable(where: str, error: Exception) -> ValueError:
    return ValueError(
        f"The description of the model in {where} cannot be used ({_short(error)}). If a newer "
        "version of segmentation-zoo wrote it, install that version; else copy the file again."
    )


def check_agrees(stored: Spec, model: str | None, given: Mapping[str, Any], *, where: str) -> None:
    """Compares what a file says with what was typed; only what was typed is compared.

    Raises:
        ValueError: They differ; the message names both.
    """
    if model not in (None, stored.model):
        raise ValueError(
            f"{where} holds the weights of {stored.model}; received model {model!r}. Leave the "
            "model out, or give another file."
        )
    compared = {name: given[name] for name in given if name in stored.options}
    for name, value in _plain(compared).items():
        if value != stored.options[name] and not _is_free(name, value, stored.options[name]):
            raise ValueError(
                f"{where} was saved with {name}={stored.options[name]!r}; received "
                f"{name}={value!r}. Leave {name} out, or give another file."
            )


def _is_free(name: str, *values: Any) -> bool:
    """Whether weights mean the same with either of these values of an option."""
    alike = _FREE.get(name, ())
    return alike is None or all(value in alike for value in values)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON reads them back: lists instead of tuples."""
    if not isinstance(options, Mapping) or len(options) > MAX_OPTIONS:
        raise ValueError(
            f"options maps at most {MAX_OPTIONS} names to values; received {_short(options)}."
        )
    try:
        plain = json.loads(json.dumps(dict(options), allow_nan=False, default=_number))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"Options are numbers, texts, lists or None; received {_short(options)} "
            f"({_short(error)}). Pass such values."
        ) from error
    if not all(isinstance(name, str) and name.isidentifier() for name in plain):
        raise ValueError(f"Options have names such as classes; received {_short(list(plain))}.")
    return plain


def _number(value: Any) -> Any:
    """A NumPy number or array as Python's own; anything else has no form in JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _checked_names(names: Any, classes: int) -> tuple[str, ...]:
    if not isinstance(names, list | tuple):
        raise ValueError(f"class_names is a list of names; received {_short(names)}.")
    if len(names) != classes:
        raise ValueError(
            f"Each of the {classes} classes has one name; received {len(names)} names. Give one "
            "for each class, in the order of their numbers."
        )
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(
                f"A class name is one printable line that is not empty; received {name!r}. Rename "
                "the class."
            )
        if len(name) > MAX_NAME:
            raise ValueError(
                f"A class name has at most {MAX_NAME} characters; received {len(name)}, beginning "
                f"with {name[:20]!r}. Shorten it."
            )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Each class has a name of its own; received {twice!r} twice. Rename one.")
    return tuple(names)


def _check_heads(head: Any, others: Any) -> None:
    names = [] if head is None else [head]
    if not isinstance(others, Mapping) or (others and head is None):
        raise ValueError(
            "other_heads maps the heads after the first, which is named by head, to their labels; "
            f"received head={head!r} and {_short(others)}."
        )
    for name in (*names, *others):
        if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_NAME:
            raise ValueError(f"A head has a name such as semantic; received {_short(name)}.")
    if head in others:
        raise ValueError(f"Each head has a name of its own; received {head!r} twice.")


def _checked_labels(spec: Spec, name: str) -> Labels:
    """The labels of a head after the first, by the rules of the Spec of it alone."""
    labels = spec.other_heads[name]
    fields = dataclasses.asdict(labels) if isinstance(labels, Labels) else labels
    if f"{name}_classes" not in spec.options:
        raise ValueError(
            f"options holds the number of classes of each further head; received no {name}_classes."
        )
    try:
        alone = Spec(spec.model, spec.options, head=name, **fields)
    except TypeError as error:
        raise ValueError(
            f"The labels of a head are class_names, background and colours; received "
            f"{_short(fields)} for {name}."
        ) from error
    return Labels(alone.class_names, alone.background, alone.colours)


def _check_background(background: int | None, classes: int) -> None:
    if background is None:
        return
    if isinstance(background, bool) or not isinstance(background, int):
        raise ValueError(f"background is a class number or None; received {background!r}.")
    if not 0 <= background < classes:
        raise ValueError(
            f"background is a class number from 0 to {classes - 1}, or None; received {background}."
        )


def _check_colours(colours: tuple[tuple[int, ...], ...], classes: int) -> None:
    fits = len(colours) == classes and all(
        len(colour) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in colour)  # True is no colour
        for colour in colours
    )
    if not fits:
        raise ValueError(
            f"colours holds red, green and blue, 0-255, of each of the {classes} classes; received "
            f"{_short(colours)}."
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"
