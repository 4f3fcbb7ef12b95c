"""Writes a model as an ONNX file and a file with its weights, by tf2onnx."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from exports.check import Finding, check_class_map
from exports.formats import FORMATS, onnx_weights
from exports.formats.saved_model import saved_for_conversion
from exports.formats.settings import Settings
from exports.graph import SERVING_DEFAULT, single_output
from exports.reading import ENTRY
from exports.serving import export_json

_OPSET = 17
_AXES = ("n", "height", "width")


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes `path/model.onnx` and its weights: `image` to `class_map` int32 `[n, h, w]`."""
    image = single_output.image_spec(settings.image_shape, dtype=settings.dtype, batch=None)
    variables = {f"weight_{number}": one for number, one in enumerate(model.variables)}
    file = _without_weights(model, image, variables)
    path.mkdir()
    # np.asarray of a variable would copy it; of the tensor in it, it gives a view.
    arrays = {
        port: (one.path, np.asarray(one.value.read_value())) for port, one in variables.items()
    }
    onnx_weights.attach(file, arrays, path)
    _name_axes(file.graph)
    if settings.spec is not None:
        file.metadata_props.add(key=ENTRY, value=settings.spec.to_json())
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


def _without_weights(
    model: keras.Model, image: tf.TensorSpec, variables: Mapping[str, keras.Variable]
) -> Any:
    """The `ModelProto` of a model that takes its weights as inputs, beside the image."""
    import tf2onnx

    weights = {
        port: tf.TensorSpec(one.shape, one.dtype, name=port) for port, one in variables.items()
    }
    # The plain function, so that its graph is part of the one below. A traced one within it was
    # seen to hold the weights of an earlier trace, and could not be saved.
    answer = single_output.class_map(model, image).python_function

    @tf.function
    def answer_with(image: tf.Tensor, **weights: tf.Tensor) -> dict[str, tf.Tensor]:
        given = [(one, weights[port]) for port, one in variables.items()]
        with keras.StatelessScope(state_mapping=given):
            return answer(image)

    traced = answer_with.get_concrete_function(image, **weights)
    with saved_for_conversion(None, traced) as scratch:
        loaded = tf.saved_model.load(scratch)

    @tf.function(input_signature=[image, list(weights.values())])
    def class_map_of(image: tf.Tensor, weights: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        given = dict(zip(variables, weights, strict=True))
        return loaded.signatures[SERVING_DEFAULT](image=image, **given)

    file, _ = tf2onnx.convert.from_function(
        class_map_of,
        input_signature=class_map_of.input_signature,
        opset=_OPSET,
        custom_op_handlers={
            "FloorDiv": (_floor_div, []),
            "FloorMod": (_floor_mod, []),
            "SelectV2": (_where, []),
        },
    )
    return file


def _name_axes(graph) -> None:
    """Calls the axes of any length by their names, the same in the image and its class map."""
    for port in (*graph.input, *graph.output):
        for axis, name in zip(port.type.tensor_type.shape.dim, _AXES, strict=False):
            if not axis.HasField("dim_value"):
                axis.dim_param = name


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


# tf2onnx multiplies both values by 0 or 1, and adds: minus infinity, as beyond the border of a
# pooling, becomes NaN.


def _where(context, node, name, arguments) -> None:
    node.type = "Where"


def _is_whole(context, node) -> bool:
    from onnx import TensorProto

    return context.get_dtype(node.input[0]) in (TensorProto.INT32, TensorProto.INT64)


def _handlers():
    from tf2onnx.onnx_opset import math

    return math
