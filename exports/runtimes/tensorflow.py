"""Asks a SavedModel through TensorFlow's Python, on the CPU."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from exports.runtimes import Ask, StatusError

CPU = "CPU:0"


@contextlib.contextmanager
def loaded(directory: pathlib.Path) -> Iterator[Ask]:
    """A loaded SavedModel, in this process.

    Raises:
        StatusError: TensorFlow refuses the files or the request.
    """
    try:
        with tf.device(CPU):
            model = tf.saved_model.load(str(directory))
    except tf.errors.OpError as error:
        raise StatusError(
            error.error_code, f"{directory} is damaged ({error.message}). Copy it again."
        ) from error

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with tf.device(CPU):
            given = {
                name: tf.constant(array.tolist() if array.dtype == object else array)
                for name, array in inputs.items()
            }
            try:
                answer = model.signatures[signature](**given)
            except tf.errors.OpError as error:
                raise StatusError(error.error_code, error.message) from error
            return {name: tensor.numpy() for name, tensor in answer.items()}

    yield ask
