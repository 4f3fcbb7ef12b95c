"""Quantizes a TFLite file: fewer bits for its weights, or for its arithmetic too.

| kind | weights | arithmetic |
|---|---|---|
| `none` | float32 | float32 |
| `float16` | float16: half the bytes | float32 |
| `dynamic` | int8: a quarter of the bytes | int8 where it pays, by the range of each image |
| `integer` | int8 | int8, by the ranges that representative images have |
| `mixed` | int8 | as `integer`, but for layers that cost the most pixels: `exports.formats.mixed` |

Each channel of a kernel has a scale of its own. A layer with an operation that has no form in int8,
such as a power, stays in float32 under `integer` too.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from exports.formats import FLOAT16, NONE, OF_IMAGES, flatbuffer
from exports.graph import SERVING_DEFAULT
from zoo.layers import CaffeMaxPooling

# The converter replaces an infinity by the largest float32, and divides the range by 255.
_ENDLESS = np.finfo(np.float32).max / 256
# They convert between types: their float32 output does not mean arithmetic in float32.
_CONVERSIONS = {"CAST", "QUANTIZE", "DEQUANTIZE"}
# They compute nothing, and give the same in int8 as in float32.
COPIES = {
    *("CONCATENATION", "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PAD", "PADV2", "RESHAPE"),
    *("REVERSE_V2", "SLICE", "STRIDED_SLICE", "TRANSPOSE"),
}


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
    if kind in OF_IMAGES:

        def asked() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
            for image in images:
                yield SERVING_DEFAULT, {"image": image[None].astype(dtype.as_numpy_dtype)}

        converter.representative_dataset = asked
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = dtype


@contextlib.contextmanager
def without_infinity(model: keras.Model) -> Iterator[None]:
    """Within it, graphs of a model pad with no infinity, for which integers have no form."""
    pools = [layer for layer in model.layers if isinstance(layer, CaffeMaxPooling)]
    for pool in pools:
        pool.repeats_border = True
    try:
        yield
    finally:
        for pool in pools:
            pool.repeats_border = False


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
        if computes_in_float(operation, graph.tensors[index])
    }
    return sorted(floats)


def computes_in_float(operation: str, output: Any) -> bool:
    """Whether an operation that gives this tensor computes in float32."""
    return output.type == 0 and operation not in _CONVERSIONS
