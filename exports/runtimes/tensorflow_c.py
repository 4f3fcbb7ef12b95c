"""Asks a SavedModel through TensorFlow's C API: the C++ loader that TensorFlow Serving uses.

A SavedModel can answer in Python and fail in this loader, so that only this loader is a proof. A
library for the C API, such as TensorFlow's Python, would break a promise: what is checked here is a
process without TensorFlow's Python, as a server is one.
"""

import contextlib
import ctypes
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from exports import protobuf
from exports.runtimes import Ask, StatusError, tensorflow_c_api

Ports = dict[str, str]  # the name of an input or output → that of the tensor in the graph

_OK = 0
_STRING_BYTES = 24  # sizeof(TF_TString)
_NO_GPU = b"\n\x07\n\x03GPU\x10\x00"  # ConfigProto(device_count={"GPU": 0})

# tensorflow/core/framework/types.proto
_STRING = 7
_TYPES = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    9: np.int64,
    10: np.bool_,
    17: np.uint16,
    19: np.float16,
    22: np.uint32,
    23: np.uint64,
}
_NUMBERS = {np.dtype(kind): number for number, kind in _TYPES.items()}


@contextlib.contextmanager
def loaded(directory: pathlib.Path) -> Iterator[Ask]:
    """A loaded SavedModel, to be asked by signature, on the CPU.

    ```python
    with loaded(out / "unet" / "1") as ask:
        class_map = ask("serving_default", {"image": images})["class_map"]
    ```

    Strings are object arrays of `bytes`, in and out.

    Raises:
        StatusError: TensorFlow refuses the files or the request; the message is TensorFlow's.
        KeyError: No such signature, or one with other inputs.
        OSError: This installation of TensorFlow has no library for C.
    """
    api = tensorflow_c_api.library()
    meta_graph = api.TF_NewBuffer()
    graph, options = api.TF_NewGraph(), api.TF_NewSessionOptions()
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = None
    try:
        with _status(api) as status:
            api.TF_SetConfig(options, _NO_GPU, len(_NO_GPU), status)
        with _status(api) as status:
            session = api.TF_LoadSessionFromSavedModel(
                options, None, str(directory).encode(), tags, 1, graph, meta_graph, status
            )
        content = meta_graph.contents
        described = _signatures(ctypes.string_at(content.data, content.length))

        def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            # A name that is not in the graph would abort the process.
            takes, gives = described.get(signature, ({}, {}))
            if not takes or set(inputs) != set(takes):
                raise KeyError(f"no signature {signature!r} of {sorted(inputs)} in {directory}")
            return _run(api, session, graph, takes, gives, inputs)

        yield ask
    finally:
        if session:
            with _status(api) as status:
                api.TF_DeleteSession(session, status)
        api.TF_DeleteSessionOptions(options)
        api.TF_DeleteGraph(graph)
        api.TF_DeleteBuffer(meta_graph)


def _signatures(meta_graph: bytes) -> dict[str, tuple[Ports, Ports]]:
    """The inputs and outputs of each signature of a `MetaGraphDef`."""

    def ports(signature: bytes, number: int) -> Ports:
        tensors = protobuf.mapping(signature, number)
        return {port: dict(protobuf.fields(info))[1].decode() for port, info in tensors.items()}

    return {
        name: (ports(signature, 1), ports(signature, 2))
        for name, signature in protobuf.mapping(meta_graph, 5).items()
    }


def _run(api, session, graph, takes: Ports, gives: Ports, inputs) -> dict[str, np.ndarray]:
    names = sorted(gives)
    feeds = (tensorflow_c_api.Output * len(inputs))(
        *(_port(api, graph, takes[name]) for name in inputs)
    )
    fetches = (tensorflow_c_api.Output * len(names))(
        *(_port(api, graph, gives[name]) for name in names)
    )
    given = (ctypes.c_void_p * len(inputs))(*(_to_tensor(api, a) for a in inputs.values()))
    answers = (ctypes.c_void_p * len(names))()
    try:
        with _status(api) as status:
            api.TF_SessionRun(
                *(session, None, feeds, given, len(inputs), fetches, answers, len(names)),
                *(None, 0, None, status),
            )
        return {name: _to_array(api, tensor) for name, tensor in zip(names, answers, strict=True)}
    finally:
        for tensor in (*given, *answers):
            if tensor:
                api.TF_DeleteTensor(tensor)


def _port(api, graph, tensor: str) -> tensorflow_c_api.Output:
    name, _, index = tensor.partition(":")
    return tensorflow_c_api.Output(api.TF_GraphOperationByName(graph, name.encode()), int(index))


def _to_tensor(api, array: np.ndarray) -> int:
    strings = array.dtype == object
    length = array.size * _STRING_BYTES if strings else array.nbytes
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    kind = _STRING if strings else _NUMBERS[array.dtype]
    tensor = api.TF_AllocateTensor(kind, shape, array.ndim, length)
    data = api.TF_TensorData(tensor)
    if not strings:
        ctypes.memmove(data, array.tobytes(), length)
        return tensor
    for row, content in enumerate(array.flat):
        place = data + row * _STRING_BYTES
        api.TF_StringInit(place)
        api.TF_StringCopy(place, content, len(content))
    return tensor


def _to_array(api, tensor: int) -> np.ndarray:
    shape = tuple(api.TF_Dim(tensor, axis) for axis in range(api.TF_NumDims(tensor)))
    kind = api.TF_TensorType(tensor)
    data = api.TF_TensorData(tensor)
    if kind != _STRING:
        raw = ctypes.string_at(data, api.TF_TensorByteSize(tensor))
        return np.frombuffer(raw, _TYPES[kind]).reshape(shape)
    places = (data + row * _STRING_BYTES for row in range(int(np.prod(shape))))
    strings = np.empty(shape, object)
    strings.flat = [
        ctypes.string_at(api.TF_StringGetDataPointer(place), api.TF_StringGetSize(place))
        for place in places
    ]
    return strings


@contextlib.contextmanager
def _status(api) -> Iterator[int]:
    """A status for one call; what it says after the call is raised."""
    status = api.TF_NewStatus()
    try:
        yield status
        code = api.TF_GetCode(status)
        if code != _OK:
            raise StatusError(code, api.TF_Message(status).decode(errors="replace"))
    finally:
        api.TF_DeleteStatus(status)
