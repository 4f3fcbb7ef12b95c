"""One string to TensorFlow Serving's gRPC method `Predict`, and its answer, without TensorFlow.

`tensorflow-serving-api` has all of its messages, and imports TensorFlow. These are a few fields of
`predict.proto` and `model.proto` in tensorflow/serving, `tensor.proto` and `tensor_shape.proto` in
tensorflow/tensorflow.
"""

from exports import protobuf

METHOD = "/tensorflow.serving.PredictionService/Predict"

_STRINGS_OF_ONE = b"\x08\x07" + protobuf.field(
    2, protobuf.field(2, b"\x08\x01")
)  # dtype, tensor_shape
_CONTENT, _INTS, _STRINGS = 4, 7, 8  # of a TensorProto


def question(model: str, signature: str, name: str, content: bytes) -> bytes:
    """A `PredictRequest` about strings `[1]`."""
    spec = protobuf.field(1, model.encode()) + protobuf.field(3, signature.encode())
    tensor = _STRINGS_OF_ONE + protobuf.field(_STRINGS, content)
    pair = protobuf.field(1, name.encode()) + protobuf.field(2, tensor)
    return protobuf.field(1, spec) + protobuf.field(2, pair)


def answered(content: bytes) -> dict[str, bytes | int]:
    """The outputs `[1]` of a `PredictResponse` by their names: bytes, or a number below 128.

    Raises:
        ValueError: The bytes are no such message.
    """
    return {name: _value(name, tensor) for name, tensor in protobuf.mapping(content, 1).items()}


def _value(name: str, tensor: bytes) -> bytes | int:
    found = dict(protobuf.fields(tensor))
    if _STRINGS in found:
        return found[_STRINGS]
    # A server may be told to send numbers as one string of bytes instead.
    numbers = found.get(_INTS, found.get(_CONTENT))
    if not isinstance(numbers, bytes) or len(numbers) != 1:
        raise ValueError(f"An answer has one value for an image; {name} has {numbers!r}.")
    return numbers[0]
