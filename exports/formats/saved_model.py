"""Exports a model as a SavedModel, in the layout of TensorFlow Serving: `out/NAME/VERSION/`."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from exports import check
from exports.graph.requests import MAX_BATCH, MAX_PIXELS, Limits
from exports.graph.signatures import signatures
from exports.serving import assets, export_json, versions, warmup

COMPILED = "_XlaMustCompile"
"""The attribute of a function, or of a call to it, that XLA has to compile."""


def export(
    model: keras.Model,
    out: str | pathlib.Path,
    *,
    version: int | None = None,
    class_names: Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    max_batch: int = MAX_BATCH,
    images: np.ndarray | None = None,
    options: Mapping[str, Any] | None = None,
    weights: str | pathlib.Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> pathlib.Path:
    """Writes `out/NAME/VERSION/`, NAME being the model's name.

    ```python
    model = zoo.build("unet", weights="coins.weights.h5")
    exports.formats.saved_model.export(model, "served")
    # served/unet/1
    ```

    It answers four signatures, see `exports.graph.signatures`. Beside the graph lie the names and
    colours of the classes (`assets/`), requests that warm a server up, parameters of its batches,
    and `export.json`, which says what was exported and how it was checked. The version appears only
    after the files gave the model's answers in TensorFlow's Python and C++ loaders; until then they
    lie beside it under a name that a server does not take for a version.

    Args:
        model: Takes images `[n, h, w, channels]`, 0-255, of any size; gives scores of their size.
        out: The folder of all exported models; made if it is not there.
        version: A whole number from 1; None for the one after the highest.
        class_names: The name of each class; written to `assets/labels.txt`, one on each line, and
            beside its colour to `assets/colormap.txt`.
        max_pixels: Of one image of a request; a larger one is refused before it is decoded.
        max_batch: The most images of a request.
        images: uint8 `[n, h, w, channels]` to check with; textures if None. The model must see two
            classes or more: otherwise equal answers prove nothing.
        options: What `zoo.build` was given besides the name, and
        weights: the file that the weights were read from: both are recorded in `export.json`.
        report: Called with a line on each step and on each answer that was checked.

    Returns:
        The path of the version.

    Raises:
        ValueError: A model that cannot be exported; class names that do not fit it; a limit that
            is none; images that do not fit, or in which the model sees one class only.
        FileExistsError: The version exists.
        OSError: The files cannot be written, for example because the disk is full.
        exports.check.MismatchError: A loader does not give the model's answers.
    """
    versions.check_name(model.name)
    answers = signatures(model, max_pixels=max_pixels, max_batch=max_batch)
    limits = Limits(model.input_shape[-1], max_pixels, max_batch)
    classes = model.output_shape[-1]
    if class_names is not None:
        assets.check_names(class_names, classes)
    about = export_json.of_model(model, options=options, weights=weights, class_names=class_names)
    home = pathlib.Path(out) / model.name
    target = home / str(versions.choose(version, taken(home), f"{home}/{{}}"))
    with versions.beside(target) as unfinished:
        report(f"Writing {target}")
        with versions.whole_or_not_at_all(target):
            save(model, answers, unfinished)
            assets.write(unfinished, classes, class_names)
            warmup.write(unfinished, model.name, limits)
            warmup.write_batching(unfinished, max_batch)
        report("Checking it in the loaders of its users")
        checks = check.saved_model(model, unfinished, limits=limits, images=images, report=report)
        about |= export_json.of_files(unfinished, limits=limits, checks=checks)
        with versions.whole_or_not_at_all(target):
            export_json.write(unfinished, about)
    return target


def save(
    model: keras.Model,
    answers: dict[str, Callable],
    directory: pathlib.Path,
    *,
    inline: bool = False,
) -> None:
    """Saves traced functions of a model, with each of its weights once.

    With the model itself as an attribute, the C++ loader does not find the variables; the Keras
    exporters write them twice. An explicit list is right in both. The gradients of layers that
    define their own stay behind: a file is asked, not trained. Keras asks that a convolution in
    groups be compiled by XLA, which TensorFlow Serving refuses and converters cannot look into: the
    request is taken out, and TensorFlow's own convolution computes the same. It stays in a function
    of its own: TensorFlow would fuse it with its ReLU, and without oneDNN, which only some
    processors have on, it cannot compute that. A converter that takes no such functions asks for
    `inline=True`.
    """
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(directory), signatures=answers, options=options)
    file = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    parts = [*graph.node, *functions, *(node for one in functions for node in one.node_def)]
    compiled = [part for part in parts if COMPILED in part.attr]
    for part in compiled:
        del part.attr[COMPILED]
        if inline:
            part.attr.pop("_noinline", None)
    if compiled:  # otherwise the file stays the one that its fingerprint is of
        file.write_bytes(saved.SerializeToString())


def taken(home: pathlib.Path) -> list[int]:
    """The versions that a model's folder holds."""
    return [int(path.name) for path in home.glob("*") if path.name.isdecimal()]
