"""Exports a model as a TFLite file of built-in operations: `out/NAME-VERSION.tflite`.

`NAME-VERSION.json` beside it says what the file was made of, its operations and how it was checked,
as `export.json` does of a SavedModel.
"""

import pathlib
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from exports import assets, check, flatbuffer, litert, metadata, quantization, single, versions
from exports.saved_model import save
from exports.signatures import SERVING_DEFAULT

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
    version: int | None = None,
    class_names: Sequence[str] | None = None,
    images: np.ndarray | None = None,
    options: Mapping[str, Any] | None = None,
    weights: str | pathlib.Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> pathlib.Path:
    """Writes `out/NAME-VERSION.tflite` and `out/NAME-VERSION.json`, NAME being the model's name.

    ```python
    exports.tflite.export(zoo.build("unet", weights="coins.weights.h5"), "files", size=(256, 256))
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
        quantize: `"none"`, `"float16"`, `"dynamic"` or `"integer"`; see `exports.quantization`.
        representative: Images of your data, uint8 `[n, h, w, channels]`, some dozens. `"integer"`
            takes its ranges from them; any file is checked with eight of them.
        max_disagreement: The largest share of the pixels to which a quantized file may give another
            class than the model; 0.05 if None.
        version: A whole number from 1; None for the one after the highest.
        class_names: The name of each class, to be recorded.
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
        exports.check.MismatchError: The interpreter does not give the model's answers, or a
            quantized file too often others.
    """
    versions.check_name(model.name)
    image = single.image_spec(model, size=size, dtype=dtype)
    quantization.check_options(quantize, representative, max_disagreement, image)
    check.interpreter()
    if class_names is not None:
        assets.check_names(class_names, model.output_shape[-1])
    about = metadata.of_model(model, options=options, weights=weights, class_names=class_names)
    out = pathlib.Path(out)
    chosen = versions.choose(version, taken(out, model.name), f"{out}/{model.name}-{{}}.tflite")
    target = out / f"{model.name}-{chosen}.tflite"
    with (
        versions.beside(target) as unfinished,
        versions.beside(target.with_suffix(".json")) as record,
    ):
        report(f"Converting to {target}")
        with versions.whole_or_not_at_all(target):
            tables = convert(model, single.class_map(model, image), quantize, representative)
            tables.description = f"{model.name}: {_DESCRIPTION}"
            unfinished.write_bytes(flatbuffer.written(tables))
        report("Checking it in the LiteRT interpreter")
        if images is None and representative is not None:
            images = representative[:: -(-len(representative) // _CHECKED)]
        if quantize != quantization.NONE and max_disagreement is None:
            max_disagreement = MAX_DISAGREEMENT
        checks = check.tflite(
            model, unfinished, images=images, max_disagreement=max_disagreement, report=report
        )
        asked = check.textures(1, size or (metadata.SIDE, metadata.SIDE), image.shape[-1])
        about |= {
            "signatures": {SERVING_DEFAULT: litert.signature(unfinished)},
            "quantize": quantize,
            "max_disagreement": max_disagreement,
            "operations": flatbuffer.operations(tables),
            "operations_in_float32": quantization.in_float(tables),
            "files": {target.name: unfinished.stat().st_size},
            **metadata.of_checks(checks),
            "request": metadata.one_request(unfinished, asked.astype(dtype), "litert"),
        }
        with versions.whole_or_not_at_all(target):
            record.write_text(metadata.text(about), encoding="utf-8")
    return target


def taken(out: pathlib.Path, name: str) -> list[int]:
    """The versions of a model that a folder holds, whole or without one of the two files."""
    pattern = re.compile(re.escape(name) + r"-(\d+)\.(tflite|json)")
    return [int(found[1]) for path in out.glob("*") if (found := pattern.fullmatch(path.name))]


def convert(
    model: keras.Model,
    answer: Callable,
    quantize: str = quantization.NONE,
    representative: np.ndarray | None = None,
) -> flatbuffer.Model:
    """A TFLite file with one signature, of built-in operations.

    Raises:
        ValueError: The model needs an operation that TFLite, or its arithmetic, does not have.
    """
    (image,) = answer.input_signature
    # Converted straight from the function, the file answers wrongly; from a SavedModel it is right.
    with tempfile.TemporaryDirectory() as scratch:
        save(model, {SERVING_DEFAULT: answer}, pathlib.Path(scratch))
        converter = tf.lite.TFLiteConverter.from_saved_model(
            scratch, signature_keys=[SERVING_DEFAULT]
        )
        quantization.configure(converter, quantize, representative, image.dtype)
        try:
            with warnings.catch_warnings():
                # The converter takes ranges in the interpreter that LiteRT's replaces.
                warnings.filterwarnings(
                    "ignore", ".*tf.lite.Interpreter is deprecated", UserWarning
                )
                tables = flatbuffer.read(converter.convert())
        except Exception as error:
            missing = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", str(error), re.MULTILINE)
            if not missing:
                raise
            any_size = image.shape[1] is None
            raise ValueError(
                "A TFLite file holds built-in operations only, so that every device loads it; "
                f"{model.name!r}{' at any size' * any_size} needs {', '.join(missing)}. "
                f"{'Pass a size, replace' if any_size else 'Replace'} the layer that uses it, or "
                "export a SavedModel."
            ) from error
    if quantize == quantization.INTEGER:
        quantization.repair(tables, model.name)
    return tables
