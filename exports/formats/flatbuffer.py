"""What lies in a TFLite file: its operations, its description and its metadata."""

import collections
from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np

Model = Any  # schema_py_generated.ModelT

_IDENTIFIER = b"TFL3"


def read(content: bytes) -> Model:
    """The tables of a TFLite file, as objects that can be changed.

    Raises:
        ImportError: LiteRT, whose wheel holds the schema, is not installed.
    """
    from ai_edge_litert import schema_py_generated

    return schema_py_generated.ModelT.InitFromPackedBuf(content, 0)


def written(model: Model) -> bytes:
    """The bytes of a TFLite file with these tables."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def add_metadata(model: Model, name: str, content: bytes) -> None:
    """Adds a metadata entry, which runtimes pass over."""
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

    buffer, entry = BufferT(), MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


def operations(model: Model) -> dict[str, int]:
    """How often a file uses each operation, by its built-in name, such as `CONV_2D`."""
    return dict(sorted(collections.Counter(name for name, _, _ in uses(model)).items()))


def uses(model: Model) -> Iterator[tuple[str, Any, Any]]:
    """Each use of an operation: its built-in name, the operator, and its graph."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            yield names[code.builtinCode], operator, graph
