"""Writes a model as the two files of OpenVINO's own format, by OpenVINO."""

import pathlib
from typing import Any

import keras

from exports.check import Finding, check_class_map
from exports.formats import FORMATS
from exports.formats.saved_model import saved_for_conversion
from exports.formats.settings import Settings
from exports.graph import single_output
from exports.runtimes import UnableError
from exports.serving import export_json


def write(model: keras.Model, settings: Settings, path: pathlib.Path) -> dict[str, Any]:
    """Writes `path/model.xml` and `model.bin`: `image` to `class_map` int32 `[n, h, w]`.

    Raises:
        UnableError: OpenVINO does not have an operation of the model.
    """
    import openvino

    image = single_output.image_spec(settings.image_shape, dtype=settings.dtype, batch=None)
    with saved_for_conversion(model, single_output.class_map(model, image)) as scratch:
        try:
            # Not convert_model: of an FCN-8s at full width it makes a graph that answers otherwise.
            converted = openvino.Core().read_model(scratch)
        except Exception as error:  # OpenVINO's own derive from Exception only
            raise UnableError(f"OpenVINO cannot convert the graph ({error})") from error
        path.mkdir()
        # The default stores the weights in half precision.
        openvino.save_model(converted, path / FORMATS["openvino"].file, compress_to_fp16=False)
    return {"signatures": export_json.class_map_signature(image)}


def check(model: keras.Model, settings: Settings, path: pathlib.Path) -> list[Finding]:
    """Asks the file in OpenVINO; see `exports.check.check_class_map`."""
    form = FORMATS["openvino"]
    return check_class_map(
        model,
        path / form.file,
        runtime=form.runtime,
        loader=form.loader,
        **settings.of_one_check(),
    )
