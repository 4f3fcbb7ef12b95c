"""TensorFlow's converter to TFLite, kept to built-in operations."""

import pathlib
import re
import tempfile
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from exports.formats import flatbuffer, quantization
from exports.formats.saved_model import save
from exports.graph.signatures import SERVING_DEFAULT


def convert(
    model: keras.Model,
    answer: Callable,
    quantize: str,
    representative: np.ndarray | None,
) -> flatbuffer.Model:
    """The tables of a TFLite file with one signature, `answer`, of built-in operations.

    Raises:
        ValueError: The model needs an operation that TFLite, or its arithmetic, does not have.
    """
    (image,) = answer.input_signature
    # Converted straight from the function, the file answers wrongly; from a SavedModel it is right.
    with tempfile.TemporaryDirectory() as scratch:
        save(model, {SERVING_DEFAULT: answer}, pathlib.Path(scratch), inline=True)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            scratch, signature_keys=[SERVING_DEFAULT]
        )
        quantization.configure(converter, quantize, representative, image.dtype)
        try:
            with warnings.catch_warnings():
                # The converter takes ranges in the interpreter that LiteRT's replaces.
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
    if quantize == quantization.INTEGER:
        quantization.repair(tables, model.name)
    return tables
