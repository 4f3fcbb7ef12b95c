"""Writes a model as an ONNX file, by tf2onnx."""

import pathlib
from typing import Any

import keras
import tensorflow as tf

from exports.check import Finding, check_class_map
from exports.formats import FORMATS
from exports.formats.saved_model import saved_for_conversion
from exports.formats.settings import Settings
from exports.graph import SERVING_DEFAULT, single_output
from exports.reading import ENTRY
from exports.serving import export_json

_OPSET = 17


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes `path/model.onnx`: `image` to `class_map` int32 `[n, h, w]`."""
    import tf2onnx

    image = single_output.image_spec(settings.image_shape, dtype=settings.dtype, batch=None)
    with saved_for_conversion(model, single_output.class_map(model, image)) as scratch:
        loaded = tf.saved_model.load(scratch)

    @tf.function(input_signature=[image])
    def class_map_of(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return loaded.signatures[SERVING_DEFAULT](image=image)

    file, _ = tf2onnx.convert.from_function(
        class_map_of,
        input_signature=[image],
        opset=_OPSET,
        custom_op_handlers={"FloorDiv": (_floor_div, []), "FloorMod": (_floor_mod, [])},
    )
    if settings.spec is not None:
        entry = file.metadata_props.add()
        entry.key, entry.value = ENTRY, settings.spec.to_json()
    path.mkdir()
    (path / FORMATS["onnx"].file).write_bytes(file.SerializeToString())
    return {"signatures": export_json.class_map_signature(image)}


def check(model: keras.Model, settings: Settings, path: pathlib.Path) -> list[Finding]:
    """Asks the file in ONNX Runtime; see `exports.check.check_class_map`."""
    form = FORMATS["onnx"]
    return check_class_map(
        model,
        path / form.file,
        runtime=form.runtime,
        loader=form.loader,
        **settings.of_one_check(),
    )


# tf2onnx rounds the division of whole numbers towards zero, TensorFlow downwards. The two differ
# for negative numbers, with which margins are computed at an unknown size.


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
