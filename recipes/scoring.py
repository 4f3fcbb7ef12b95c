"""The scores of anything that gives a class map for an image."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import zoo.metrics
from recipes.data import Dataset, verify
from zoo.inference import scorers, strips
from zoo.progress import told

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
"""The names of the four scores of the FCN paper."""

Predictor = Callable[[np.ndarray], np.ndarray]
"""From an image of a data set `[h, w, channels]` to its class map `[h, w]`."""


def measure(predict: Predictor, dataset: Dataset) -> dict[str, Any]:
    """The scores of `zoo.metrics.scores` over a whole split.

    Raises:
        ValueError: As `confusion_matrix`.
    """
    return scores(confusion_matrix(predict, dataset), dataset)


def scores(matrix: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    """Those of `zoo.metrics.scores` for the matrix of a split, by its rule for absent classes."""
    return zoo.metrics.scores(matrix, unscored=dataset.unscored)


def left_out(matrix: np.ndarray, dataset: Dataset) -> tuple[str, ...]:
    """The names of the classes that the mean IoU leaves out, predicted or not."""
    return tuple(
        dataset.class_names[number] for number in dataset.unscored if not matrix[number].any()
    )


def confusion_matrix(
    predict: Predictor,
    dataset: Dataset,
    *,
    indices: range | None = None,
    stopped: Callable[[], bool] = lambda: False,
    seen: Callable[[np.ndarray, np.ndarray, np.ndarray], None] = lambda *_: None,
) -> np.ndarray:
    """Counts the pixels of a split: int64 `[classes, classes]`, rows are the truth.

    Args:
        predict: What is scored.
        dataset: The split.
        indices: The examples that are counted; None for all. The matrices of parts add up to that
            of the split.
        stopped: Called before each image; when it returns True, the matrix so far is returned.
        seen: Called with the label, the class map and the matrix of each image that is counted.

    Raises:
        ValueError: A class map has another size than its label, or a class that the data set does
            not have; or an example cannot be used.
        MemoryError: There is too little to score an image.
    """
    indices = range(len(dataset)) if indices is None else indices
    classes = len(dataset.class_names)
    matrix = np.zeros((classes, classes), np.int64)
    for index in told(indices, "scoring the images", len(indices)):
        if stopped():
            break
        image, label = dataset.example(index)
        verify.check(dataset, index, image, label)
        try:
            class_map = predict(image)
        except MemoryError as error:
            raise MemoryError(f"{dataset.files[index][0]}: {error}") from error
        _check(class_map, label, dataset, index)
        counts = zoo.metrics.confusion_matrix(label, class_map, classes=classes)
        matrix += counts
        seen(label, class_map, counts)
    return matrix


def of_model(model: keras.Model) -> Predictor:
    """Takes the class of the highest score, one image at a time; a large one tile by tile."""
    answer = scorers.of_model(model, scores=True)
    return lambda image: strips.class_map(answer, image)


def _check(class_map: np.ndarray, label: np.ndarray, dataset: Dataset, index: int) -> None:
    name, classes = dataset.files[index][0], len(dataset.class_names)
    if class_map.shape != label.shape:
        raise ValueError(
            f"{name}: a class map is scored at the size of its label, {_size(label)}; received one "
            f"of {_size(class_map)} (height × width). Score a model that keeps the size of "
            "its image."
        )
    outside = np.unique(class_map[(class_map < 0) | (class_map >= classes)])
    if outside.size:
        raise ValueError(
            f"{name}: {dataset.name} has the classes 0 to {classes - 1}; received a class map with "
            f"{', '.join(map(str, outside[:8]))}. Pass the data set that the model was trained on "
            "as --data, and its folder as --data-dir."
        )


def _size(pixels: np.ndarray) -> str:
    return "×".join(map(str, pixels.shape))
