"""Saves a model's weights and its Spec in one file, which is then enough to load it."""

import errno
import math
import os
import pathlib
import shutil

import h5py
import keras
import numpy as np

from zoo import files
from zoo.spec import Spec
from zoo.weights import hdf5
from zoo.weights.checksums import record_of, sha256

_OVERHEAD = 2048  # the most bytes that HDF5 writes around an array


def save(model: keras.Model, path: str | os.PathLike, *, spec: Spec | None = None) -> pathlib.Path:
    """Writes `NAME.weights.h5` and `NAME.weights.h5.sha256`.

    ```python
    zoo.weights.save(model, "fcn8s.weights.h5")
    zoo.load("fcn8s.weights.h5")
    ```

    The file holds the model's Spec; Keras's own `load_weights` can read the file too. An existing
    file is replaced after the new one is written and read back.

    Args:
        model: A model of the zoo, or any other model without models inside.
        path: Ends in `.weights.h5`.
        spec: The Spec to write; `model.spec` by default. If the model has none, the file has none.

    Raises:
        ValueError: The name does not end in `.weights.h5`; a weight is NaN or infinite; the model
            holds models.
        OSError: The file cannot be written, or reads back with other values. A file that was
            there is unchanged.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(
            "Weights are saved in a file that ends in .weights.h5; received "
            f"{path.name!r}. Name it {path.name.partition('.')[0]}.weights.h5."
        )
    spec = spec or getattr(model, "spec", None)
    _check_weights(model)
    _check_room(model, path)
    record = record_of(path)
    with files.replacing(record) as unfinished_record, files.replacing(path) as unfinished:
        try:
            model.save_weights(unfinished)
            if spec is not None:
                with h5py.File(unfinished, "r+") as file:
                    file.attrs[hdf5.SPEC] = spec.to_json()
        except RuntimeError as error:  # libhdf5's, of a full disk for one
            raise OSError(f"{path} cannot be written ({error}). Make room there.") from error
        _read_back(model, spec, unfinished)
        digest = sha256(unfinished)
        unfinished_record.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        for new in (unfinished, unfinished_record):
            files.sync_one(new)  # a full disk shows here, while the old file still has its .sha256
        # A file without a .sha256 can be used; with the one of the old file it would be refused.
        record.unlink(missing_ok=True)
    return path


def _check_weights(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            raise ValueError(
                f"Weights are saved of a model without models inside; {layer.name} is one. Save it "
                f"alone, with model.get_layer({layer.name!r})."
            )
        for weight in layer.weights:
            numbers = weight.numpy()
            if not np.isfinite(numbers).all():
                what = "NaN" if np.isnan(numbers).any() else "infinity"
                raise ValueError(
                    f"Saved weights must be finite; {weight.path} holds {what}. Train again with a "
                    "lower learning rate, or save an earlier state."
                )


def _check_room(model: keras.Model, path: pathlib.Path) -> None:
    """Raises OSError if the disk is too full: libhdf5 crashes when it cannot close a file."""
    needs = _OVERHEAD + sum(_OVERHEAD + 4 * math.prod(x.shape) for x in model.weights)
    free = shutil.disk_usage(path.absolute().parent).free
    if needs > free:
        raise OSError(
            errno.ENOSPC,
            f"{needs:,} bytes are needed and {free:,} are free. Make room there",
            str(path),
        )


def _read_back(model: keras.Model, spec: Spec | None, file: pathlib.Path) -> None:
    if hdf5.spec_text(file) != (spec and spec.to_json()):
        raise OSError(f"{file}: the Spec reads back as another text. Save it again.")
    with hdf5.opened(file) as found:
        for layer in model.layers:
            for weight, array in zip(layer.weights, found.layers.get(layer.name, ()), strict=True):
                if not np.array_equal(weight.numpy(), array):
                    raise OSError(
                        f"{file}: {weight.path} reads back as other numbers. Save it again."
                    )
