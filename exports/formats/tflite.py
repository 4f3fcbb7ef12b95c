"""Exports a model as a TFLite file of built-in operations: `out/NAME-VERSION.tflite`.

`NAME-VERSION.json` beside it says what the file was made of, its operations and how it was checked,
as `export.json` does of a SavedModel.
"""

import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from exports import check
from exports.formats import flatbuffer, mediapipe, quantization, tflite_converter
from exports.graph import single_output
from exports.graph.signatures import SERVING_DEFAULT
from exports.runtimes import litert
from exports.serving import assets, export_json, versions

END, MEDIAPIPE_END = ".tflite", "-mediapipe.tflite"
MAX_DISAGREEMENT = 0.05

_CHECKED = 8  # of the representative images
_DESCRIPTION = (
    "image to class_map, the class of each pixel as int32. Not for MediaPipe's ImageSegmenter, "
    "which takes scores: it would accept this file and answer nonsense."
)


def export(
    model: keras.Model,
    out: str | pathlib.Path,
    *,
    size: tuple[int, int] | None = None,
    dtype: str = "uint8",
    quantize: str = quantization.NONE,
    representative: np.ndarray | None = None,
    max_disagreement: float | None = None,
    for_mediapipe: bool = False,
    mediapipe_python: str | None = None,
    version: int | None = None,
    class_names: Sequence[str] | None = None,
    images: np.ndarray | None = None,
    options: Mapping[str, Any] | None = None,
    weights: str | pathlib.Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> pathlib.Path:
    """Writes `out/NAME-VERSION.tflite` and `out/NAME-VERSION.json`, NAME being the model's name.

    ```python
    model = zoo.build("unet", weights="coins.weights.h5")
    exports.formats.tflite.export(model, "files", size=(256, 256))
    # files/unet-1.tflite, files/unet-1.json
    ```

    The file has one signature: `image` `[1, h, w, channels]`, 0-255, gives `class_map` int32
    `[1, h, w]`. It holds TFLite's built-in operations only, so that every device with the plain
    runtime loads it.

    Args:
        model: Takes images `[n, h, w, channels]`, 0-255, of any size; gives scores of their size.
        out: The folder of all exported models; made if it is not there.
        size: Height and width of the images, fixed in the file; None for any, which the signature
            runner of LiteRT sets for each image. A fixed size is faster: its shapes are constants.
        dtype: Of the images: `"uint8"` or `"float32"`.
        quantize: `"none"`, `"float16"`, `"dynamic"` or `"integer"`; see
            `exports.formats.quantization`.
        representative: Images of your data, uint8 `[n, h, w, channels]`, some dozens. `"integer"`
            takes its ranges from them; any file is checked with eight of them.
        max_disagreement: The largest share of the pixels to which a quantized file may give another
            class than the model; 0.05 if None.
        for_mediapipe: Whether the file is one for MediaPipe's ImageSegmenter, `NAME-VERSION-
            mediapipe.tflite`: it gives `scores`, and says what it takes. See
            `exports.formats.mediapipe`.
        mediapipe_python: The Python in whose MediaPipe such a file is checked; this one if None.
            Without MediaPipe it is checked in LiteRT only, which is reported.
        version: A whole number from 1; None for the one after the highest.
        class_names: The name of each class, to be recorded; MediaPipe gives them to its users.
        images: uint8 `[n, h, w, channels]` of that size to check with, if not representative
            images, if not textures. The model must see two classes or more: otherwise equal answers
            prove nothing.
        options: What the model was built with, to be recorded.
        weights: The file that they were read from, to be recorded.
        report: Called with a line on each step and on each answer that was checked.

    Returns:
        The path of the TFLite file.

    Raises:
        ValueError: A model that cannot be exported; an option that is none; an operation that
            TFLite does not have; images that do not fit, or in which the model sees one class only.
        FileExistsError: The version exists.
        ImportError: The LiteRT interpreter, which checks the file, is not installed.
        OSError: The file cannot be written, for example because the disk is full.
        exports.check.MismatchError: A loader does not give the model's answers, or a quantized file
            too often others.
    """
    versions.check_name(model.name)
    image = single_output.image_spec(model, size=size, dtype=dtype)
    if for_mediapipe:
        mediapipe.check_image(image)
    quantization.check_options(quantize, representative, max_disagreement, image)
    check.interpreter()
    if class_names is not None:
        assets.check_names(class_names, model.output_shape[-1])
    about = export_json.of_model(model, options=options, weights=weights, class_names=class_names)
    if images is None and representative is not None:
        images = representative[:: -(-len(representative) // _CHECKED)]
    if quantize != quantization.NONE and max_disagreement is None:
        max_disagreement = MAX_DISAGREEMENT
    checked = {"images": images, "max_disagreement": max_disagreement, "report": report}

    out = pathlib.Path(out)
    end = MEDIAPIPE_END if for_mediapipe else END
    chosen = versions.choose(version, taken(out, model.name, end), f"{out}/{model.name}-{{}}{end}")
    target = out / f"{model.name}-{chosen}{end}"
    with (
        versions.beside(target) as unfinished,
        versions.beside(target.with_suffix(".json")) as record,
    ):
        report(f"Converting to {target}")
        with versions.whole_or_not_at_all(target):
            answer = (single_output.scores if for_mediapipe else single_output.class_map)(
                model, image
            )
            tables = tflite_converter.convert(model, answer, quantize, representative)
            if for_mediapipe:
                names = class_names or [str(number) for number in range(model.output_shape[-1])]
                content = mediapipe.with_metadata(tables, model.name, names)
            else:
                tables.description = f"{model.name}: {_DESCRIPTION}"
                content = flatbuffer.written(tables)
            unfinished.write_bytes(content)
        report("Checking it in the LiteRT interpreter")
        checks = check.tflite(model, unfinished, **checked)
        if for_mediapipe:
            report("Checking it in MediaPipe's ImageSegmenter")
            checks += check.mediapipe(model, unfinished, python=mediapipe_python, **checked)
        asked = check.textures(1, size or (export_json.SIDE, export_json.SIDE), image.shape[-1])
        about |= {
            "signatures": {SERVING_DEFAULT: litert.signature(unfinished)},
            "quantize": quantize,
            "max_disagreement": max_disagreement,
            "operations": flatbuffer.operations(tables),
            "operations_in_float32": quantization.in_float(tables),
            "files": {target.name: unfinished.stat().st_size},
            **export_json.of_checks(checks),
            "request": export_json.one_request(unfinished, asked.astype(dtype), "litert"),
        }
        with versions.whole_or_not_at_all(target):
            record.write_text(export_json.text(about), encoding="utf-8")
    return target


def taken(out: pathlib.Path, name: str, end: str) -> list[int]:
    """The versions of a model that a folder holds, whole or without one of the two files."""
    record = end.replace(".tflite", ".json")
    pattern = re.compile(rf"{re.escape(name)}-(\d+)({re.escape(end)}|{re.escape(record)})")
    return [int(found[1]) for path in out.glob("*") if (found := pattern.fullmatch(path.name))]
