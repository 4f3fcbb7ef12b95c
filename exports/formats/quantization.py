"""Smaller and coarser numbers in a TFLite file.

| kind | weights | arithmetic |
|---|---|---|
| `none` | float32 | float32 |
| `float16` | float16: half the bytes | float32 |
| `dynamic` | int8: a quarter of the bytes | int8 where it pays, by the range of each image |
| `integer` | int8 | int8, by the ranges that representative images have |

Operations that have no form in int8, such as powers, stay in float32 under `integer` too.
"""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from exports.check.reference import read_image
from exports.formats import flatbuffer
from exports.graph.signatures import SERVING_DEFAULT

NONE, FLOAT16, DYNAMIC, INTEGER = KINDS = ("none", "float16", "dynamic", "integer")

MOST_IMAGES = 100

# The converter takes an infinity for the largest float32, and divides the range by 255.
_ENDLESS = np.finfo(np.float32).max / 256
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
# They turn values into others, so that a float32 beside them is no arithmetic in float32.
_CONVERSIONS = {"CAST", "QUANTIZE", "DEQUANTIZE"}


def check_options(
    kind: str, images: np.ndarray | None, max_disagreement: float | None, image: tf.TensorSpec
) -> None:
    """Raises ValueError for a kind or share that is none, images that are missing or do not fit."""
    if kind not in KINDS:
        raise ValueError(
            f"A file is quantized as one of {', '.join(KINDS)}; received {kind!r}. "
            f'Pass quantize="{FLOAT16}", which changes the least.'
        )
    if max_disagreement is not None and (kind == NONE or not 0 <= max_disagreement <= 1):
        raise ValueError(
            "max_disagreement is the share of the pixels, from 0 to 1, to which a quantized file "
            f"may give another class; received {max_disagreement!r} with quantize={kind!r}. Pass "
            "none for a file in float32: it must agree."
        )
    if images is None and kind == INTEGER:
        raise ValueError(
            "Integer arithmetic takes its ranges from representative images; received none. Pass "
            "some of your data: representative=, or --representative FOLDER on the command line."
        )
    fit = images is None or (
        images.ndim == 4 and len(images) and image.shape[1:].is_compatible_with(images.shape[1:])
    )
    if not fit or (images is not None and images.dtype != np.uint8):
        raise ValueError(
            f"Representative images are uint8 {['n', *image.shape[1:]]}, of the size that the file "
            f"takes; received {images.dtype} {list(images.shape)}. Scale or convert them."
        )


def images_in(folder: str | pathlib.Path, channels: int, size: tuple[int, int]) -> np.ndarray:
    """At most 100 images of a folder, spread over it, uint8 `[n, *size, channels]`, scaled.

    Raises:
        ValueError: The folder holds no images, or one that cannot be read.
    """
    files = sorted(
        path for path in pathlib.Path(folder).glob("*") if path.suffix.lower() in _SUFFIXES
    )
    if not files:
        raise ValueError(
            f"Representative images are the pictures of a folder ({', '.join(sorted(_SUFFIXES))}); "
            f"{folder} holds none. Pass the folder in which they lie."
        )
    spread = np.linspace(0, len(files) - 1, min(len(files), MOST_IMAGES)).round().astype(int)
    return np.concatenate([read_image(files[index], channels, size) for index in spread])


def configure(
    converter: tf.lite.TFLiteConverter, kind: str, images: np.ndarray | None, dtype: tf.DType
) -> None:
    """Sets what a kind asks of the converter."""
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
    """Gives what a reversal gives the range of what it takes; the converter's may be another's.

    The operation copies bytes, so that they must mean the same before and after.

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
            f"{', '.join(sorted(endless))}: a padding with which a maximum is taken, perhaps. "
            'Replace its layer, or pass quantize="dynamic".'
        )


def in_float(tables: flatbuffer.Model) -> list[str]:
    """The operations that compute in float32."""
    floats = {
        operation
        for operation, operator, graph in flatbuffer.uses(tables)
        for index in operator.outputs
        if graph.tensors[index].type == 0
    }
    return sorted(floats - _CONVERSIONS)
