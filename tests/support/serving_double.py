"""A stand-in for TensorFlow Serving: its REST and gRPC interfaces over a SavedModel of the disk.

It answers as the server's documentation says (tensorflow/serving, `g3doc/api_rest.md`) and, where
that is silent, as its sources do (`util/json_tensor.cc`, `model_servers/http_server.cc`). What is
not needed here is not there: versions, labels, classify, regress, batching.
"""

import base64
import contextlib
import http.server
import json
import pathlib
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2

from exports import protobuf
from exports.runtimes import INVALID_ARGUMENT, Ask, StatusError, tensorflow_c
from tests.fuzz.wire import field

# What the server writes as JSON; float16, bfloat16 and others it refuses.
REST_TYPES = {
    *("bool", "string", "float32", "float64"),
    *("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"),
}
STATUS = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNKNOWN": 500}  # of a gRPC code, in REST
_PREDICT = re.compile(r"/v1/models/([^/:]+):predict")


class RefusedError(Exception):
    """An error of the server: a gRPC code by its name, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Served:
    """A SavedModel under a name, in TensorFlow's C++ loader."""

    def __init__(self, ask: Ask, directory: pathlib.Path, name: str) -> None:
        self.ask, self.name = ask, name
        content = (directory / "saved_model.pb").read_bytes()
        (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
        self.signatures = graph.signature_def

    def predict(
        self, model: str, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The outputs for these inputs, or the server's error."""
        takes = self.takes(model, signature)
        if set(inputs) != set(takes):
            raise RefusedError(
                "INVALID_ARGUMENT", f"input keys {sorted(inputs)} are not {sorted(takes)}"
            )
        try:
            return self.ask(signature, inputs)
        except StatusError as error:
            code = {INVALID_ARGUMENT: "INVALID_ARGUMENT"}.get(error.code, "UNKNOWN")
            raise RefusedError(code, str(error)) from error

    def takes(self, model: str, signature: str) -> Mapping:
        """The inputs of a signature."""
        if model != self.name:
            raise RefusedError("NOT_FOUND", f"Servable not found for request: Latest({model})")
        if signature not in self.signatures:
            raise RefusedError(
                "INVALID_ARGUMENT",
                f'Serving signature name: "{signature}" not found in signature def',
            )
        return self.signatures[signature].inputs


@contextlib.contextmanager
def served(directory: pathlib.Path, name: str) -> Iterator[Served]:
    """The model that both servers below serve."""
    with tensorflow_c.loaded(directory) as ask:
        yield Served(ask, directory, name)


@contextlib.contextmanager
def rest(model: Served) -> Iterator[str]:
    """The REST interface of a served model, at the URL that is given."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                found = _PREDICT.fullmatch(self.path)
                if not found:
                    raise RefusedError("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
                status, answer = 200, answer_rows(model, found[1], body)
            except RefusedError as error:
                status, answer = STATUS[error.code], {"error": str(error)}
            content = json.dumps(answer, indent=4).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing in the tests."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with _in_a_thread(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextlib.contextmanager
def _in_a_thread(server: http.server.HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer_rows(model: Served, name: str, body: bytes) -> dict:
    """The answer to a request in the row format."""
    try:
        asked = json.loads(body)
        instances = asked["instances"]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key") from error
    signature = asked.get("signature_name", "serving_default")
    takes = model.takes(name, signature)
    inputs = {key: _tensor([_value(row, key, takes) for row in instances], takes) for key in takes}
    return {"predictions": rows(model.predict(name, signature, inputs))}


def _value(row: object, key: str, takes: Mapping) -> object:
    if isinstance(row, dict) and set(row) != {"b64"}:
        if set(row) != set(takes):
            raise RefusedError("INVALID_ARGUMENT", f"keys must be equal to: {','.join(takes)}")
        row = row[key]
    return base64.b64decode(row["b64"], validate=True) if isinstance(row, dict) else row


def _tensor(values: list, takes: Mapping) -> np.ndarray:
    (info,) = takes.values()
    if info.dtype == tf.string.as_datatype_enum:
        return strings(values)
    return np.array(values, tf.as_dtype(info.dtype).as_numpy_dtype)


def strings(values: list[bytes]) -> np.ndarray:
    """Bytes as an array of objects, which NumPy does not cut at their zeros."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def rows(outputs: Mapping[str, np.ndarray]) -> list:
    """Outputs as the `predictions` of the row format, which the server refuses for some of them."""
    for name, array in outputs.items():
        kind = "string" if array.dtype == object else array.dtype.name
        if kind not in REST_TYPES:
            raise RefusedError(
                "INVALID_ARGUMENT", f"Failed to write JSON value for tensor type: {kind}"
            )
        if not array.ndim:
            raise RefusedError("INVALID_ARGUMENT", f"Tensor name: {name} has no shape information")
    if len({len(array) for array in outputs.values()}) > 1:
        raise RefusedError("INVALID_ARGUMENT", "a tensor has inconsistent batch size")
    columns = {name: _json(name, array) for name, array in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json(name: str, array: np.ndarray) -> list:
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    try:
        return [value.decode() for value in array]
    except UnicodeDecodeError as error:
        raise RefusedError("INVALID_ARGUMENT", f"{name} is not UTF-8") from error


def read_question(content: bytes) -> tuple[str, str, dict[str, np.ndarray]]:
    """The model, the signature and the inputs of a `PredictRequest`."""
    spec = dict(protobuf.fields(dict(protobuf.fields(content))[1]))
    tensors = protobuf.mapping(content, 2).items()
    inputs = {
        name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensor)) for name, tensor in tensors
    }
    return spec[1].decode(), spec.get(3, b"serving_default").decode(), inputs


def read_warm_up(record: bytes) -> tuple[str, str, dict[str, np.ndarray]]:
    """The same of a `PredictionLog` with a `PredictLog`, of which warm-up requests are made."""
    try:
        return read_question(dict(protobuf.fields(dict(protobuf.fields(record))[6]))[1])
    except (KeyError, ValueError, DecodeError) as error:
        raise ValueError(f"it is no log of a predict request ({error!r})") from error


def write_answer(outputs: Mapping[str, np.ndarray]) -> bytes:
    """A `PredictResponse`, whose tensors hold a value for each element, as the server's do."""
    answer = b""
    for name, array in outputs.items():
        tensor = tf.make_tensor_proto(
            array.tolist() if array.dtype == object else array, shape=array.shape
        )
        if array.dtype == np.uint8:
            tensor.ClearField("tensor_content")
            tensor.int_val[:] = array.ravel().tolist()
        answer += field(1, field(1, name.encode()) + field(2, tensor.SerializeToString()))
    return answer


@contextlib.contextmanager
def grpc_server(model: Served) -> Iterator[str]:
    """The gRPC interface of a served model, at the URL that is given."""
    import grpc

    def predict(content: bytes, context: grpc.ServicerContext) -> bytes:
        name, signature, inputs = read_question(content)
        try:
            outputs = model.predict(name, signature, inputs)
        except RefusedError as error:
            context.abort(grpc.StatusCode[error.code], str(error))
        return write_answer(outputs)

    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
