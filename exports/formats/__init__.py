"""The formats: a table of what each writes and needs, and a module for the writer of each.

`exports.export` calls two functions of a writer's module. `write(model, settings, path)` writes a
version and returns what its record says about the format; `check(model, settings, path)` returns
the findings. The table itself needs no TensorFlow.
"""

import dataclasses
import importlib
import types
from collections.abc import Mapping

DTYPES = ("uint8", "float32")
"""What an image may be, 0-255, in every format but a SavedModel."""

KINDS = ("none", "float16", "dynamic", "integer", "mixed")
"""How a TFLite file may be quantized; see `exports.formats.quantization`."""

NONE, FLOAT16, DYNAMIC, INTEGER, MIXED = KINDS
OF_IMAGES = (INTEGER, MIXED)
"""The kinds that take ranges from representative images."""

MAX_DISAGREEMENT = 0.05
"""The share of the pixels to which a quantized file may give another class by default."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A row of the table.

    Args:
        summary: What it is for, on one line.
        module: Of its writer, in `exports.formats`.
        place: The path of a version in the folder of all exports, with the model's name and `{}`.
        packages: What must be installed: name for `import` → name for people.
        extra: The extra of this project that installs them.
        runtime: The name of what checks the file.
        loader: The module of `exports.runtimes` in which a request is measured.
        fast: Whether the copy of `zoo.faster` is written by default: a larger file in less time.
        file: What that loader opens, in the folder of a version; empty for the version itself.
    """

    summary: str
    module: str
    place: str
    runtime: str
    loader: str
    fast: bool = False
    file: str = ""
    packages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    extra: str = ""

    @property
    def is_file(self) -> bool:
        """Whether a version is one file, with its record beside it."""
        return self.place.endswith(".tflite")

    def writer(self) -> types.ModuleType:
        """The module with the writer."""
        return importlib.import_module(f"exports.formats.{self.module}")


FORMATS = {
    "saved_model": Format(
        "a folder for TensorFlow Serving and tf.saved_model.load",
        module="saved_model",
        place="{name}/{{}}",
        runtime="TensorFlow's loaders",
        loader="tensorflow_c",
        fast=True,
    ),
    "tflite": Format(
        "a TFLite file of built-in operations, for phones and boards",
        module="tflite",
        place="{name}-{{}}.tflite",
        runtime="the LiteRT interpreter",
        loader="litert",
        packages={"ai_edge_litert": "the LiteRT interpreter"},
        extra="litert",
    ),
    "mediapipe": Format(
        "a TFLite file for MediaPipe's ImageSegmenter",
        module="mediapipe",
        place="{name}-{{}}-mediapipe.tflite",
        runtime="the LiteRT interpreter and MediaPipe's ImageSegmenter",
        loader="litert",
        packages={"ai_edge_litert": "the LiteRT interpreter"},
        extra="litert",
    ),
    "onnx": Format(
        "a folder with model.onnx, for ONNX Runtime",
        module="onnx",
        place="{name}-{{}}-onnx",
        runtime="ONNX Runtime",
        loader="onnx_runtime",
        fast=True,
        file="model.onnx",
        packages={"tf2onnx": "tf2onnx", "onnxruntime": "ONNX Runtime"},
        extra="onnx",
    ),
    "openvino": Format(
        "a folder with model.xml and model.bin, for OpenVINO",
        module="openvino",
        place="{name}-{{}}-openvino",
        runtime="OpenVINO",
        loader="openvino",
        fast=True,
        file="model.xml",
        packages={"openvino": "OpenVINO"},
        extra="openvino",
    ),
}
