"""The loaders in which a SavedModel is checked: each is asked by signature, on the CPU."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from exports import alone, cpp
from exports.check.reference import CPU
from exports.signatures import SERVING_DEFAULT

Loader = Callable[[pathlib.Path], contextlib.AbstractContextManager[cpp.Ask]]


class UnableError(RuntimeError):
    """A loader that is no part of TensorFlow cannot run the graph."""


@contextlib.contextmanager
def python(directory: pathlib.Path) -> Iterator[cpp.Ask]:
    """TensorFlow's Python loader, in this process."""
    with tf.device(CPU):
        loaded = tf.saved_model.load(str(directory))

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with tf.device(CPU):
            given = {
                name: tf.constant(array.tolist() if array.dtype == object else array)
                for name, array in inputs.items()
            }
            try:
                answer = loaded.signatures[signature](**given)
            except tf.errors.OpError as error:
                raise cpp.StatusError(error.error_code, error.message) from error
            return {name: tensor.numpy() for name, tensor in answer.items()}

    yield ask


@contextlib.contextmanager
def compiled(directory: pathlib.Path) -> Iterator[cpp.Ask]:
    """TensorFlow's C++ loader, in a process without TensorFlow's Python."""
    with alone.loaded(directory) as ask:
        yield lambda signature, inputs: ask(signature, inputs).outputs


@contextlib.contextmanager
def openvino(directory: pathlib.Path) -> Iterator[cpp.Ask]:
    """OpenVINO, which reads `serving_default` only.

    Raises:
        ImportError: It is not installed; the message says how to.
        UnableError: It has no equal for an operation of the graph, such as a convolution in groups.
    """
    try:
        from openvino import Core
    except ImportError as error:
        raise ImportError(
            'OpenVINO is not installed. Install it: pip install "segmentation-zoo[openvino]".'
        ) from error
    # It would compute in half precision where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32"}

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if signature != SERVING_DEFAULT:
            raise KeyError(f"OpenVINO reads {SERVING_DEFAULT} only; received {signature!r}")
        with _able():
            answer = model(inputs).items()
        return {name: array for output, array in answer for name in output.get_names()}

    with _able():
        model = Core().compile_model(str(directory), "CPU", options)
    yield ask


@contextlib.contextmanager
def _able() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UnableError(f"OpenVINO cannot run the graph ({reason})") from error
