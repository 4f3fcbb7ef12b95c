"""Exports a model: the one way in for all formats."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from exports.check.agreement import as_record
from exports.check.cost import cost_of_request
from exports.fast_copy import fast_copy
from exports.formats import FORMATS, NONE, Format
from exports.formats.request_memory import limited
from exports.formats.settings import (
    Settings,
    check_depth,
    check_formats,
    check_heads,
    check_together,
)
from exports.graph import MAX_BATCH, MAX_BYTES, MAX_PIXELS, MEMORY
from exports.graph.limits import Limits
from exports.graph.ports import (
    IMAGE,
    Ports,
    check_channels,
    check_classes,
    classes_by_head,
    ports_of,
)
from exports.runtimes import UnableError
from exports.serving import export_json, versions
from zoo import registry
from zoo.models.plain import plain
from zoo.spec import Spec


def export(
    model: keras.Model,
    out: str | os.PathLike,
    formats: Sequence[str] = ("saved_model",),
    *,
    spec: Spec | None = None,
    head: str | None = None,
    version: int | None = None,
    size: tuple[int, int] | None = None,
    dtype: str = "uint8",
    quantize: str = NONE,
    representative: np.ndarray | None = None,
    max_disagreement: float | None = None,
    fast: bool | None = None,
    mediapipe_python: str | None = None,
    memory: float = MEMORY,
    max_pixels: int | None = None,
    max_batch: int = MAX_BATCH,
    max_bytes: int = MAX_BYTES,
    images: np.ndarray | None = None,
    weights: str | os.PathLike | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, pathlib.Path]:
    """Writes a model in one or more formats, under one version number.

    ```python
    model = zoo.load("runs/coins")
    exports.export(model, "served")  # {"saved_model": Path("served/unet/1")}
    exports.export(model, "files", ["tflite", "onnx"], size=(256, 256))
    # files/unet-1.tflite and files/unet-1.json, files/unet-1-onnx/
    ```

    A version appears only after the file gave the model's answers in the loaders that its users
    have. Until then it lies beside its place, under a name that begins with `writing-`. What is
    wrong about any format is said before the first is written. `exports.formats.FORMATS` lists the
    formats. Beside or inside each version, a JSON file says what was exported, from which weights,
    how it was checked, and what one request costs; `exports.read_spec` reads the Spec again.

    Args:
        model: Takes images `[n, h, w, channels]`, 0-255, of any size, or a dict of such; gives
            scores of their size, or a dict of such. Its name is the name of the export.
        out: The folder of all exported models; made if it is not there.
        formats: Names of formats.
        spec: What the model is: its class names, background and colours go into every file. The
            model's attribute `spec` if None; a model of another source may have none.
        head: Of a net with several heads, the only one of the export, which ends its name, as in
            `fcn8s_two_heads_geometric`. Without it a SavedModel answers for all heads; the other
            formats hold one.
        version: A whole number from 1; None for the one after the highest of this model, in any
            format.
        size: Height and width of the images, fixed in every format but a SavedModel; None for any.
            In a TFLite file a fixed size is faster.
        dtype: Of the images in the same formats: `"uint8"` or `"float32"`, 0-255 in both.
        quantize: Of a TFLite file: `"none"`, `"float16"`, `"dynamic"`, `"integer"` or `"mixed"`;
            see `exports.formats.quantization`. `"integer"` is for OpenVINO, too.
        representative: Images of your data, uint8 `[n, h, w, channels]`, some dozens. `"integer"`
            and `"mixed"` take their ranges from them; a TFLite file is checked with eight of them.
        max_disagreement: The largest share of the pixels to which a quantized file may give another
            class than the model; 0.05 if None.
        fast: Whether the copy of `zoo.faster` is written: True, False, or None for every format
            but TFLite's, whose files it makes up to 7 times larger, if it gives at least 99.99 %
            of the pixels of `images` and of textures the model's class. With True, anything less is
            an error.
        mediapipe_python: The Python in whose MediaPipe a file for it is checked; this one if None.
            Without MediaPipe it is checked in LiteRT only, which is reported.
        memory: What a server of a SavedModel may take for itself and one request, in GB. What a
            request takes is measured; the limits of its pixels follow.
        max_pixels: The most pixels of one image of a request to a SavedModel, whatever memory it
            takes; None for as many as `memory` allows.
        max_batch: The most images of such a request.
        max_bytes: The most bytes of the JPEG or PNG file of one image.
        images: uint8 `[n, h, w, channels]` to check with, scaled to `size` where there is one;
            textures if None. The model must see two classes or more in them: otherwise equal
            answers prove nothing.
        weights: The file that the weights were read from, to be recorded.
        report: Called with a line on each step and on each answer that was checked.

    Returns:
        The path of each version, by its format.

    Raises:
        ValueError: The model cannot be exported in a format; an option is invalid or does not fit
            the others; the Spec is another model's; the images do not fit, or the model sees one
            class only.
        FileExistsError: The version exists.
        ImportError: The converter or the loader of a format is not installed.
        OSError: The files cannot be written, for example because the disk is full.
        exports.check.MismatchError: A loader does not give the model's answers, a quantized file
            or the fast copy too often others.
        exports.runtimes.StatusError: TensorFlow's C++ loader refuses the files.
    """
    formats = check_formats(formats)
    spec = getattr(model, "spec", None) if spec is None else spec
    _check_task(spec, model)
    model, spec = _of_head(model, spec, head)
    versions.check_name(model.name)
    ports = ports_of(model)
    check_heads(formats, ports.heads, model.name)
    pixels = MAX_PIXELS if max_pixels is None else max_pixels
    limits = Limits(ports.channels, pixels, max_batch, max_bytes)
    settings = Settings(
        limits=limits,
        spec=spec,
        size=size,
        dtype=dtype,
        quantize=quantize,
        representative=representative,
        max_disagreement=max_disagreement,
        fast=fast,
        mediapipe_python=mediapipe_python,
        images=images,
        report=report,
    )
    check_together(formats, settings)
    check_depth(formats, spec, dtype=dtype, quantize=quantize)
    _check_spec(spec, model, ports)
    if "saved_model" in formats:
        check_channels(model, ports)
        check_classes(model)
    about = export_json.of_model(model, spec=spec, weights=weights)
    versions.finish(pathlib.Path(out))
    targets = _targets(pathlib.Path(out), model.name, formats, version)
    quick, agreement = model, None
    if any(settings.is_fast(name) for name in formats):
        quick, agreement = fast_copy(model, ports, settings)
    if "saved_model" in formats:
        limits, used = limited(
            *(quick, limits), memory=memory, given=max_pixels is not None, report=report
        )
        settings = dataclasses.replace(settings, limits=limits, memory=used)
    for name, target in targets.items():
        written, found = (quick, agreement) if settings.is_fast(name) else (model, None)
        # A SavedModel takes and gives all; the other formats one image and one class map.
        one = written if name == "saved_model" else plain(written)
        taken = ports if name == "saved_model" else Ports({IMAGE: ports.channels})
        _write(name, one, settings, target, about | {"fast": found}, taken)
    return targets


def _of_head(
    model: keras.Model, spec: Spec | None, head: str | None
) -> tuple[keras.Model, Spec | None]:
    """The model and the Spec of one head, with its name behind the model's; else as they are."""
    if head is not None:
        if spec is not None and spec.heads:
            spec = spec.of_head(head)
        model = plain(model, head)
    head = head if spec is None or spec.heads else spec.head
    if head is None:
        return model, spec
    return keras.Model(model.input, model.output, name=f"{model.name}_{head}"), spec


def _targets(
    out: pathlib.Path, model: str, formats: Sequence[str], version: int | None
) -> dict[str, pathlib.Path]:
    """The path of each format's version."""
    places = {name: form.place.format(name=model) for name, form in FORMATS.items()}
    taken = versions.taken(out, {name for place in places.values() for name in _names(place)})
    folder = str(out).replace("{", "{{").replace("}", "}}")  # `places` are templates
    asked = [f"{folder}/{place}" for name in formats for place in _names(places[name])]
    chosen = versions.choose(version, taken, asked)
    return {name: out / places[name].format(chosen) for name in formats}


def _names(place: str) -> dict[str, None]:
    """The place of a version, and that of its record if it lies beside."""
    return dict.fromkeys((place, place.replace(".tflite", ".json")))


def _write(
    name: str,
    model: keras.Model,
    settings: Settings,
    target: pathlib.Path,
    about: dict[str, Any],
    ports: Ports,
) -> None:
    """Writes one format beside its place, checks it, records it, renames it."""
    form, writer = FORMATS[name], FORMATS[name].writer()
    with contextlib.ExitStack() as stack:
        record = None
        if form.is_file:  # gets its name after the file: of two exports, one writes both
            record = stack.enter_context(versions.creating(target.with_suffix(".json")))
        unfinished = stack.enter_context(versions.creating(target))
        record = record or unfinished / export_json.FILE
        settings.report(f"Writing {target}")
        try:
            with versions.whole_or_not_at_all(target):
                facts = writer.write(model, settings, unfinished)
            settings.report(f"Checking it in {form.runtime}")
            findings = writer.check(model, settings, unfinished)
        except UnableError as error:
            raise _unable(model, name, settings, error) from error
        request = ports.split(settings.request(name))
        content = about | {
            "format": name,
            **facts,
            "files": _sizes(form, unfinished, target),
            **as_record(findings),
            "request": cost_of_request(unfinished / form.file, request, form.loader),
        }
        with versions.whole_or_not_at_all(target):
            record.write_text(export_json.text(content), encoding="utf-8")


def _sizes(form: Format, unfinished: pathlib.Path, target: pathlib.Path) -> dict[str, int]:
    if form.is_file:
        return {target.name: unfinished.stat().st_size}
    return export_json.sizes(unfinished)


def _check_task(spec: Spec | None, model: keras.Model) -> None:
    if spec is not None and registry.is_classifier(spec.model):
        raise ValueError(
            f"An exported file answers with a class map of its image's size; {model.name!r} is a "
            "classifier, which answers for the cells of a coarse grid. Export it with Keras alone: "
            "model.export(FOLDER)."
        )


def _check_spec(spec: Spec | None, model: keras.Model, ports: Ports) -> None:
    if spec is None:
        return
    heads = spec.heads or (None,)
    if heads != ports.heads:
        said, real = (", ".join(filter(None, one)) or "one head" for one in (heads, ports.heads))
        raise ValueError(
            f"A Spec describes the exported model; this one has {said}, {model.name!r} has {real}. "
            "Pass the model's own Spec."
        )
    for head, classes in classes_by_head(model).items():
        labels = spec if head is None else spec.of_head(head)
        said, real = (labels.classes, spec.channels), (classes, ports.channels)
        if said != real:
            raise ValueError(
                f"A Spec describes the exported model; this one has {said[0]} classes and "
                f"{said[1]} channels, {model.name!r} has {real[0]} and {real[1]}. Pass the model's "
                "own Spec."
            )


def _unable(model: keras.Model, name: str, settings: Settings, error: UnableError) -> ValueError:
    any_size = settings.size is None
    return ValueError(
        f"{model.name!r} cannot be exported as {name}{' for any size' * any_size}: "
        f"{error}. {'Pass a size, or export' if any_size else 'Export'} a SavedModel."
    )
