"""Writes a model as a SavedModel, in the layout of TensorFlow Serving."""

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils

from exports.check import Finding, check_saved_model
from exports.formats.settings import Settings
from exports.graph import SERVING_DEFAULT
from exports.graph.classes import classes_of
from exports.graph.ports import classes_by_head, ports_of
from exports.graph.signatures import signatures
from exports.serving import assets, export_json, warmup
from zoo import files

COMPILED = "_XlaMustCompile"
"""The attribute of a function, or of a call to it, that XLA must compile."""

GRADIENT = "_gradient_op_type"
"""The attribute of an operation that has a gradient of its own; that is not saved with it."""


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes the folder: the graph, `assets/`, warm-up requests and the parameters of batches.

    Raises:
        OSError, tf.errors.OpError: The files cannot be written.
    """
    limits, spec = settings.limits, settings.spec
    answers = signatures(
        model,
        spec=spec,
        max_pixels=limits.max_pixels,
        max_batch=limits.max_batch,
        max_bytes=limits.max_bytes,
        max_request_pixels=limits.max_request_pixels,
    )
    save(model, answers, path)
    ports = ports_of(model)
    for head, count in classes_by_head(model).items():
        assets.write(path, classes_of(spec, count, head), ports.name_of("", head))
    warmup.write(path, model.name, limits, ports)
    warmup.write_batching(path, limits.max_batch)
    return {
        "signatures": _signatures(path),
        **dataclasses.asdict(ports),
        "limits": dataclasses.asdict(limits),
        "memory": settings.memory,
    }


def check(model: keras.Model, settings: Settings, path: pathlib.Path) -> list[Finding]:
    """Asks all signatures in all loaders; see `exports.check.check_saved_model`."""
    return check_saved_model(
        model,
        path,
        spec=settings.spec,
        limits=settings.limits,
        images=settings.images,
        report=settings.report,
    )


@contextlib.contextmanager
def saved_for_conversion(
    model: keras.Model | None, answer: Callable, *, inline: bool = False
) -> Iterator[str]:
    """A folder with one function of a model as its default signature, for a converter.

    Converters read it instead of the function: TensorFlow's converts a function to a TFLite file
    that answers wrongly. It lies in the system's folder for temporary files.

    Raises:
        OSError: The folder cannot be written.
    """
    place = pathlib.Path(tempfile.gettempdir())
    files.sweep(place)
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(files.unfinished_folder(place))
            folder.chmod(0o700)  # others use it, too
            save(model, {SERVING_DEFAULT: answer}, folder / "saved_model", inline=inline)
        except (OSError, tf.errors.OpError) as error:
            raise OSError(
                f"A converter reads the model from the folder for temporary files; {place} could "
                f"not be written ({error}). {shutil.disk_usage(place).free // 2**20} MiB are free "
                "there. Make room, or set TMPDIR to another folder."
            ) from error
        yield str(folder / "saved_model")


def save(
    model: keras.Model | None,
    answers: dict[str, Callable],
    directory: pathlib.Path,
    *,
    inline: bool = False,
) -> None:
    """Saves traced functions of a model, with each of its weights once.

    With the model itself as an attribute, the C++ loader does not find the variables; Keras's
    exporters write them twice. An explicit list of the variables is right in both loaders. With its
    variables frozen into the graph, the file of an FCN-8s was 2 % faster, but loading it took 25 s
    instead of 1, and 14 GB of memory instead of 1.7.

    Custom gradients are left out: a file is asked, not trained. With their names in the graph, each
    loader would warn that they are not there.

    Keras has XLA compile a convolution in groups. TensorFlow Serving refuses XLA, and converters
    cannot read such a function. The attribute is removed, and TensorFlow's own convolution computes
    the same. The convolution stays in a function of its own: otherwise TensorFlow fuses it with its
    ReLU, which it cannot compute where oneDNN is off, as it is by default on some processors.

    Args:
        model: The model whose variables are saved; None if the functions use none.
        answers: Traced functions by the names of their signatures.
        directory: The folder.
        inline: Whether the convolution in groups may be inlined, for converters that need it.
    """
    module = tf.Module()
    module.weights = [] if model is None else [variable.value for variable in model.variables]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(directory), signatures=answers, options=options)
    file = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    parts = [*graph.node, *functions, *(node for one in functions for node in one.node_def)]
    changed = [part for part in parts if COMPILED in part.attr or GRADIENT in part.attr]
    for part in changed:
        if inline and COMPILED in part.attr:
            part.attr.pop("_noinline", None)
        part.attr.pop(COMPILED, None)
        part.attr.pop(GRADIENT, None)
    if changed:
        file.write_bytes(saved.SerializeToString())
        fingerprinting_utils.write_fingerprint(str(directory))


def _signatures(directory: pathlib.Path) -> dict[str, Any]:
    content = (directory / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs

    def ports(infos: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: export_json.port(tf.TensorSpec(info.tensor_shape, info.dtype))
            for name, info in sorted(infos.items())
        }

    return {
        name: {"takes": ports(signature.inputs), "gives": ports(signature.outputs)}
        for name, signature in sorted(graph.signature_def.items())
        if signature.inputs
    }
