"""Looks at every example before training, and names each file that cannot be trained on."""

import concurrent.futures
import os

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from recipes.progress import told

_SHOWN = 10  # problems that are listed in full


def verify(dataset: Dataset) -> np.ndarray:
    """Reads a whole split; returns how many pixels each class has, int64 `[classes]`.

    Raises:
        DataError: A file is missing or unreadable, an image and its label differ in size, or a
            label holds something else than classes and 255. Each is named with its value.
    """
    pixels = np.zeros(256, np.int64)
    problems = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda index: _look(dataset, index), range(len(dataset)))
        text = f"verifying the examples of {dataset.name} ({dataset.split})"
        for found, histogram in told(looked, text, len(dataset)):
            problems += found
            pixels += histogram
    if problems:
        more = len(problems) - _SHOWN
        lines = problems[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise DataError(
            f"{len(problems)} of the {len(dataset)} examples of {dataset.name} ({dataset.split}) "
            "cannot be used:\n  " + "\n  ".join(lines)
        )
    classes = pixels[: len(dataset.class_names)]
    if np.count_nonzero(classes) < 2:
        raise DataError(
            f"The labels of {dataset.name} ({dataset.split}) must hold two classes at least; they "
            f"hold {_values(np.flatnonzero(pixels))}. 255 is no class: if it means the foreground, "
            "save it as 1."
        )
    return classes


def _look(dataset: Dataset, index: int) -> tuple[list[str], np.ndarray]:
    nothing = np.zeros(256, np.int64)
    image_file, label_file = dataset.files[index]
    try:
        image, label = dataset.example(index)
    except DataError as error:
        return [str(error)], nothing
    if image.shape[:2] != label.shape:
        sizes = [f"{height}×{width}" for height, width in (image.shape[:2], label.shape)]
        return [
            f"{label_file}: a label has its image's size; it is {sizes[1]} and {image_file} is "
            f"{sizes[0]} (height × width). Replace one of them."
        ], nothing
    pixels = np.bincount(label.ravel(), minlength=256)
    classes = len(dataset.class_names)
    outside = [value for value in np.flatnonzero(pixels) if classes <= value < IGNORE_LABEL]
    if outside:
        return [
            f"{label_file}: a label holds the classes 0 to {classes - 1} and 255; it holds "
            f"{_values(outside)} too. Give these pixels a class, or 255 to leave them out."
        ], nothing
    return [], pixels


def _values(values: list[int] | np.ndarray) -> str:
    return ", ".join(map(str, values)) or "nothing"
