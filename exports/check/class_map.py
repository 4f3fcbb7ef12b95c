"""Exports a model for other runtimes: `out/NAME-VERSION-onnx/` and `out/NAME-VERSION-openvino/`.

A folder holds the model and `export.json`, as that of a SavedModel does.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from exports import check
from exports.check import reference
from exports.formats import onnx, openvino
from exports.graph import single_output
from exports.graph.signatures import SERVING_DEFAULT
from exports.runtimes import process
from exports.runtimes.openvino import UnableError
from exports.serving import assets, export_json, versions

_ANY_SIZE = (97, 131)  # of the textures; no network's multiple


@dataclasses.dataclass(frozen=True)
class _Form:
    """The runtime's name, what writes its files, which of them it loads, and what asks it."""

    runtime: str
    write: Callable[[keras.Model, tf.TensorSpec, pathlib.Path], None]
    file: str
    loader: str


FORMS = {
    "onnx": _Form("ONNX Runtime", onnx.write, onnx.FILE, "onnx_runtime"),
    "openvino": _Form("OpenVINO", openvino.write, openvino.FILE, "openvino"),
}


def export(
    model: keras.Model,
    out: str | pathlib.Path,
    *,
    form: str,
    size: tuple[int, int] | None = None,
    dtype: str = "uint8",
    version: int | None = None,
    class_names: Sequence[str] | None = None,
    images: np.ndarray | None = None,
    options: Mapping[str, Any] | None = None,
    weights: str | pathlib.Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> pathlib.Path:
    """Writes `out/NAME-VERSION-FORM/`, NAME being the model's name.

    ```python
    model = zoo.build("unet", weights="coins.weights.h5")
    exports.formats.exchange.export(model, "files", form="onnx")
    # files/unet-1-onnx/model.onnx
    ```

    `image` `[n, h, w, channels]`, 0-255, gives `class_map` int32 `[n, h, w]`, in float32. The
    folder appears only after the runtime gave the model's answers.

    Args:
        model: Takes images `[n, h, w, channels]`, 0-255, of any size; gives scores of their size.
        out: The folder of all exported models; made if it is not there.
        form: `"onnx"` or `"openvino"`.
        size: Height and width of the images, fixed in the file; None for any.
        dtype: Of the images: `"uint8"` or `"float32"`.
        version: A whole number from 1; None for the one after the highest.
        class_names: The name of each class, to be recorded.
        images: uint8 `[n, h, w, channels]` of that size to check with; textures if None. The model
            must see two classes or more: otherwise equal answers prove nothing.
        options: What the model was built with, to be recorded.
        weights: The file that they were read from, to be recorded.
        report: Called with a line on each step and on each answer that was checked.

    Returns:
        The path of the folder.

    Raises:
        ValueError: A model that cannot be exported, or that the runtime cannot run; an option that
            is none; images that do not fit, or in which the model sees one class only.
        FileExistsError: The version exists.
        ImportError: The converter or the runtime is not installed.
        OSError: The files cannot be written, for example because the disk is full.
        exports.check.MismatchError: The runtime does not give the model's answers.
    """
    versions.check_name(model.name)
    if form not in FORMS:
        raise ValueError(
            f"The form is that of another runtime, one of {', '.join(FORMS)}; received {form!r}. "
            'Pass form="onnx".'
        )
    image = single_output.image_spec(model, size=size, dtype=dtype, batch=None)
    if class_names is not None:
        assets.check_names(class_names, model.output_shape[-1])
    about = export_json.of_model(model, options=options, weights=weights, class_names=class_names)
    asked = reference.of_model(model, images, size or _ANY_SIZE)
    out, runtime = pathlib.Path(out), FORMS[form]
    place = f"{out}/{model.name}-{{}}-{form}"
    target = pathlib.Path(
        place.format(versions.choose(version, taken(out, model.name, form), place))
    )
    with versions.beside(target) as unfinished:
        report(f"Writing {target}")
        try:
            with versions.whole_or_not_at_all(target):
                unfinished.mkdir()
                runtime.write(model, image, unfinished)
            report(f"Checking it in {runtime.runtime}")
            found = _checked(unfinished / runtime.file, runtime, asked, dtype, size)
        except UnableError as error:
            any_size = size is None
            raise ValueError(
                f"{model.name!r} cannot be exported as {form}{' for any size' * any_size}: "
                f"{error}. {'Pass a size, or export' if any_size else 'Export'} a SavedModel."
            ) from error
        report(str(found))
        request = check.textures(1, size or (export_json.SIDE, export_json.SIDE), image.shape[-1])
        request = request.astype(dtype)
        about |= {
            "signatures": {
                SERVING_DEFAULT: {
                    "takes": {"image": _port(image)},
                    "gives": {"class_map": _port(tf.TensorSpec(image.shape[:3], tf.int32))},
                }
            },
            "files": export_json.sizes(unfinished),
            **export_json.of_checks([found]),
            "request": export_json.one_request(unfinished / runtime.file, request, runtime.loader),
        }
        with versions.whole_or_not_at_all(target):
            export_json.write(unfinished, about)
    return target


def taken(out: pathlib.Path, name: str, form: str) -> list[int]:
    """The versions of a model that a folder holds in a form."""
    pattern = re.compile(rf"{re.escape(name)}-(\d+)-{form}")
    return [int(found[1]) for path in out.glob("*") if (found := pattern.fullmatch(path.name))]


def _checked(
    file: pathlib.Path,
    form: _Form,
    asked: reference.Reference,
    dtype: str,
    size: tuple[int, int] | None,
) -> check.Agreement:
    """Asks about all images at once, and, where any size is taken, about a part of them."""
    with process.loaded(file, form.loader) as ask:

        def compared(images: np.ndarray, scores: np.ndarray) -> check.Agreement:
            answer = ask(SERVING_DEFAULT, {"image": images.astype(dtype)}).outputs
            return check.compare(form.runtime, "class_map", answer["class_map"], scores)

        if size is None:
            part = asked.images[:1, asked.images.shape[1] // 3 :, asked.images.shape[2] // 4 :]
            compared(part, asked.scores_of(part))
        return compared(asked.images, asked.scores)


def _port(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"type": spec.dtype.name, "shape": spec.shape.as_list()}
