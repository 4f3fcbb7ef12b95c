"""One value to TensorFlow Serving's gRPC method `Predict`, and its answer, without TensorFlow.

`tensorflow-serving-api` has all of its messages, and imports TensorFlow. These are a few fields of
`predict.proto` and `model.proto` in tensorflow/serving, `tensor.proto` and `tensor_shape.proto` in
tensorflow/tensorflow.
"""

from collections.abc import Callable

from exports import protobuf
from exports.client.server import Server

METHOD = "/tensorflow.serving.PredictionService/Predict"

Outputs = dict[str, bytes | list[int]]
Send = Callable[[str, str, bytes | int, float], bytes]
"""Sends one value to an input of a signature; returns the answer as it came within these seconds.

Raises `TimeoutError` when the seconds are over.
"""

_MAX_FIELDS = 100  # of a message about one row, which has two outputs or three
_MAX_NUMBERS = 100  # bytes of the numbers of an output, of which there are three at most

# dtype (DT_STRING is 7, DT_INT32 is 3) and tensor_shape [1]
_SHAPE = protobuf.field(2, protobuf.field(2, b"\x08\x01"))
_STRING_OF_ONE, _INT_OF_ONE = b"\x08\x07" + _SHAPE, b"\x08\x03" + _SHAPE
_CONTENT, _INTS, _STRINGS = 4, 7, 8  # of a TensorProto


def question(server: Server, signature: str, name: str, value: bytes | int) -> bytes:
    """A `PredictRequest` about one string, or one whole number as int32, of shape `[1]`."""
    spec = protobuf.field(1, server.model.encode()) + protobuf.field(3, signature.encode())
    if server.version is not None:
        spec += protobuf.field(2, b"\x08" + protobuf.varint(server.version))
    if server.label is not None:
        spec += protobuf.field(4, server.label.encode())
    if isinstance(value, int):
        tensor = _INT_OF_ONE + protobuf.field(_INTS, protobuf.varint(value))
    else:
        tensor = _STRING_OF_ONE + protobuf.field(_STRINGS, value)
    pair = protobuf.field(1, name.encode()) + protobuf.field(2, tensor)
    return protobuf.field(1, spec) + protobuf.field(2, pair)


def outputs(content: bytes) -> Outputs:
    """The outputs of a `PredictResponse` for one row, by name: bytes, or the numbers of a uint8.

    Raises:
        ValueError: The bytes are not such a message.
    """
    pairs = protobuf.mapping(content, 1, most=_MAX_FIELDS)
    return {name: _value(tensor) for name, tensor in pairs.items()}


def _value(tensor: bytes) -> bytes | list[int]:
    found = dict(protobuf.fields(tensor, most=_MAX_FIELDS))
    if _STRINGS in found:
        return found[_STRINGS]
    # A server may be told to send numbers as bytes.
    numbers = found.get(_CONTENT, found.get(_INTS, b""))
    if isinstance(numbers, int):
        return [numbers]
    if len(numbers) > _MAX_NUMBERS:
        raise ValueError("an output for one row is bytes, or a few numbers")
    return list(numbers) if _CONTENT in found else protobuf.varints(numbers)
