"""The loaders in which a SavedModel is checked: each is asked by signature, on the CPU."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from exports.check.reference import CPU
from exports.runtimes import openvino as openvino_runtime
from exports.runtimes import process, tensorflow_c

Loader = Callable[[pathlib.Path], contextlib.AbstractContextManager[tensorflow_c.Ask]]


@contextlib.contextmanager
def python(directory: pathlib.Path) -> Iterator[tensorflow_c.Ask]:
    """TensorFlow's Python loader, in this process."""
    try:
        with tf.device(CPU):
            loaded = tf.saved_model.load(str(directory))
    except tf.errors.OpError as error:
        raise tensorflow_c.StatusError(
            error.error_code, f"{directory} is damaged ({error.message}). Copy it again."
        ) from error

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with tf.device(CPU):
            given = {
                name: tf.constant(array.tolist() if array.dtype == object else array)
                for name, array in inputs.items()
            }
            try:
                answer = loaded.signatures[signature](**given)
            except tf.errors.OpError as error:
                raise tensorflow_c.StatusError(error.error_code, error.message) from error
            return {name: tensor.numpy() for name, tensor in answer.items()}

    yield ask


@contextlib.contextmanager
def compiled(directory: pathlib.Path) -> Iterator[tensorflow_c.Ask]:
    """TensorFlow's C++ loader, in a process without TensorFlow's Python."""
    with process.loaded(directory) as ask:
        yield lambda signature, inputs: ask(signature, inputs).outputs


openvino = openvino_runtime.loaded  # in this process
