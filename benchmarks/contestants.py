"""All forms in which a model can classify images, each in a process of its own."""

import contextlib
import dataclasses
import io
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import zoo
from exports.formats import INTEGER, NONE, flatbuffer, saved_model, tflite_converter
from exports.graph import single_output
from exports.graph.signatures import (
    CLASS_MAP_FROM_BYTES,
    MASK_PNG,
    SCORES,
    SERVING_DEFAULT,
    signatures,
)
from exports.runtimes import process
from tests.support import serving_double as double
from tests.support.serving_contract import png

KERAS, LOGITS, BARE, TFLITE = "Keras predict", "logits", "bare graph", "TFLite"
TFLITE_INT8 = "TFLite int8"
SIGNATURES = (SERVING_DEFAULT, CLASS_MAP_FROM_BYTES, MASK_PNG, SCORES)
CONTESTANTS = (KERAS, LOGITS, BARE, *SIGNATURES, TFLITE, TFLITE_INT8)

# Images uint8 [n, h, w, c] → class map [n, h, w], seconds, peak memory of the process in bytes.
Ask = Callable[[np.ndarray], tuple[np.ndarray, float, int]]


@dataclasses.dataclass(frozen=True)
class Files:
    """A model and the files that were written from it."""

    name: str
    weights: pathlib.Path
    logits: pathlib.Path
    bare: pathlib.Path
    served: pathlib.Path
    tflite: pathlib.Path
    int8: pathlib.Path


def write(model: keras.Model, folder: pathlib.Path, *, images: np.ndarray) -> Files:
    """Writes all files of a model: the exports, and what a user would write by hand."""
    channels = model.input_shape[-1]
    numbers = tf.TensorSpec([None, None, None, channels], tf.float32, name="image")
    pixels = tf.TensorSpec([None, None, None, channels], tf.uint8, name="image")

    @tf.function(input_signature=[numbers])
    def logits(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": model(image, training=False)}

    @tf.function(input_signature=[pixels])
    def bare(image: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = model(tf.cast(image, tf.float32), training=False)
        return {"class_map": tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)}

    files = Files(
        model.name,
        *(folder / name for name in ("model.weights.h5", "logits", "bare", "served")),
        folder / "model.tflite",
        folder / "int8.tflite",
    )
    # The answers are compared before they are timed, and not by the check of an export: it refuses
    # a DeconvNet if rounding decides in a few pixels which of two values is larger.
    one = single_output.class_map(model, single_output.image_spec(images.shape[1:]))
    for path, kind in ((files.tflite, NONE), (files.int8, INTEGER)):
        tables, _ = tflite_converter.convert(model, one, kind, images)
        path.write_bytes(flatbuffer.written(tables))
    zoo.weights.save(model, files.weights)
    saved_model.save(model, {SERVING_DEFAULT: logits}, files.logits)
    saved_model.save(model, {SERVING_DEFAULT: bare}, files.bare)
    saved_model.save(model, signatures(model), files.served)
    return files


@contextlib.contextmanager
def loaded(contestant: str, files: Files) -> Iterator[Ask]:
    """Loads a contestant in a process of its own."""
    own = {
        KERAS: (files.weights, "keras"),
        LOGITS: (files.logits, "tensorflow_c"),
        BARE: (files.bare, "tensorflow_c"),
        TFLITE: (files.tflite, "litert"),
        TFLITE_INT8: (files.int8, "litert"),
    }
    with process.loaded(*own.get(contestant, (files.served, "tensorflow_c"))) as ask:
        yield answered_by(contestant, ask)


def answered_by(contestant: str, ask: process.AskWithCost) -> Ask:
    """A function that asks a file. The time of `logits` includes the argmax in the client."""
    signature = contestant if contestant in SIGNATURES else SERVING_DEFAULT

    def answered(images: np.ndarray) -> tuple[np.ndarray, float, int]:
        if contestant in (TFLITE, TFLITE_INT8):  # which takes one image
            found = [ask(signature, {"image": image[None]}) for image in images]
            class_map = np.concatenate([answer.outputs["class_map"] for answer in found])
            return class_map, sum(answer.seconds for answer in found), found[-1].peak_bytes
        if signature in (CLASS_MAP_FROM_BYTES, MASK_PNG):
            inputs = {"image_bytes": double.strings([png(image) for image in images])}
        else:
            inputs = {"image": images.astype("float32") if contestant == LOGITS else images}
        answer = ask(signature, inputs)
        start = time.perf_counter()
        class_map = _class_map(answer.outputs)
        client = time.perf_counter() - start if contestant == LOGITS else 0
        return class_map, answer.seconds + client, answer.peak_bytes

    return answered


def _class_map(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    if "class_map" in outputs:
        return outputs["class_map"]
    if "mask_png_bytes" in outputs:
        masks = [Image.open(io.BytesIO(png)) for png in outputs["mask_png_bytes"]]
        return np.stack([np.asarray(mask) for mask in masks])
    (scores,) = outputs.values()
    return scores.argmax(-1)
