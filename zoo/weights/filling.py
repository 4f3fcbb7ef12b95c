"""Fills a model from a file: all of its weights, or those of its trunk."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import keras

from zoo import registry
from zoo.spec import check_agrees
from zoo.weights import fetching, hdf5, imagenet
from zoo.weights.caffe import CaffeFileError, read_caffemodel
from zoo.weights.checksums import is_whole
from zoo.weights.layouts import as_keras, fixed_blobs
from zoo.weights.transplant import Progress, Source, fill, fill_encoder

ENDINGS = (".weights.h5", ".h5", ".keras", ".caffemodel")


def load(
    model: keras.Model,
    *,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    progress: Progress = lambda done, total: None,
) -> keras.Model:
    """Fills a model from a file and returns it; the builders call this last.

    >>> model = zoo.weights.load(zoo.build("fcn8s"), weights="fcn8s-heavy-pascal.caffemodel")

    Weights only are read, never code, and nothing is left out in silence: when this fails, the
    model is as it was.

    Args:
        model: A model of the zoo.
        weights: A `.weights.h5`, `.keras` or `.h5` (Keras 2) file of the same model, or the
            `.caffemodel` of its authors. Sets every weight. A `.caffemodel` of DeconvNet must be
            the one for inference: its normalizations have a scale and a shift with the averages
            folded in, or these and a mean and a variance.
        encoder_weights: `"imagenet"`, or a file as above of any net on the same trunk: a coarser
            FCN, a VGG. Sets the layers of the same name, the whole trunk among them, and leaves
            the others, and score layers for another number of classes, as they were initialised.
        progress: Is told, after each array, how many numbers are copied, and of how many.

    Raises:
        FileNotFoundError: There is no such file.
        CaffeFileError: What is wrong with a `.caffemodel`; a ValueError.
        ValueError: Both are given; the file is of an unknown kind or damaged, or not the one that
            the `.sha256` beside it was written for; or its weights are not the model's: other
            layers, shapes or class count, or numbers that are not finite. All that does not fit
            is listed.
        OSError: The ImageNet weights could not be fetched.
    """
    if weights is not None and encoder_weights is not None:
        raise ValueError(
            "weights sets every layer and would overwrite encoder_weights; received "
            f"weights={str(weights)!r} and encoder_weights={str(encoder_weights)!r}. Pass one."
        )
    if weights is not None:
        _check_spec(model, weights)
        with _opened(model, "weights", weights) as source:
            caffe = str(weights).endswith(".caffemodel")
            fill(model, source, fixed=fixed_blobs(model) if caffe else {}, progress=progress)
    elif encoder_weights == "imagenet":
        fill_encoder(model, imagenet.imagenet(model), progress=progress)
    elif encoder_weights is not None:
        with _opened(model, "encoder_weights", encoder_weights) as source:
            layers = {imagenet.author_name(n): arrays for n, arrays in source.layers.items()}
            fill_encoder(model, dataclasses.replace(source, layers=layers), progress=progress)
    return model


def _check_spec(model: keras.Model, path: str | os.PathLike) -> None:
    """Compares what a file and a model say of themselves, where both do."""
    built, stored = getattr(model, "spec", None), hdf5.stored_spec(path)
    if built is not None and stored is not None:
        check_agrees(stored, built.model, built.options, where=str(path))


@contextlib.contextmanager
def _opened(model: keras.Model, option: str, path: str | os.PathLike) -> Iterator[Source]:
    """The weights in a file, in Keras's layouts where `model` has the layer too."""
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
                "it is looked up from the current directory."
            )
        path = fetched
    if is_whole(path) is False:
        raise ValueError(
            f"{path} is not the file that {path}.sha256 was written for. Copy, download or convert "
            "it again; if it was changed on purpose, remove the .sha256."
        )
    if str(path).endswith(".caffemodel"):
        layers = as_keras(model, read_caffemodel(path))
        yield Source(str(path), layers, error=CaffeFileError)
    else:
        with hdf5.opened(path) as (name, layers):
            # A model may have a name of its own, which tells nothing.
            known = {name, model.name} <= set(registry.list_models())
            yield Source(str(path), layers, model=name if known else None)
