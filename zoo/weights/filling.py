"""Fills a model from a file: all of its weights, or those of its trunk."""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from zoo import registry, workdir
from zoo.spec import check_agrees, from_json
from zoo.weights import ENDINGS, checksums, content, fetching, hdf5, imagenet, trunks
from zoo.weights.caffe import CaffeFileError, read_caffemodel
from zoo.weights.layouts import as_keras, fixed_blobs
from zoo.weights.transplant import Progress, Source, fill, fill_encoder
from zoo.weights.trunks import Paths

REMEDY = (
    "Build the model that was trained, with its options, or copy the layers that both have with "
    "encoder_weights={name!r}."
)


def load(
    model: keras.Model,
    *,
    weights: str | os.PathLike | None = None,
    encoder_weights: Paths | None = None,
    progress: Progress = lambda done, total: None,
    remedy: str = REMEDY,
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
            variance. For the heat map nets on VGG, Keras's VGG or `"imagenet"`, too.
        encoder_weights: `"imagenet"`, or a file as above of any net with the same trunk, such as a
            coarser FCN or a VGG, or the workdir of a run. Sets the layers that both nets have by
            name; the file must have the whole trunk. The other layers, and score layers for another
            number of classes, keep their initial values. For late fusion, which has two trunks, one
            for both, or a mapping with one for each: `{"color": …, "hha": …}`. Early fusion takes
            the first kernel of a net for colour, and for the depth its mean over the colours.
        progress: Called after each array with the count of numbers copied so far, and the total.
        remedy: What an error says to do when `weights` does not fit.

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
    if weights == imagenet.IMAGENET and imagenet.is_classifier(model):
        source = imagenet.imagenet(model, "weights")
        fill(model, source, fixed={}, remedy=remedy, progress=progress)
    elif weights is not None:
        with _opened(model, "weights", weights) as source:
            built = getattr(model, "spec", None)
            if built is not None and source.spec is not None:
                check_agrees(source.spec, built.model, built.options, where=source.name)
            fixed = fixed_blobs(model) if source.of_caffe else {}
            fill(model, source, fixed=fixed, remedy=remedy, progress=progress)
        if built is not None and source.spec is not None:
            model.spec = built.named_as(source.spec)
    elif encoder_weights is not None:
        paths = trunks.by_trunk(model, encoder_weights)
        with contextlib.ExitStack() as opened:
            sources = [opened.enter_context(_encoder(model, *x)) for x in paths.items()]
            fill_encoder(model, sources, progress=progress)
    if encoder_weights is not None:
        _warn_of_zeros(model)
    return model


def _warn_of_zeros(model: keras.Model) -> None:
    """Warns if all score layers of a head are zero: it answers, but never anything else."""
    for answer in keras.tree.flatten(model.output):
        head = keras.Model(model.input, answer)
        scores = [x for x in head.layers if x.weights and x.name.startswith("score")]
        if scores and not any(np.any(weight) for layer in scores for weight in layer.get_weights()):
            names = ", ".join(layer.name for layer in scores)
            warnings.warn(
                f"encoder_weights left {names} at zero, so {model.name} answers class 0 everywhere "
                "until it is trained. Train it, or pass a file that sets every weight as weights=.",
                stacklevel=3,
            )


@contextlib.contextmanager
def _encoder(model: keras.Model, trunk: str, path: str | os.PathLike) -> Iterator[Source]:
    """Opens the weights for one trunk of a model."""
    if path == imagenet.IMAGENET:
        yield imagenet.imagenet(model, "encoder_weights", trunk=trunk)
    else:
        with _opened(model, "encoder_weights", _file_of(path), trunk=trunk) as source:
            yield source


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


@contextlib.contextmanager
def _opened(
    model: keras.Model, option: str, path: str | os.PathLike, *, trunk: str | None = None
) -> Iterator[Source]:
    """Opens the weights in a file. Layers that `model` has too are in Keras's layouts.

    With a trunk, they have the names and the channels that they have in that trunk of `model`.
    """
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

    def of_model(layers: dict[str, Any], *, of_caffe: bool = False) -> dict[str, Any]:
        if trunk is not None:
            layers = trunks.renamed(model, layers, trunk)
        if of_caffe:
            layers = as_keras(model, layers)
        return layers if trunk is None else trunks.with_depth(model, layers)

    known = {"name": str(path), "trunk": trunk or ""}
    if content.kind(path) is content.Kind.OTHER and str(path).endswith(".caffemodel"):
        layers = of_model(read_caffemodel(path), of_caffe=True)
        yield Source(layers=layers, of_caffe=True, error=CaffeFileError, **known)
        return
    with hdf5.opened(path) as found:
        if found.of_caffe:
            blobs = {name: [blob[()] for blob in blobs] for name, blobs in found.layers.items()}
            yield Source(layers=of_model(blobs, of_caffe=True), of_caffe=True, **known)
            return
        spec = None if found.spec is None else from_json(found.spec, where=str(path))
        # Without a Spec the model's name tells what it is, unless its user gave it one.
        saved = found.name if spec is None else spec.model
        model_name = saved if saved in registry.list_models() else None
        layers = {imagenet.author_name(name): found.layers[name] for name in found.layers}
        yield Source(layers=of_model(layers), model=model_name, spec=spec, **known)
