"""Writes a model's weights so that they are found whole, and tells whether a file still is."""

import contextlib
import hashlib
import os
import pathlib
import secrets

import keras
import numpy as np

from zoo.weights import hdf5


def save(model: keras.Model, path: str | os.PathLike) -> pathlib.Path:
    """Writes `NAME.weights.h5` and its `.sha256`: beside their place, read back, then renamed.

    >>> zoo.weights.save(model, "fcn8s.weights.h5")

    A file of that name is replaced, once the new one is whole.

    Raises:
        ValueError: The name does not end in `.weights.h5`.
        OSError: The file cannot be written, or does not hold the model's weights when read back;
            what was there is unharmed.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(
            "Weights are saved in a file that ends in .weights.h5; received "
            f"{path.name!r}. Name it {path.name.partition('.')[0]}.weights.h5."
        )
    mark = secrets.token_hex(4)
    unfinished = path.with_name(f"writing-{mark}.weights.h5")
    record, unfinished_record = _record(path), path.with_name(f"writing-{mark}.sha256")
    try:
        model.save_weights(unfinished)
        _read_back(model, unfinished)
        _flush(unfinished)
        unfinished_record.write_text(f"{sha256(unfinished)}  {path.name}\n", encoding="utf-8")
        _flush(unfinished_record)
        record.unlink(missing_ok=True)  # a file without one is in use; with a wrong one, refused
        os.replace(unfinished, path)
        os.replace(unfinished_record, record)
    finally:
        for file in (unfinished, unfinished_record):
            with contextlib.suppress(OSError):
                file.unlink()
    return path


def is_whole(path: str | os.PathLike) -> bool | None:
    """Whether a file is the one that the `.sha256` beside it was written for; None without it."""
    record = _record(pathlib.Path(path))
    if not record.exists():
        return None
    return os.path.exists(path) and record.read_text(encoding="utf-8", errors="replace").split()[
        :1
    ] == [sha256(path)]


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".sha256")


def _read_back(model: keras.Model, file: pathlib.Path) -> None:
    with hdf5.opened(file) as (_, layers):
        for layer in model.layers:
            for weight, array in zip(layer.weights, layers.get(layer.name, ()), strict=True):
                if not np.array_equal(weight.numpy(), array):
                    raise OSError(f"{file}: {weight.path} reads back as other numbers")


def _flush(file: pathlib.Path) -> None:
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())
