"""What MediaPipe's ImageSegmenter asks of a TFLite file, and reads from it.

It takes RGB images uint8 of one size, gives scores float32, and says so in its metadata: two
flatbuffers, `ModelMetadata` ("M001") in the file's buffer `TFLITE_METADATA` and
`ImageSegmenterOptions` ("V001") inside it, and the class names as a ZIP archive after the file.

The wheels of TensorFlow and LiteRT hold no schema for these. Their fields are written by number:
the place of the field in MediaPipe's `metadata_schema.fbs` and
`image_segmenter_metadata_schema.fbs`, where a union takes two, its type and its value.
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf

from exports.formats import flatbuffer

LABELS = "labels.txt"

# ModelMetadata, and where they have them SubGraphMetadata and TensorMetadata
_NAME, _DESCRIPTION, _SUBGRAPHS, _MIN_PARSER_VERSION = 0, 1, 3, 7
_INPUTS, _OUTPUTS, _CUSTOM = 2, 3, 9
_CONTENT, _PROCESS_UNITS, _FILES = 3, 4, 6
# Values of their enumerations and unions
_IMAGE_PROPERTIES, _RGB, _NORMALIZATION, _TENSOR_AXIS_LABELS, _SOFTMAX = 2, 1, 1, 2, 2


class _Byte(int):
    """A number of one byte, such as the type of a union."""


def check_image(image: tf.TensorSpec) -> None:
    """Raises ValueError unless ImageSegmenter takes such images."""
    if image.shape[1] is None or image.shape[-1] != 3 or image.dtype != tf.uint8:
        raise ValueError(
            "MediaPipe's ImageSegmenter takes RGB images uint8 of a fixed size; received "
            f"{image.dtype.name} {image.shape.as_list()}. Pass a size, dtype uint8, and a model of "
            "3 channels."
        )


def with_metadata(tables: flatbuffer.Model, name: str, class_names: Sequence[str]) -> bytes:
    """The TFLite file, image to scores, that says to MediaPipe what it takes and gives.

    The image is taken as it is, 0-255; the scores go through a softmax; the classes have names.
    """
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

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
    buffer, entry = BufferT(), MetadataT()
    buffer.data = np.frombuffer(_written(content, b"M001"), np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(tables.buffers)
    tables.buffers.append(buffer)
    tables.metadata = [*(tables.metadata or []), entry]

    file = io.BytesIO(flatbuffer.written(tables))
    with zipfile.ZipFile(file, "a") as archive:  # not compressed: it is read in its place
        archive.writestr(LABELS, "".join(f"{label}\n" for label in class_names))
    return file.getvalue()


def _written(table: dict[int, Any], identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_add(builder, table), identifier)
    return bytes(builder.Output())


def _add(builder: flatbuffers.Builder, value: Any) -> int:
    """Adds a text, bytes, floats, a list of tables or a table by its fields; gives its place."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        return builder.CreateByteVector(value)
    if isinstance(value, list) and isinstance(value[0], float):
        return builder.CreateNumpyVector(np.array(value, np.float32))
    # What a vector or a table refers to is written before it.
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
