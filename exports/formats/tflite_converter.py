"""TensorFlow's converter to TFLite, kept to built-in operations."""

import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from exports.formats import MIXED, OF_IMAGES, flatbuffer, mixed, quantization
from exports.formats.saved_model import saved_for_conversion
from exports.graph import SERVING_DEFAULT
from zoo.quiet import without_chatter


def convert(
    model: keras.Model,
    answer: Callable,
    quantize: str,
    representative: np.ndarray | None,
    *,
    disagreement: Callable[[flatbuffer.Model], float] | None = None,
    goal: float = mixed.GOAL,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[flatbuffer.Model, mixed.Choice | None]:
    """The tables of a TFLite file with one signature, `answer`, of built-in operations.

    Args:
        model: The model whose variables `answer` uses.
        answer: A function of images, which is traced here.
        quantize: One of `exports.formats.KINDS`.
        representative: Images uint8 `[n, h, w, channels]`, for `"integer"` and `"mixed"`.
        disagreement: For `"mixed"`: the share of the pixels on which a file disagrees.
        goal: The share of them at which no further layer is left in float32.
        report: Called with a line on each measurement of it.

    Returns:
        The tables and, for `"mixed"`, the layers that were left in float32.

    Raises:
        ValueError: The model needs an operation that TFLite, or its arithmetic, does not have.
    """
    (image,) = answer.input_signature
    finite = quantization.without_infinity(model) if quantize in OF_IMAGES else nullcontext()
    with finite, saved_for_conversion(model, answer, inline=True) as scratch:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            scratch, signature_keys=[SERVING_DEFAULT]
        )
        quantization.configure(converter, quantize, representative, image.dtype)
        # What tf.lite.experimental.QuantizationDebugger does to leave nodes in float32, without the
        # copy of the model that it makes for each choice.
        converter._experimental_calibrate_only = quantize in OF_IMAGES
        try:
            with warnings.catch_warnings(), without_chatter():
                # The converter measures ranges in TensorFlow's own interpreter, not in LiteRT's.
                warnings.filterwarnings(
                    "ignore", ".*tf.lite.Interpreter is deprecated", UserWarning
                )
                content = converter.convert()
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
    if quantize not in OF_IMAGES:
        return flatbuffer.read(content), None

    def quantized(floats: Iterable[str] = ()) -> flatbuffer.Model:
        with without_chatter():
            tables = flatbuffer.read(mlir_quantize(content, denylisted_nodes=list(floats)))
        quantization.repair(tables, model.name)
        return tables

    tables = quantized()
    layers = mixed.layers_of(flatbuffer.read(content), model)
    floats, choice = mixed.partly_in_float(tables, layers), None
    if quantize == MIXED:
        choice = mixed.choose(quantized, layers, floats, disagreement, goal, report)
        floats += tuple(one["layer"] for one in choice.layers)
    return quantized(mixed.nodes_of(layers, floats)) if floats else tables, choice
