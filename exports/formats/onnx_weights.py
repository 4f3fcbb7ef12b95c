"""The weights of an ONNX graph that was converted without them, in a file beside it.

A converter copies the constants of a graph again and again: with a network of 537 MB it took more
than 24 GB. Here it sees each weight as an input. Afterwards the inputs become tensors of
`model.onnx.data`, written one after the other. A graph with its weights inside could hold 2 GB at
most.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

DATA = "model.onnx.data"

_INSIDE = 1024  # bytes; of smaller tensors, a runtime may look for the numbers in the graph
_ALIGNMENT = 1 << 16  # bytes; from such a place every system can map a file into memory


def attach(model: Any, weights: Mapping[str, tuple[str, np.ndarray]], folder: pathlib.Path) -> None:
    """Makes constants of the inputs that are weights, and writes their numbers to a file.

    What depends on weights only, such as a kernel in the order of axes that ONNX has, is computed
    here once, not by each runtime that loads the file.

    Args:
        model: An ONNX `ModelProto`, its nodes in the order in which they are computed; is changed.
        weights: The name of an input → the name of the weight, and its numbers.
        folder: Where `model.onnx.data` is written.
    """
    graph = model.graph
    _replace(graph.input, [port for port in graph.input if port.name not in weights])
    names = {port: name for port, (name, _) in weights.items()}
    values = {port: array for port, (_, array) in weights.items()}
    nodes = _compute(model, names, values)
    used = {name for node in nodes for name in node.input} | {port.name for port in graph.output}
    _replace(graph.node, nodes)
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])
    with open(folder / DATA, "wb") as file:
        for port in sorted(used & set(values)):
            tensor = _tensor(names[port], values[port], file)
            graph.initializer.append(tensor)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _compute(model: Any, names: dict[str, str], values: dict[str, np.ndarray]) -> list[Any]:
    """Adds to `names` and `values` what depends on weights only; returns the other nodes."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    opsets = {each.domain: each.version for each in model.opset_import}
    others = []
    for node in model.graph.node:
        given = [name for name in node.input if name in values]
        if not given or not set(node.input) <= set(values) | set(constants):
            others.append(node)
            continue
        inputs = {
            name: values[name] if name in values else numpy_helper.to_array(constants[name])
            for name in node.input
        }
        results = ReferenceEvaluator(node, opsets=opsets).run(None, inputs)
        for name, array in zip(node.output, results, strict=True):
            values[name] = array  # a view of the weight where only axes change
            names[name] = names[given[0]] if len(given) == 1 else name
    return others


def _tensor(name: str, array: np.ndarray, file: BinaryIO) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    if array.nbytes < _INSIDE:
        return numpy_helper.from_array(np.ascontiguousarray(array), name)
    file.seek(-file.tell() % _ALIGNMENT, 1)
    tensor = TensorProto(
        name=name,
        dims=array.shape,
        data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    place = {"location": DATA, "offset": file.tell(), "length": array.nbytes}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    for part in array:  # a part at a time: most are views with other axes, which are copied here
        file.write(np.ascontiguousarray(part).data)
    return tensor


def _replace(field: Any, content: list[Any]) -> None:
    """The content of a repeated field, which cannot be assigned to."""
    del field[:]
    field.extend(content)
