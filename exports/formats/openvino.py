"""Writes a model as the two files of OpenVINO's own format, by OpenVINO.

With `quantize="integer"` NNCF makes the convolutions integer, by the ranges that representative
images have, and corrects their biases; what follows the last one stays in float32.
"""

import contextlib
import os
import pathlib
from typing import Any

import keras
import numpy as np

from exports.check import Finding, check_class_map
from exports.formats import FORMATS, INTEGER, NONE, quantization, tflite
from exports.formats.saved_model import saved_for_conversion
from exports.formats.settings import Settings
from exports.graph import single_output
from exports.runtimes import UnableError
from exports.serving import export_json
from zoo.quiet import without_chatter


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes `path/model.xml` and `model.bin`: `image` to `class_map` int32 `[n, h, w]`.

    Raises:
        UnableError: OpenVINO does not have an operation of the model.
    """
    import openvino

    image = single_output.image_spec(settings.image_shape, dtype=settings.dtype, batch=None)
    integer = settings.quantize == INTEGER
    finite = quantization.without_infinity(model) if integer else contextlib.nullcontext()
    with finite, saved_for_conversion(model, single_output.class_map(model, image)) as scratch:
        try:
            # Not convert_model: of an FCN-8s at full width it makes a graph that answers otherwise.
            converted = openvino.Core().read_model(scratch)
        except Exception as error:  # OpenVINO's own derive from Exception only
            raise UnableError(f"OpenVINO cannot convert the graph ({error})") from error
        if integer:
            converted = _quantized(converted, settings.representative.astype(settings.dtype))
        path.mkdir()
        # The default stores the weights in half precision.
        openvino.save_model(converted, path / FORMATS["openvino"].file, compress_to_fp16=False)
    return {
        "signatures": export_json.class_map_signature(image),
        "quantize": INTEGER if integer else NONE,
    }


def _quantized(converted: Any, images: np.ndarray) -> Any:
    """An `openvino.Model` with convolutions in integers, by images `[n, h, w, channels]`."""
    os.environ.setdefault("NNCF_CI", "1")  # else it reports its use to its makers
    import nncf

    # It tells the standard output of its progress.
    with without_chatter(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        nncf.set_log_level("ERROR")
        data = nncf.Dataset([{"image": image[None]} for image in images])
        return nncf.quantize(converted, data, subset_size=len(images))


def check(model: keras.Model, settings: Settings, path: pathlib.Path) -> list[Finding]:
    """Asks the file in OpenVINO; see `exports.check.check_class_map`."""
    form = FORMATS["openvino"]
    quantized = tflite.of_check(settings) if settings.quantize == INTEGER else {}
    return check_class_map(
        model,
        path / form.file,
        runtime=form.runtime,
        loader=form.loader,
        **settings.of_one_check() | quantized,
    )
