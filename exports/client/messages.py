"""One value to TensorFlow Serving's gRPC method `Predict`, and its answer, without TensorFlow.

`tensorflow-serving-api` has all of its messages, and imports TensorFlow. These are a few fields of
`predict.proto` and `model.proto` in tensorflow/serving, `tensor.proto` and `tensor_shape.proto` in
tensorflow/tensorflow.
"""

from exports import protobuf

METHOD = "/tensorflow.serving.PredictionService/Predict"

# dtype (DT_STRING is 7, DT_INT32 is 3) and tensor_shape [1]
_SHAPE = protobuf.field(2, protobuf.field(2, b"\x08\x01"))
_STRING_OF_ONE, _INT_OF_ONE = b"\x08\x07" + _SHAPE, b"\x08\x03" + _SHAPE
_CONTENT, _INTS, _STRINGS = 4, 7, 8  # of a TensorProto


def question(model: str, signature: str, name: str, value: bytes | int) -> bytes:
    """A `PredictRequest` about one string, or one whole number as int32, of shape `[1]`."""
    spec = protobuf.field(1, model.encode()) + protobuf.field(3, signature.encode())
    if isinstance(value, int):
        tensor = _INT_OF_ONE + protobuf.field(_INTS, protobuf.varint(value))
    else:
        tensor = _STRING_OF_ONE + protobuf.field(_STRINGS, value)
    pair = protobuf.field(1, name.encode()) + protobuf.field(2, tensor)
    return protobuf.field(1, spec) + protobuf.field(2, pair)


def answered(content: bytes) -> dict[str, bytes | list[int]]:
    """The outputs of a `PredictResponse` for one row, by name: bytes, or the numbers of a uint8.

    Raises:
        ValueError: The bytes are not such a message.
    """
    return {name: _value(tensor) for name, tensor in protobuf.mapping(content, 1).items()}


def _value(tensor: bytes) -> bytes | list[int]:
    found = dict(protobuf.fields(tensor))
    if _STRINGS in found:
        return found[_STRINGS]
    if _CONTENT in found:  # a server may be told to send numbers as bytes
        return list(found[_CONTENT])
    numbers = found.get(_INTS, b"")
    return [numbers] if isinstance(numbers, int) else protobuf.varints(numbers)
