"""Models whose weights have shapes and no values."""

import contextlib
from collections.abc import Iterator

import keras
from keras.src.backend.common import global_state  # what Keras still has to do is not public


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Models that are built here have weights of the right shapes, and none has values.

    >>> with without_values():
    ...     model = zoo.build("deconvnet")  # 252 million parameters, in a moment

    Such a model can be counted, drawn and asked for shapes.
    """
    before = list(global_state.get_global_attribute("uninitialized_variables") or ())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Keras makes the values up when the next scope of this kind ends, of any model: gigabytes.
        global_state.set_global_attribute("uninitialized_variables", before)
