"""Asks a TFLite file through the signature runner of LiteRT, without TensorFlow's Python."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from exports.runtimes import Ask


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


def runner(file: pathlib.Path | bytes) -> Any:
    """The runner of the only signature of a file, or of its content.

    It gives outputs by name; their order varies.
    """
    given = {"model_content": file} if isinstance(file, bytes) else {"model_path": str(file)}
    return interpreter()(**given).get_signature_runner()


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """A loaded TFLite file.

    Raises:
        ValueError, RuntimeError: The file is not a TFLite file, or the input does not fit it.
    """
    answer = runner(path)
    yield lambda signature, inputs: answer(**inputs)


def signature(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The type and shape of what a file takes and gives, by name; None stands for any size."""
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
