"""Writes a model as a TFLite file of built-in operations, which every device loads.

The file has one signature: `image` `[1, h, w, channels]`, 0-255, gives `class_map` int32
`[1, h, w]`.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from exports.check import Finding, check_tflite, class_map_of, reference
from exports.formats import (
    MAX_DISAGREEMENT,
    MIXED,
    NONE,
    flatbuffer,
    mixed,
    quantization,
    tflite_converter,
)
from exports.formats.settings import Settings
from exports.graph import SERVING_DEFAULT, single_output
from exports.reading import ENTRY
from exports.runtimes import litert
from zoo.quiet import without_chatter

_CHECKED = 8  # of the representative images
_DESCRIPTION = (
    "image to class_map, the class of each pixel as int32. Not for MediaPipe's ImageSegmenter, "
    "which takes scores: it would accept this file and answer nonsense."
)


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes the file.

    Raises:
        ValueError: The model needs an operation that TFLite, or its arithmetic, does not have.
    """
    tables, choice = converted(model, settings, single_output.class_map)
    tables.description = f"{model.name}: {_DESCRIPTION}"
    path.write_bytes(flatbuffer.written(tables))
    return facts(settings, tables, choice, path)


def check(model: keras.Model, settings: Settings, path: pathlib.Path) -> list[Finding]:
    """Asks the file in the LiteRT interpreter; see `exports.check.check_tflite`."""
    return check_tflite(model, path, **of_check(settings))


def converted(
    model: keras.Model, settings: Settings, function_of: Callable[..., Callable]
) -> tuple[flatbuffer.Model, mixed.Choice | None]:
    """The tables of a file that holds one function of a model, and its Spec.

    Besides, for `"mixed"`, the layers that were left in float32.
    """
    image = single_output.image_spec(settings.image_shape, dtype=settings.dtype)
    limit = _max_disagreement(settings)
    tables, choice = tflite_converter.convert(
        model,
        function_of(model, image),
        settings.quantize,
        settings.representative,
        disagreement=_disagreement(model, settings) if settings.quantize == MIXED else None,
        goal=mixed.GOAL if limit is None else min(mixed.GOAL, limit),
        report=settings.report,
    )
    if settings.spec is not None:
        flatbuffer.add_metadata(tables, ENTRY, settings.spec.to_json().encode())
    return tables, choice


def _disagreement(model: keras.Model, settings: Settings) -> Callable[[flatbuffer.Model], float]:
    """Gives the share of the pixels to which a file gives another class than the model."""
    asked = reference.of_model(model, _images(settings), settings.size or reference.ANY_SIZE)
    expected = asked.scores.argmax(-1)

    def measured(tables: flatbuffer.Model) -> float:
        with without_chatter():
            answer = litert.runner(flatbuffer.written(tables))
        return float(np.mean(class_map_of(answer, asked.images) != expected))

    return measured


def facts(
    settings: Settings, tables: flatbuffer.Model, choice: mixed.Choice | None, path: pathlib.Path
) -> dict[str, Any]:
    """What the record of a TFLite file says about it."""
    with without_chatter():
        signature = litert.signature(path)
    return {
        "signatures": {SERVING_DEFAULT: signature},
        "quantize": settings.quantize,
        "max_disagreement": _max_disagreement(settings),
        "operations": flatbuffer.operations(tables),
        "operations_in_float32": quantization.in_float(tables),
        "left_in_float32": choice and dataclasses.asdict(choice),
    }


def of_check(settings: Settings) -> dict[str, Any]:
    """The keywords of `check_tflite` and `check_mediapipe` that are the settings'."""
    return {
        "images": _images(settings),
        "max_disagreement": _max_disagreement(settings),
        "report": settings.report,
    }


def _images(settings: Settings) -> np.ndarray | None:
    """The images to check with: eight of the representative ones if there are no others."""
    images, representative = settings.images_of_size(), settings.representative
    if images is None and representative is not None:
        return representative[:: -(-len(representative) // _CHECKED)]
    return images


def _max_disagreement(settings: Settings) -> float | None:
    if settings.quantize != NONE and settings.max_disagreement is None:
        return MAX_DISAGREEMENT
    return settings.max_disagreement
