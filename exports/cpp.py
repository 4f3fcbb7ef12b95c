"""Asks a SavedModel through TensorFlow's C API: the C++ loader that TF Serving uses.

A SavedModel can answer in Python and be dead there, so that only this loader is a proof.
"""

import contextlib
import ctypes
import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

Ask = Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]

_OK = 0
_STRING_BYTES = 24  # sizeof(TF_TString)


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


@contextlib.contextmanager
def loaded(directory: pathlib.Path) -> Iterator[Ask]:
    """A loaded SavedModel, to be asked by signature, on the CPU.

    ```python
    with loaded(out / "unet" / "1") as ask:
        class_map = ask("serving_default", {"image": images})["class_map"]
    ```

    Strings are object arrays of `bytes`, in and out.

    Raises:
        RuntimeError: TensorFlow refuses the files or the request; the message is TensorFlow's.
        OSError: This installation of TensorFlow has no such library.
    """
    api = _library()
    meta_graph = api.TF_NewBuffer()
    graph, options = api.TF_NewGraph(), api.TF_NewSessionOptions()
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = None
    try:
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0}).SerializeToString()
        with _status(api) as status:
            api.TF_SetConfig(options, config, len(config), status)
        with _status(api) as status:
            session = api.TF_LoadSessionFromSavedModel(
                options, None, str(directory).encode(), tags, 1, graph, meta_graph, status
            )
        content = meta_graph.contents
        described = meta_graph_pb2.MetaGraphDef.FromString(
            ctypes.string_at(content.data, content.length)
        ).signature_def

        def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            # Asked for what is not there, a protobuf map makes it and the session ends the process.
            if signature not in described or set(inputs) != set(described[signature].inputs):
                raise KeyError(f"no signature {signature!r} of {sorted(inputs)} in {directory}")
            return _run(api, session, graph, described[signature], inputs)

        yield ask
    finally:
        if session:
            with _status(api) as status:
                api.TF_DeleteSession(session, status)
        api.TF_DeleteSessionOptions(options)
        api.TF_DeleteGraph(graph)
        api.TF_DeleteBuffer(meta_graph)


def _run(api, session, graph, signature, inputs) -> dict[str, np.ndarray]:
    names = sorted(signature.outputs)
    feeds = (_Output * len(inputs))(*(_port(api, graph, signature.inputs[n]) for n in inputs))
    fetches = (_Output * len(names))(*(_port(api, graph, signature.outputs[n]) for n in names))
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


def _port(api, graph, described) -> _Output:
    name, _, index = described.name.partition(":")
    return _Output(api.TF_GraphOperationByName(graph, name.encode()), int(index))


def _to_tensor(api, array: np.ndarray) -> int:
    strings = array.dtype == object
    length = array.size * _STRING_BYTES if strings else array.nbytes
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    dtype = tf.string if strings else tf.as_dtype(array.dtype)
    tensor = api.TF_AllocateTensor(dtype.as_datatype_enum, shape, array.ndim, length)
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
    dtype = tf.dtypes.as_dtype(api.TF_TensorType(tensor))
    data = api.TF_TensorData(tensor)
    if dtype != tf.string:
        raw = ctypes.string_at(data, api.TF_TensorByteSize(tensor))
        return np.frombuffer(raw, dtype.as_numpy_dtype).reshape(shape)
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
        if api.TF_GetCode(status) != _OK:
            raise RuntimeError(api.TF_Message(status).decode(errors="replace"))
    finally:
        api.TF_DeleteStatus(status)


def _library() -> ctypes.CDLL:
    found = sorted(pathlib.Path(tf.__file__).parent.glob("libtensorflow_cc*"))
    if not found:
        raise OSError(
            "An export is checked in TensorFlow's C++ loader; this installation of TensorFlow "
            "comes without its library. Export on Linux, macOS or WSL2."
        )
    api = ctypes.CDLL(str(found[0]))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    table = {
        "TF_NewBuffer": (ctypes.POINTER(_Buffer), ()),
        "TF_DeleteBuffer": (None, (ctypes.POINTER(_Buffer),)),
        "TF_NewGraph": (pointer, ()),
        "TF_DeleteGraph": (None, (pointer,)),
        "TF_NewSessionOptions": (pointer, ()),
        "TF_SetConfig": (None, (pointer, ctypes.c_char_p, size, pointer)),
        "TF_DeleteSessionOptions": (None, (pointer,)),
        "TF_NewStatus": (pointer, ()),
        "TF_DeleteStatus": (None, (pointer,)),
        "TF_GetCode": (ctypes.c_int, (pointer,)),
        "TF_Message": (ctypes.c_char_p, (pointer,)),
        "TF_LoadSessionFromSavedModel": (
            pointer,
            (
                *(pointer, pointer, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)),
                *(ctypes.c_int, pointer, ctypes.POINTER(_Buffer), pointer),
            ),
        ),
        "TF_DeleteSession": (None, (pointer, pointer)),
        "TF_SessionRun": (
            None,
            (
                *(pointer, pointer, ctypes.POINTER(_Output), ctypes.POINTER(pointer), ctypes.c_int),
                *(ctypes.POINTER(_Output), ctypes.POINTER(pointer), ctypes.c_int),
                *(pointer, ctypes.c_int, pointer, pointer),
            ),
        ),
        "TF_GraphOperationByName": (pointer, (pointer, ctypes.c_char_p)),
        "TF_AllocateTensor": (
            pointer,
            (ctypes.c_int, ctypes.POINTER(ctypes.c_int64), ctypes.c_int, size),
        ),
        "TF_DeleteTensor": (None, (pointer,)),
        "TF_TensorData": (pointer, (pointer,)),
        "TF_TensorType": (ctypes.c_int, (pointer,)),
        "TF_TensorByteSize": (size, (pointer,)),
        "TF_NumDims": (ctypes.c_int, (pointer,)),
        "TF_Dim": (ctypes.c_int64, (pointer, ctypes.c_int)),
        "TF_StringInit": (None, (pointer,)),
        "TF_StringCopy": (None, (pointer, ctypes.c_char_p, size)),
        "TF_StringGetDataPointer": (pointer, (pointer,)),
        "TF_StringGetSize": (size, (pointer,)),
    }
    for name, (result, arguments) in table.items():
        function = getattr(api, name)
        function.restype, function.argtypes = result, arguments
    return api
