"""Fills a model from a TensorFlow checkpoint of a training run."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

import keras
import tensorflow as tf


class DamagedError(ValueError):
    """A checkpoint cannot be read."""


def variable_keys(model: keras.Model) -> list[str]:
    """The keys of a model's variables in a checkpoint of a run, in the order of the variables."""
    count = len(model.variables)
    return [f"model/{place}/.ATTRIBUTES/VARIABLE_VALUE" for place in range(count)]


@contextlib.contextmanager
def readable(prefix: str | os.PathLike) -> Iterator[str]:
    """The path of a checkpoint, without `.index`, as TensorFlow can read it.

    TensorFlow takes one text as a pattern first and as a path then. No text is both for a folder
    whose name holds `[` or a backslash, so such a folder is read through a link, which is removed
    after the block.

    Raises:
        OSError: The link cannot be made.
    """
    prefix = pathlib.Path(prefix).absolute()
    if set(prefix.as_posix()).isdisjoint("*?[\\"):
        yield str(prefix)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = pathlib.Path(folder, "link")
        link.symlink_to(prefix.parent, target_is_directory=True)
        yield str(link / prefix.name)


def fill(model: keras.Model, file: str | os.PathLike) -> None:
    """Sets every variable of `model` from a checkpoint; `file` is its path without `.index`.

    Raises:
        DamagedError: The checkpoint cannot be read.
        ValueError: The checkpoint was saved from another model.
    """
    keys = variable_keys(model)
    try:
        with readable(file) as prefix:
            saved = tf.train.load_checkpoint(prefix)
            shapes = {
                key: shape
                for key, shape in saved.get_variable_to_shape_map().items()
                if key.startswith("model/")
            }
            values = [saved.get_tensor(key) for key in keys if key in shapes]
    except (
        tf.errors.OpError,
        IndexError,  # the file is cut off
        RuntimeError,
        ValueError,
    ) as error:
        raise DamagedError(
            f"The checkpoint {file} is damaged ({_first_line(error)}). Load another step."
        ) from error
    if shapes != dict(zip(keys, (list(x.shape) for x in model.variables), strict=True)):
        raise ValueError(
            f"The checkpoint {file} does not fit {model.name} with these options. Load it with the "
            "version of segmentation-zoo that wrote it."
        )
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
