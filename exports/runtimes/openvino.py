"""Asks a SavedModel, or the files of `exports.formats.openvino`, through OpenVINO on the CPU."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from exports.graph import SERVING_DEFAULT
from exports.runtimes import Ask, UnableError


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """A loaded SavedModel, of which OpenVINO reads `serving_default` only, or `.xml` file.

    Raises:
        ImportError: It is not installed; the message says how to.
        UnableError: It does not have an operation of the graph, such as a convolution in groups.
    """
    try:
        from openvino import Core
    except ImportError as error:
        raise ImportError(
            'OpenVINO is not installed. Install it: pip install "segmentation-zoo[openvino]".'
        ) from error
    # The default is half precision where the processor has it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if signature != SERVING_DEFAULT:
            raise KeyError(f"OpenVINO reads {SERVING_DEFAULT} only; received {signature!r}")
        with _able():
            answer = model(inputs).items()
        return {name: array for output, array in answer for name in output.get_names()}

    with _able():
        model = Core().compile_model(str(path), "CPU", options)
    yield ask


@contextlib.contextmanager
def _able() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UnableError(f"OpenVINO cannot run the graph ({reason})") from error
