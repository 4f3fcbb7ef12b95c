"""The scores of whatever can say the class of each pixel of an image."""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo.metrics
from recipes.data.dataset import Dataset
from recipes.training.recipe import RecipeError
from zoo.progress import told

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
Predictor = Callable[[np.ndarray], np.ndarray]
"""From an image uint8 `[h, w, channels]` to its class map `[h, w]`."""


def measure(predict: Predictor, dataset: Dataset) -> dict[str, Any]:
    """The scores of `zoo.metrics.scores` over a whole split.

    Raises:
        RecipeError: What `confusion_matrix` raises.
    """
    return zoo.metrics.scores(confusion_matrix(predict, dataset))


def confusion_matrix(
    predict: Predictor,
    dataset: Dataset,
    *,
    indices: range | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Counts the pixels of a split: int64 `[classes, classes]`, rows are the truth.

    Args:
        predict: What is scored.
        dataset: The split.
        indices: The examples to count, all if None. The matrices of its parts add up to a split's.
        stopped: Asked before each image; once it says yes, the matrix so far is returned.

    Raises:
        RecipeError: A class map has another size than its label, or holds a class that the data set
            does not have.
    """
    indices = range(len(dataset)) if indices is None else indices
    classes = len(dataset.class_names)
    matrix = np.zeros((classes, classes), np.int64)
    for index in told(indices, "scoring the images", len(indices)):
        if stopped():
            break
        image, label = dataset.example(index)
        class_map = predict(image)
        _check(class_map, label, dataset, index)
        matrix += zoo.metrics.confusion_matrix(label, class_map, classes=classes)
    return matrix


def of_model(model: keras.Model) -> Predictor:
    """The class of the highest score, one image at a time."""
    channels = model.input_shape[-1]

    @tf.function(input_signature=[tf.TensorSpec((None, None, channels), tf.uint8)])
    def class_map(image: tf.Tensor) -> tf.Tensor:
        scores = model(tf.cast(image, tf.float32)[tf.newaxis], training=False)
        return tf.argmax(scores[0], axis=-1, output_type=tf.int32)

    return lambda image: class_map(image).numpy()


def of_saved_model(folder: pathlib.Path, dataset: Dataset) -> Predictor:
    """The signature `serving_default` of a SavedModel: image uint8 to class_map uint8.

    Raises:
        RecipeError: The folder holds no SavedModel with that signature, or it is made for images of
            other channels than the data set's, or for another number of classes.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
        answer = loaded.signatures["serving_default"]
        takes, _ = (
            answer.structured_input_signature[1]["image"],
            answer.structured_outputs["class_map"],
        )
    except Exception as error:  # damaged bytes make TensorFlow raise whatever comes of them
        raise RecipeError(
            f"{folder} cannot be read as a SavedModel whose signature serving_default takes an "
            f"image and gives a class_map ({error}). Pass the folder of an exported version, in "
            "which saved_model.pb lies."
        ) from error
    scores = getattr(loaded.signatures.get("scores"), "structured_outputs", {})
    classes = scores["probabilities"].shape[-1] if "probabilities" in scores else None
    _check_made_for(dataset, folder, channels=takes.shape[-1], classes=classes)
    # The signature lives as long as the object that was loaded.
    return lambda image, keep=loaded: answer(image=image[np.newaxis])["class_map"].numpy()[0]


def of_tflite(file: pathlib.Path, dataset: Dataset) -> Predictor:
    """The one signature of a TFLite file: image uint8 to class_map, at the size of the file.

    An image of another size is scaled to it, bilinear, and its class map back to the size of the
    image, nearest neighbour; the first time, a line says so. A file for any size takes it as it is.

    Raises:
        RecipeError: The file is no TFLite file with that signature, or is made for images of other
            channels than the data set's.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        runner = Interpreter(model_path=str(file)).get_signature_runner()
        takes, _ = runner.get_input_details()["image"], runner.get_output_details()["class_map"]
    except (ValueError, KeyError) as error:
        raise RecipeError(
            f"{file} cannot be read as a TFLite file that takes an image and gives a class_map "
            f"({error}). Pass one that was exported."
        ) from error
    *size, channels = (int(length) for length in takes["shape_signature"][1:])  # -1: any
    _check_made_for(dataset, file, channels=channels)
    told_of_scaling = False

    def class_map(image: np.ndarray) -> np.ndarray:
        nonlocal told_of_scaling
        fits = all(side in (-1, length) for side, length in zip(size, image.shape, strict=False))
        if not fits and not told_of_scaling:
            told_of_scaling = True
            print(
                f"{file} takes images of {size[0]}×{size[1]} (height × width): others are scaled "
                "to it, and their class maps back to the size of the label",
                flush=True,
            )
        taken = image if fits else np.rint(tf.image.resize(image, size, antialias=True))
        found = runner(image=taken[np.newaxis].astype(takes["dtype"]))["class_map"][0]
        if fits:
            return found
        return tf.image.resize(found[..., np.newaxis], image.shape[:2], "nearest")[..., 0].numpy()

    return class_map


def _check_made_for(
    dataset: Dataset, what: pathlib.Path, *, channels: int, classes: int | None = None
) -> None:
    needed = {"channels": dataset.channels, "classes": len(dataset.class_names)}
    for name, number in (("channels", channels), ("classes", classes)):
        if number not in (None, needed[name]):
            raise RecipeError(
                f"{what} is made for {name}={number}; {dataset.name} has {name}={needed[name]}. "
                "Pass the data set that it was trained on as --data."
            )


def _check(class_map: np.ndarray, label: np.ndarray, dataset: Dataset, index: int) -> None:
    name, classes = dataset.files[index][0], len(dataset.class_names)
    if class_map.shape != label.shape:
        raise RecipeError(
            f"{name}: a class map is scored at the size of its label, {_size(label)}; received one "
            f"of {_size(class_map)} (height × width). Score a model that keeps the size of "
            "its image."
        )
    outside = np.unique(class_map[(class_map < 0) | (class_map >= classes)])
    if outside.size:
        raise RecipeError(
            f"{name}: {dataset.name} has the classes 0 to {classes - 1}; received a class map with "
            f"{', '.join(map(str, outside[:8]))}. Pass the data set that the model was trained on "
            "as --data."
        )


def _size(pixels: np.ndarray) -> str:
    return "×".join(map(str, pixels.shape))
