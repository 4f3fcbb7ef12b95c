"""What a file of weights that cannot be used must come to: an error with its text, and no harm."""

import pathlib
import re

import keras
import numpy as np
import pytest

import zoo


def check_refused(
    model: keras.Model,
    file: str | pathlib.Path,
    message: str,
    *,
    option: str = "weights",
    kind: type[Exception] = ValueError,
) -> None:
    """Refused with this text, in which FILE is the file; the model is as it was."""
    before = model.get_weights()
    with pytest.raises(kind, match=re.escape(message.replace("FILE", str(file)))):
        zoo.weights.load(model, **{option: file})
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
