"""Writes a model as a TFLite file for MediaPipe's ImageSegmenter.

The file takes RGB images uint8 of one size, gives scores float32, and says so in its metadata: two
flatbuffers, `ModelMetadata` ("M001") in the file's buffer `TFLITE_METADATA` and
`ImageSegmenterOptions` ("V001") inside it, and the class names as a ZIP archive after the file.

The wheels of TensorFlow and LiteRT hold no schema for these, and MediaPipe's own writer of metadata
is not installed with MediaPipe. The fields are written by number: the place of the field in
MediaPipe's `metadata_schema.fbs` and `image_segmenter_metadata_schema.fbs`. A union takes two
places, its type and its value.
"""

import io
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import keras
import numpy as np

from exports.check import Finding, check_mediapipe
from exports.formats import flatbuffer, tflite
from exports.formats.settings import Settings
from exports.graph import single_output
from exports.graph.classes import classes_of

LABELS = "labels.txt"

# Fields of ModelMetadata; SubGraphMetadata and TensorMetadata have some of them at the same place.
_NAME, _DESCRIPTION, _SUBGRAPHS, _MIN_PARSER_VERSION = 0, 1, 3, 7
_INPUTS, _OUTPUTS, _CUSTOM = 2, 3, 9
_CONTENT, _PROCESS_UNITS, _FILES = 3, 4, 6
# Values of their enumerations and unions
_IMAGE_PROPERTIES, _RGB, _NORMALIZATION, _TENSOR_AXIS_LABELS, _SOFTMAX = 2, 1, 1, 2, 2


class _Byte(int):
    """A number of one byte, such as the type of a union."""


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes the file.

    Raises:
        ValueError: The model needs an operation that TFLite, or its arithmetic, does not have.
    """
    tables, choice = tflite.converted(model, settings, single_output.scores)
    names = classes_of(settings.spec, model.output_shape[-1]).names
    path.write_bytes(with_metadata(tables, model.name, names))
    return tflite.facts(settings, tables, choice, path)


def check(model: keras.Model, settings: Settings, path: pathlib.Path) -> list[Finding]:
    """Asks the file in LiteRT and in MediaPipe; see `exports.check.check_mediapipe`."""
    found = tflite.check(model, settings, path)
    options = tflite.of_check(settings)
    return found + check_mediapipe(model, path, python=settings.mediapipe_python, **options)


def with_metadata(tables: flatbuffer.Model, name: str, class_names: Sequence[str]) -> bytes:
    """The bytes of a TFLite file, image to scores, with the metadata that MediaPipe reads.

    It says: the image is not normalized, the scores go through a softmax, the classes have names.
    """
    image = {
        _NAME: "image",
        _DESCRIPTION: "The image to segment, RGB, 0-255.",
        _CONTENT: {0: _Byte(_IMAGE_PROPERTIES), 1: {0: _Byte(_RGB)}},
        _PROCESS_UNITS: [{0: _Byte(_NORMALIZATION), 1: {0: [0.0], 1: [1.0]}}],  # mean, deviation
    }
    scores = {
        _NAME: "scores",
        _DESCRIPTION: "The scores of the classes, before the softmax.",
        _FILES: [{0: LABELS, 1: "The name of each class.", 2: _Byte(_TENSOR_AXIS_LABELS)}],
    }
    options = _written({0: _Byte(_SOFTMAX)}, b"V001")
    tables.description = f"{name}: image to scores, for MediaPipe's ImageSegmenter."
    graph = {
        _INPUTS: [image],
        _OUTPUTS: [scores],
        _CUSTOM: [{0: "SEGMENTER_METADATA", 1: options}],
    }
    content = {
        _NAME: name,
        _DESCRIPTION: tables.description,
        _SUBGRAPHS: [graph],
        _MIN_PARSER_VERSION: "1.5.0",  # the first with custom metadata
    }
    flatbuffer.add_metadata(tables, "TFLITE_METADATA", _written(content, b"M001"))
    file = io.BytesIO(flatbuffer.written(tables))
    with zipfile.ZipFile(file, "a") as archive:  # not compressed: MediaPipe maps it into memory
        archive.writestr(LABELS, "".join(f"{label}\n" for label in class_names))
    return file.getvalue()


def _written(table: dict[int, Any], identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_add(builder, table), identifier)
    return bytes(builder.Output())


def _add(builder: flatbuffers.Builder, value: Any) -> int:
    """Adds a text, bytes, floats, a list of tables, or a table by its fields; returns its place."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        return builder.CreateByteVector(value)
    if isinstance(value, list) and isinstance(value[0], float):
        return builder.CreateNumpyVector(np.array(value, np.float32))
    # Flatbuffers are written from the leaves: what a vector or a table refers to comes first.
    if isinstance(value, list):
        places = [_add(builder, table) for table in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    places = {
        field: one if isinstance(one, _Byte) else _add(builder, one) for field, one in value.items()
    }
    builder.StartObject(max(places) + 1)
    for field, place in places.items():
        if isinstance(place, _Byte):
            builder.PrependInt8Slot(field, place, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, place, 0)
    return builder.EndObject()
