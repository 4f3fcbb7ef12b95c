"""Writes a model as the two files of OpenVINO's own format, by OpenVINO."""

import pathlib
import tempfile

import keras
import tensorflow as tf

from exports.formats.saved_model import save
from exports.graph import single_output
from exports.graph.signatures import SERVING_DEFAULT
from exports.runtimes.openvino import UnableError

FILE = "model.xml"


def write(model: keras.Model, image: tf.TensorSpec, directory: pathlib.Path) -> None:
    """Writes `directory/model.xml` and `model.bin`: `image` to `class_map` int32 `[n, h, w]`.

    Raises:
        ImportError: OpenVINO is not installed; the message says how to.
        UnableError: OpenVINO knows an operation of the model in no form.
    """
    try:
        import openvino
    except ImportError as error:
        raise ImportError(
            "A model is written for OpenVINO by OpenVINO, which is not installed. Install it: "
            'pip install "segmentation-zoo[openvino]".'
        ) from error
    with tempfile.TemporaryDirectory() as scratch:
        save(model, {SERVING_DEFAULT: single_output.class_map(model, image)}, pathlib.Path(scratch))
        try:
            converted = openvino.convert_model(scratch)
        except Exception as error:  # its own, which derives from nothing else
            raise UnableError(f"OpenVINO cannot convert the graph ({error})") from error
        # It would store the weights in half precision.
        openvino.save_model(converted, directory / FILE, compress_to_fp16=False)
