"""The options of all builders: checked, completed and made plain, here and nowhere else."""

import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

MAX_CHANNELS = 1000
MAX_CLASSES = 255  # of a class map
MAX_PARAMETERS = 1 << 30
"""The most that a model may have; the authors' have 252 million at most. As float32: 4 GiB."""

# The mean red, green and blue of the authors' data layers for VOC.
MEAN = (122.67892, 116.66877, 104.00699)
# Of the channels of HHA images, as they are stored, of the authors' data layer for NYUDv2.
HHA_MEAN = (132.431, 94.076, 118.477)

Choices = Mapping[str, Mapping[str, str]]
"""For each option that is a choice its words and what they mean; the first word is the default."""


def checked(
    options: Mapping[str, Any],
    *,
    most_classes: int = MAX_CLASSES,
    mean: Sequence[float] = MEAN,
    channel_order: Sequence[int] = (2, 1, 0),
    choices: Choices = MappingProxyType({}),
) -> dict[str, Any]:
    """The options of a builder, by name, as Python's own numbers and tuples and with none open.

    `mean` and `channel_order` follow from `channels` where they are None.

    Args:
        options: As they were given, each with a value.
        most_classes: The largest number of classes.
        mean: The default for an image with as many channels.
        channel_order: The same, of the order.
        choices: The options that are choices, and the words that they have.

    Raises:
        ValueError: An option breaks its rule; the message names the rule, the value and a remedy.
    """
    found = dict(options)
    for name in {"classes", "geometric_classes"} & set(found):
        found[name] = _classes(name, found[name], most_classes)
    for name in {"channels", "hha_channels", "fc_filters", "filters", "depth"} & set(found):
        limit = MAX_CHANNELS if name.endswith("channels") else None
        found[name] = _whole(name, found[name], maximum=limit)
    for name, words in choices.items():
        _check_choice(name, found[name], words)
    if "stages" in found:
        found["stages"] = _stages(found["stages"])
    if "batch_norm" in found:
        found["batch_norm"] = _flag("batch_norm", found["batch_norm"])
    if "dropout" in found:
        found["dropout"] = _dropout(found["dropout"])
    if "mean" in found:
        found["mean"] = _mean("mean", found["mean"], found["channels"], mean)
        found["channel_order"] = _channel_order(
            found["channel_order"], found["channels"], channel_order
        )
    if "hha_mean" in found:
        found["hha_mean"] = _mean("hha_mean", found["hha_mean"], found["hha_channels"], HHA_MEAN)
    return found


def parameters_at_most(options: Mapping[str, Any]) -> int:
    """A bound on the parameters of a model, from its checked options; it builds nothing."""
    widest = max(options["channels"], options.get("hha_channels", 1))
    first = 121 * widest  # windows of at most 11 × 11
    if "filters" in options:
        # No depth beyond 64 is built, and the power of a larger one would itself fill the memory.
        levels = min(options["depth"], 64)
        return first * options["filters"] + 32 * options["filters"] ** 2 * 4**levels
    stages = options["stages"]
    # Without fc6 the deepest features are convolved again.
    width = options.get("fc_filters", stages[4])
    trunk = first * stages[0] + 27 * stages[0] ** 2
    trunk += sum(
        9 * (inputs * width + 3 * width**2) for inputs, width in itertools.pairwise(stages)
    )
    # Twice, because DeconvNet mirrors all of it, and late fusion has two trunks.
    return 2 * (trunk + 49 * stages[4] * width + width**2 + width * options["classes"])


def check_parameters(options: Mapping[str, Any], count: int) -> None:
    """Raises ValueError where a model with these options could have too many parameters."""
    if count > MAX_PARAMETERS:
        sizes = ("channels", "stages", "fc_filters", "filters", "depth")
        given = ", ".join(f"{name}={options[name]!r}" for name in sizes if name in options)
        raise ValueError(
            f"A model has at most {MAX_PARAMETERS:,} parameters; this one could have up to "
            f"{_counted(count)}, with {given}. Pass smaller numbers."
        )


def _counted(count: int) -> str:
    return f"{count:,}" if count < 1 << 64 else "more than can be counted"


def _classes(name: str, value: Any, most: int) -> int:
    try:
        return _whole(name, value, minimum=2, maximum=most)
    except ValueError:
        why, remedy = "", "Pass the number of classes that the net tells apart, such as 1000."
        if most == MAX_CLASSES:
            why = (
                ", the background included, because class maps are uint8 and 255 marks ignored "
                "pixels"
            )
            remedy = f"Pass the number of classes of your labels, such as {name}=21."
        raise ValueError(
            f"{name} is a whole number from 2 to {most}{why}; received {_short(value)}. {remedy}"
        ) from None


def _whole(name: str, value: Any, *, minimum: int = 1, maximum: int | None = None) -> int:
    try:
        number = operator.index(value)
        if isinstance(value, bool) or number < minimum or (maximum and number > maximum):
            raise TypeError
    except TypeError:
        above = "" if maximum is None else f" and at most {maximum}"
        remedy = f"{name}={minimum} or more" if maximum is None else f"{name}=3, for example"
        raise ValueError(
            f"{name} is a whole number of at least {minimum}{above}; received {_short(value)}. "
            f"Pass {remedy}."
        ) from None
    return number


def _check_choice(name: str, value: Any, words: Mapping[str, str]) -> None:
    if not isinstance(value, str) or value not in words:
        *first, last = (f"{word!r} ({meaning})" for word, meaning in words.items())
        meant = f"{', '.join(first)}{',' * (len(first) > 1)} or {last}"
        raise ValueError(
            f"{name} is {meant}; received {_short(value)}. Pass {name}={next(iter(words))!r}."
        )


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(
            f"{name} is True or False; received {_short(value)}. Pass {name}=True, or leave it out."
        )
    return value


def _stages(value: Any) -> tuple[int, ...]:
    try:
        stages = tuple(_whole("stages", width) for width in value)
        if len(stages) != 5:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            "stages holds the widths of the trunk's five stages, each at least 1; received "
            f"{_short(value)}. Pass five whole numbers, such as stages=(64, 128, 256, 512, 512)."
        ) from None
    return stages


def _dropout(value: Any) -> float:
    number = _real(value)
    if not 0 <= number < 1:
        raise ValueError(
            "dropout is the fraction of features to drop, from 0 up to 1; received "
            f"{_short(value)}. Pass dropout=0.5, as the paper's release, or 0."
        )
    return number


def _mean(name: str, value: Any, channels: int, default: Sequence[float]) -> tuple[float, ...]:
    if value is None:
        fits = channels == len(default)
        return tuple(default) if fits else (math.fsum(default[:3]) / 3,) * channels
    numbers = tuple(map(_real, _listed(value)))
    if len(numbers) != channels or not all(0 <= number <= 255 for number in numbers):
        example = ", ".join(["114.5"] * min(channels, 3)) + ("," if channels == 1 else "")
        raise ValueError(
            f"{name} holds a number from 0 to 255 for each channel of the image, in its order; "
            f"received {_short(value)} for {channels} channels. "
            f"Pass {name}=({example}{', …' if channels > 3 else ''}), or none for the default."
        )
    return numbers


def _channel_order(value: Any, channels: int, default: Sequence[int]) -> tuple[int, ...]:
    kept = tuple(range(channels))
    if value is None:
        return tuple(default) if channels == len(default) else kept
    try:
        order = tuple(_whole("channel_order", place, minimum=0) for place in _listed(value))
    except ValueError:
        order = ()
    if tuple(sorted(order)) != kept:
        raise ValueError(
            "channel_order names each channel of the image once, from 0 on, as the net takes them; "
            f"received {_short(value)} for channels={channels}. Pass {_short(kept)} for the order "
            "of the image."
        )
    return order


def _listed(value: Any) -> list[Any]:
    """The members of a list, tuple or array; nothing for any other value, a text above all."""
    return [] if isinstance(value, str | bytes) or not hasattr(value, "__len__") else list(value)


def _real(value: Any) -> float:
    """A number as a float; NaN for anything else, which no rule allows."""
    if isinstance(value, bool | str | bytes):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "…"
