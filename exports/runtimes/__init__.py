"""One loader for each runtime, all called alike.

Each module has a context manager `loaded(path)` that gives an `Ask`. `exports.runtimes.process`
runs a loader in a process of its own, which need have neither TensorFlow's Python nor the zoo: only
`exports.runtimes.tensorflow` and `exports.runtimes.keras` import them.
"""

from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["INVALID_ARGUMENT", "Ask", "StatusError", "UnableError"]

Ask = Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""A signature and its inputs by name → its outputs by name. Strings are object arrays of bytes."""

INVALID_ARGUMENT = 3


class StatusError(RuntimeError):
    """TensorFlow refuses; `code` is its status, such as `INVALID_ARGUMENT`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return self.args[1]


class UnableError(RuntimeError):
    """A runtime other than TensorFlow cannot run the graph."""
