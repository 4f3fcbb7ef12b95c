"""TensorFlow's converter to TFLite, kept to built-in operations."""

import re
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from exports.formats import INTEGER, flatbuffer, quantization
from exports.formats.saved_model import saved_for_conversion
from exports.graph import SERVING_DEFAULT
from zoo.quiet import without_chatter


def convert(
    model: keras.Model,
    answer: Callable,
    quantize: str,
    representative: np.ndarray | None,
) -> flatbuffer.Model:
    """The tables of a TFLite file with one signature, `answer`, of built-in operations.

    Args:
        model: The model whose variables `answer` uses.
        answer: A traced function of images.
        quantize: One of `exports.formats.KINDS`.
        representative: Images uint8 `[n, h, w, channels]`, for `"integer"`.

    Raises:
        ValueError: The model needs an operation that TFLite, or its arithmetic, does not have.
    """
    (image,) = answer.input_signature
    with saved_for_conversion(model, answer, inline=True) as scratch:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            scratch, signature_keys=[SERVING_DEFAULT]
        )
        quantization.configure(converter, quantize, representative, image.dtype)
        try:
            with warnings.catch_warnings(), without_chatter():
                # The converter measures ranges in TensorFlow's own interpreter, not in LiteRT's.
                warnings.filterwarnings(
                    "ignore", ".*tf.lite.Interpreter is deprecated", UserWarning
                )
                tables = flatbuffer.read(converter.convert())
        except Exception as error:
            missing = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", str(error), re.MULTILINE)
            if not missing:
                raise
            any_size = image.shape[1] is None
            raise ValueError(
                "A TFLite file holds built-in operations only, so that every device loads it; "
                f"{model.name!r}{' at any size' * any_size} needs {', '.join(missing)}. "
                f"{'Pass a size, replace' if any_size else 'Replace'} the layer that uses it, or "
                "export a SavedModel."
            ) from error
    if quantize == INTEGER:
        quantization.repair(tables, model.name)
    return tables
