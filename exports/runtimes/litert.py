"""Asks a TFLite file through the signature runner of LiteRT, without TensorFlow's Python."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Ask = Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def interpreter() -> type:
    """LiteRT's interpreter.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "A TFLite file is checked in the LiteRT interpreter, which is not installed. "
            'Install it: pip install "segmentation-zoo[litert]".'
        ) from error
    return Interpreter


def runner(path: pathlib.Path) -> Any:
    """What answers the file's only signature: the order of its outputs is not that of the names."""
    return interpreter()(model_path=str(path)).get_signature_runner()


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """A loaded TFLite file, to be asked as a SavedModel is in `exports.runtimes.tensorflow_c`.

    Raises:
        ValueError, RuntimeError: The file is none, or the input is not what it takes.
    """
    answer = runner(path)
    yield lambda signature, inputs: answer(**inputs)


def signature(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What a file takes and gives: the type and shape of each, by its name; None is any size."""
    asked = runner(path)
    ports = {"takes": asked.get_input_details(), "gives": asked.get_output_details()}
    return {
        side: {
            name: {
                "type": np.dtype(port["dtype"]).name,
                "shape": [
                    None if length < 0 else int(length) for length in port["shape_signature"]
                ],
            }
            for name, port in details.items()
        }
        for side, details in ports.items()
    }
