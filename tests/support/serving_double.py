"""A stand-in for TensorFlow Serving: its REST and gRPC interfaces over a SavedModel of the disk.

It answers as the server's documentation says (tensorflow/serving, `g3doc/api_rest.md`) and, where
that is silent, as its sources do (`util/json_tensor.cc`, `model_servers/http_server.cc`). What is
not needed here is not there: more versions than one, classify, regress, batching. What a server
says that is none, or a hostile one, is in `tests/support/serving_faults.py`.
"""

import base64
import contextlib
import http.server
import json
import pathlib
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

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
STATUS = {  # of a gRPC code, in REST
    **{"INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403},
    **{"NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "UNKNOWN": 500, "UNAVAILABLE": 503},
    "DEADLINE_EXCEEDED": 504,
}
_PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:predict")

VERSION, LABEL = 7, "stable"
"""What is served, and the label that it has."""


class RefusedError(Exception):
    """An error of the server: a gRPC code by its name, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Served:
    """A SavedModel under a name, in TensorFlow's C++ loader."""

    def __init__(self, ask: Ask, directory: pathlib.Path, name: str) -> None:
        self.ask, self.name = ask, name
        self.headers: list[tuple[str, str]] = []  # of the last question, their names in lower case
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

    def choose(self, model: str, version: int | None, label: str | None) -> None:
        """The server's error where a request names another version than there is."""
        if label not in (None, LABEL):
            text = f"Unrecognized servable version label: {label}"
            raise RefusedError("INVALID_ARGUMENT", text)
        if version not in (None, VERSION):
            text = f"Servable not found for request: Specific({model}, {version})"
            raise RefusedError("NOT_FOUND", text)

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
def rest(model: Served, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The REST interface of a served model, at the URL that is given; encrypted if it can."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            model.headers = [(name.lower(), value) for name, value in self.headers.items()]
            try:
                found = _PREDICT.fullmatch(self.path)
                if not found:
                    raise RefusedError("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
                version = None if found[2] is None else int(found[2])
                model.choose(found[1], version, found[3])
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
    port = server.server_address[1]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with _in_a_thread(server):
        yield f"http://127.0.0.1:{port}" if context is None else f"https://localhost:{port}"


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


def read_version(content: bytes) -> tuple[int | None, str | None]:
    """The version and the label of a `PredictRequest`."""
    spec = dict(protobuf.fields(dict(protobuf.fields(content))[1]))
    version = dict(protobuf.fields(spec[2]))[1] if 2 in spec else None
    return version, spec[4].decode() if 4 in spec else None


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
def grpc_server(model: Served, credentials: Any = None) -> Iterator[str]:
    """The gRPC interface of a served model, at the URL that is given; encrypted if it can."""
    import grpc

    def predict(content: bytes, context: grpc.ServicerContext) -> bytes:
        name, signature, inputs = read_question(content)
        model.headers = [(each.key, each.value) for each in context.invocation_metadata()]
        try:
            model.choose(name, *read_version(content))
            outputs = model.predict(name, signature, inputs)
        except RefusedError as error:
            context.abort(grpc.StatusCode[error.code], str(error))
        return write_answer(outputs)

    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((service,))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}" if credentials is None else f"grpcs://localhost:{port}"
    finally:
        server.stop(None).wait()
