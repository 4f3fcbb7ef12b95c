"""Quantizes a TFLite file: fewer bits for its weights, or for its arithmetic too.

| kind | weights | arithmetic |
|---|---|---|
| `none` | float32 | float32 |
| `float16` | float16: half the bytes | float32 |
| `dynamic` | int8: a quarter of the bytes | int8 where it pays, by the range of each image |
| `integer` | int8 | int8, by the ranges that representative images have |

Operations that have no form in int8, such as powers, stay in float32 under `integer` too.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from exports.formats import FLOAT16, INTEGER, NONE, flatbuffer
from exports.graph import SERVING_DEFAULT

# The converter replaces an infinity by the largest float32, and divides the range by 255.
_ENDLESS = np.finfo(np.float32).max / 256
# They convert between types: their float32 output does not mean arithmetic in float32.
_CONVERSIONS = {"CAST", "QUANTIZE", "DEQUANTIZE"}


def configure(
    converter: tf.lite.TFLiteConverter, kind: str, images: np.ndarray | None, dtype: tf.DType
) -> None:
    """Sets the converter's options for a kind of quantization.

    Args:
        converter: The converter.
        kind: One of `exports.formats.KINDS`.
        images: Representative images uint8 `[n, h, w, channels]`, for `"integer"`.
        dtype: Of the images that the file takes.
    """
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if kind != NONE:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if kind == INTEGER:

        def asked() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
            for image in images:
                yield SERVING_DEFAULT, {"image": image[None].astype(dtype.as_numpy_dtype)}

        converter.representative_dataset = asked
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = dtype


def repair(tables: flatbuffer.Model, name: str) -> None:
    """Copies the input's quantization range to the output of REVERSE_V2.

    The operation copies bytes, which must mean the same before and after; the converter may give
    the output another range.

    Raises:
        ValueError: A range is infinite.
    """
    endless = set()
    for operation, operator, graph in flatbuffer.uses(tables):
        given = [graph.tensors[index] for index in operator.outputs]
        if operation == "REVERSE_V2":
            given[0].quantization = graph.tensors[operator.inputs[0]].quantization
        scales = [tensor.quantization.scale for tensor in given if tensor.quantization is not None]
        if any(np.max(scale) >= _ENDLESS for scale in scales if scale is not None):
            endless.add(operation)
    if endless:
        raise ValueError(
            f"Integers have no infinity; {name!r} has one in the range of "
            f"{', '.join(sorted(endless))}: perhaps the padding before a maximum. "
            'Replace its layer, or pass quantize="dynamic".'
        )


def in_float(tables: flatbuffer.Model) -> list[str]:
    """The operations of a file that compute in float32."""
    floats = {
        operation
        for operation, operator, graph in flatbuffer.uses(tables)
        for index in operator.outputs
        if graph.tensors[index].type == 0
    }
    return sorted(floats - _CONVERSIONS)
