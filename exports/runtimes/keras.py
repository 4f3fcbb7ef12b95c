"""Asks a Keras model, loaded by `zoo.load`: other runtimes are compared with it."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from exports.runtimes import Ask


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """Loads a model, to be asked as a file of `exports.runtimes.tensorflow_c` is.

    `image` uint8 `[n, h, w, channels]` gives `class_map` uint8 `[n, h, w]`, by `predict`.

    Raises:
        ValueError, OSError: `zoo.load` refuses the file.
    """
    import zoo

    model = zoo.load(path)

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        scores = model.predict(inputs["image"].astype("float32"), verbose=0)
        return {"class_map": scores.argmax(-1).astype(np.uint8)}

    yield ask
