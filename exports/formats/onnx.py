"""Writes a model as an ONNX file, by tf2onnx."""

import pathlib
import tempfile

import keras
import tensorflow as tf

from exports.formats.saved_model import save
from exports.graph import single_output
from exports.graph.signatures import SERVING_DEFAULT

FILE = "model.onnx"

_OPSET = 17


def write(model: keras.Model, image: tf.TensorSpec, directory: pathlib.Path) -> None:
    """Writes `directory/model.onnx`: `image` to `class_map` int32 `[n, h, w]`.

    Raises:
        ImportError: tf2onnx is not installed; the message says how to.
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise ImportError(
            "A model is written as ONNX by tf2onnx, which is not installed. Install it: "
            'pip install "segmentation-zoo[onnx]".'
        ) from error
    with tempfile.TemporaryDirectory() as scratch:
        save(model, {SERVING_DEFAULT: single_output.class_map(model, image)}, pathlib.Path(scratch))
        loaded = tf.saved_model.load(scratch)

    @tf.function(input_signature=[image])
    def class_map_of(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return loaded.signatures[SERVING_DEFAULT](image=image)

    tf2onnx.convert.from_function(
        class_map_of,
        input_signature=[image],
        opset=_OPSET,
        custom_op_handlers={"FloorDiv": (_floor_div, []), "FloorMod": (_floor_mod, [])},
        output_path=str(directory / FILE),
    )


# tf2onnx rounds the division of whole numbers towards zero, TensorFlow downwards. What a margin or
# a multiple lacks at an unknown size is computed by dividing negative numbers.


def _floor_mod(context, node, name, arguments) -> None:
    if _is_whole(context, node):
        node.type = "Mod"
    else:
        _handlers().FloorMod.version_7(context, node)


def _floor_div(context, node, name, arguments) -> None:
    if _is_whole(context, node):
        dividend, divisor = node.input
        rest = context.make_node("Mod", [dividend, divisor])
        whole = context.make_node("Sub", [dividend, rest.output[0]])
        context.replace_input(node, dividend, whole.output[0], 0)
        node.type = "Div"
    else:
        _handlers().FloorDiv.version_6(context, node)


def _is_whole(context, node) -> bool:
    from onnx import TensorProto

    return context.get_dtype(node.input[0]) in (TensorProto.INT32, TensorProto.INT64)


def _handlers():
    from tf2onnx.onnx_opset import math

    return math
