"""The part of TensorFlow's C API (`tensorflow/c/c_api.h`) that loads and asks a SavedModel.

The library of the installed TensorFlow is called by `ctypes`. A package that wraps the C API would
bring a TensorFlow of its own, and the check would be of that one.
"""

import ctypes
import importlib.util
import pathlib

_DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"  # the function's name in C++ libraries


class Buffer(ctypes.Structure):
    """`TF_Buffer`: bytes and their length."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class Output(ctypes.Structure):
    """`TF_Output`: one of the outputs of an operation."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def library() -> ctypes.CDLL:
    """The library of the installed TensorFlow, with the types of its functions.

    Raises:
        OSError: This installation of TensorFlow has no library for C.
    """
    # Found without an import, which would load TensorFlow's Python.
    package = importlib.util.find_spec("tensorflow").submodule_search_locations[0]
    found = sorted(pathlib.Path(package).glob("libtensorflow_cc*"))
    if not found:
        raise OSError(
            "An export is checked in TensorFlow's C++ loader; this installation of TensorFlow "
            "comes without its library. Export on Linux, macOS or WSL2."
        )
    api = ctypes.CDLL(str(found[0]))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    table = {
        "TF_NewBuffer": (ctypes.POINTER(Buffer), ()),
        "TF_DeleteBuffer": (None, (ctypes.POINTER(Buffer),)),
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
                *(ctypes.c_int, pointer, ctypes.POINTER(Buffer), pointer),
            ),
        ),
        "TF_DeleteSession": (None, (pointer, pointer)),
        "TF_SessionRun": (
            None,
            (
                *(pointer, pointer, ctypes.POINTER(Output), ctypes.POINTER(pointer), ctypes.c_int),
                *(ctypes.POINTER(Output), ctypes.POINTER(pointer), ctypes.c_int),
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
        function = getattr(api, name, None)
        if function is None:
            raise OSError(
                f"An export is checked in TensorFlow's C++ loader; {found[0]} has no {name}. "
                "Install TensorFlow again, as pip has it."
            )
        function.restype, function.argtypes = result, arguments
    return api


def forbid_xla() -> bool:
    """Makes TensorFlow in this process refuse what XLA has to compile, as TensorFlow Serving does.

    `tensorflow_model_server` calls `tensorflow::DisableXlaCompilation()` when it starts. The name
    is no part of the C API: a library may have none, or another; the answer is False then.
    """
    forbid = getattr(library(), _DISABLE_XLA, None)
    if forbid is not None:
        forbid()
    return forbid is not None


def can_forbid_xla() -> bool:
    """Whether `forbid_xla` can do it."""
    return hasattr(library(), _DISABLE_XLA)
