"""Fills a model from a file: all of its weights, or those of its trunk."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import keras

from zoo import registry, workdir
from zoo.spec import Spec, check_agrees
from zoo.weights import ENDINGS, checksums, content, fetching, hdf5, imagenet
from zoo.weights.caffe import CaffeFileError, read_caffemodel
from zoo.weights.layouts import as_keras, fixed_blobs
from zoo.weights.transplant import Progress, Source, fill, fill_encoder


def load(
    model: keras.Model,
    *,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    progress: Progress = lambda done, total: None,
) -> keras.Model:
    """Fills a model from a file and returns it; the builders call this last.

    >>> model = zoo.weights.load(zoo.build("fcn8s"), weights="fcn8s-heavy-pascal.caffemodel")

    Only weights are read, never code. If a weight does not fit, an error lists all that do not,
    and the model is unchanged.

    Args:
        model: A model of the zoo.
        weights: A `.weights.h5`, `.keras` or `.h5` file of the same model, of weights alone or of
            a whole model, or the `.caffemodel` or `.caffemodel.h5` of its authors. Sets every
            weight. Caffe's file of DeconvNet must be the one for inference: each normalization has
            a scale and a shift with the averages folded in, or a scale, a shift, a mean and a
            variance.
        encoder_weights: `"imagenet"`, or a file as above of any net with the same trunk, such as a
            coarser FCN or a VGG, or the workdir of a run. Sets the layers that both nets have by
            name; the file must have the whole trunk. The other layers, and score layers for another
            number of classes, keep their initial values.
        progress: Called after each array with the count of numbers copied so far, and the total.

    Raises:
        FileNotFoundError: There is no such file.
        CaffeFileError: A `.caffemodel` is damaged or does not fit. It is a ValueError.
        ValueError: Both are given; the file is of an unknown kind or damaged, or its SHA-256 is not
            the one in the `.sha256` beside it; or its weights do not fit: other layers, shapes or
            class count, or numbers that are not finite. All that does not fit is listed.
        OSError: The ImageNet weights could not be fetched.
    """
    if weights is not None and encoder_weights is not None:
        raise ValueError(
            "weights sets every layer and would overwrite encoder_weights; received "
            f"weights={str(weights)!r} and encoder_weights={str(encoder_weights)!r}. Pass one."
        )
    if weights is not None:
        stored = _checked_spec(model, weights)
        with _opened(model, "weights", weights) as source:
            fixed = fixed_blobs(model) if source.of_caffe else {}
            fill(model, source, fixed=fixed, progress=progress)
        if stored is not None:
            model.spec = model.spec.named_as(stored)
    elif encoder_weights == "imagenet":
        fill_encoder(model, imagenet.imagenet(model), progress=progress)
    elif encoder_weights is not None:
        with _opened(model, "encoder_weights", _file_of(encoder_weights)) as source:
            layers = {imagenet.author_name(n): arrays for n, arrays in source.layers.items()}
            fill_encoder(model, dataclasses.replace(source, layers=layers), progress=progress)
    return model


def _file_of(path: str | os.PathLike) -> str | os.PathLike:
    """The path of a file; of a run's workdir its newest weights."""
    if not isinstance(path, str | os.PathLike) or workdir.read_recipe(pathlib.Path(path)) is None:
        return path
    file = workdir.newest_weights(pathlib.Path(path))
    if file is None:
        raise ValueError(
            f"encoder_weights takes the weights file of a run; {path} holds none of its newest "
            f"step. Run zoo train --workdir {path} first, or give another file."
        )
    return file


def _checked_spec(model: keras.Model, path: str | os.PathLike) -> Spec | None:
    """The Spec in a file if the model has one too; raises ValueError if they differ."""
    built = getattr(model, "spec", None)
    stored = None if built is None else hdf5.stored_spec(path)
    if stored is None:
        return None
    check_agrees(stored, built.model, built.options, where=str(path))
    return stored


@contextlib.contextmanager
def _opened(model: keras.Model, option: str, path: str | os.PathLike) -> Iterator[Source]:
    """Opens the weights in a file. Layers that `model` has too are in Keras's layouts."""
    if not str(path).endswith(ENDINGS):
        hint = ' Or did you mean encoder_weights="imagenet"?' if path == "imagenet" else ""
        raise ValueError(
            f"{option} is the path of a file that ends in {', '.join(ENDINGS[:-1])} or "
            f"{ENDINGS[-1]}; received {str(path)!r}. Give such a file.{hint}"
        )
    if not pathlib.Path(path).is_file():
        fetched = fetching.cached(path)
        if fetched is None:
            raise FileNotFoundError(
                f"{option} is the path of a file; there is none at {str(path)!r}. Check the path; "
                "it is relative to the current directory."
            )
        path = fetched
    checksums.check(path)
    if content.kind(path) is content.Kind.OTHER and str(path).endswith(".caffemodel"):
        layers = as_keras(model, read_caffemodel(path))
        yield Source(str(path), layers, of_caffe=True, error=CaffeFileError)
        return
    with hdf5.opened(path) as found:
        if found.of_caffe:
            blobs = {name: [blob[()] for blob in blobs] for name, blobs in found.layers.items()}
            yield Source(str(path), as_keras(model, blobs), of_caffe=True)
            return
        # A Spec was compared already. Else a model's name tells what it is, unless its user gave it
        # one.
        kind = getattr(model, "spec", None)
        kind = model.name if kind is None else kind.model
        comparable = {found.name, kind} <= set(registry.list_models())
        other = comparable and found.name != kind and hdf5.stored_spec(path) is None
        yield Source(str(path), found.layers, model=found.name if other else None)
