"""The messages of TensorFlow Serving's gRPC method `Predict`, without TensorFlow.

`tensorflow-serving-api` has them all, and imports TensorFlow. Those of a question to `mask_png` and
its answer are a few fields of `predict.proto`, `model.proto`, `tensor.proto` and
`tensor_shape.proto`; the numbers are theirs, and what has no name on the wire has its own here.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

__all__ = ["DecodeError", "answered", "question"]

METHOD = "/tensorflow.serving.PredictionService/Predict"

_STRING = 7  # DT_STRING

# message → field → (number, type); a star is for many. A map is many pairs of a key and a value.
_MESSAGES = {
    "Dimension": {"size": (1, "int64")},
    "Shape": {"dim": (2, "*Dimension")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
    },
    "Named": {"key": (1, "string"), "value": (2, "Tensor")},
    "Model": {"name": (1, "string"), "signature_name": (3, "string")},
    "Question": {"model_spec": (1, "Model"), "inputs": (2, "*Named")},
    "Answer": {"outputs": (1, "*Named")},
}


def question(model: str, signature: str, name: str, contents: list[bytes]) -> bytes:
    """A `PredictRequest` about strings `[n]`."""
    asked = _CLASSES["Question"]()
    asked.model_spec.name, asked.model_spec.signature_name = model, signature
    given = asked.inputs.add(key=name).value
    given.dtype = _STRING
    given.tensor_shape.dim.add(size=len(contents))
    given.string_val.extend(contents)
    return asked.SerializeToString()


def answered(content: bytes) -> dict[str, list]:
    """The outputs `[n]` of a `PredictResponse` by their names: bytes, or whole numbers below 256.

    Raises:
        DecodeError: The bytes are no such message.
    """
    answer = _CLASSES["Answer"].FromString(content)
    return {output.key: _values(output.value) for output in answer.outputs}


def _values(tensor: Message) -> list:
    if tensor.dtype == _STRING:
        return list(tensor.string_val)
    # The server may be told to send numbers as one string of bytes.
    return list(tensor.int_val) or list(tensor.tensor_content)


def _classes() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(name="predict.proto", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            many, kind = kind.startswith("*"), kind.lstrip("*")
            field = described.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    # A pool of its own: TensorFlow's messages, if they are there, are in the common one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message: message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
        for message in _MESSAGES
    }


_CLASSES = _classes()
