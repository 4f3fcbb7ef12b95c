"""Looks at every example before training, and names each file that cannot be trained on."""

import collections
import concurrent.futures
import dataclasses
import os
from typing import NamedTuple

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from recipes.progress import told

_SHOWN = 10  # problems that are listed in full


@dataclasses.dataclass(frozen=True)
class Examined:
    """What a split holds: pixels of each class, int64 `[classes]`; how many images of each size."""

    pixels: np.ndarray
    sizes: collections.Counter


def verify(splits: dict[str, Dataset]) -> dict[str, Examined]:
    """Reads all splits of a data set.

    Raises:
        DataError: What `examine` raises, for all splits at once.
    """
    found, problems = {}, []
    for split, dataset in splits.items():
        try:
            found[split] = examine(dataset)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return found


def examine(dataset: Dataset) -> Examined:
    """Reads a whole split.

    Raises:
        DataError: A file is missing or unreadable, an image and its label differ in size, or a
            label holds something else than classes and 255. Each is named with its value.
    """
    pixels, sizes = np.zeros(256, np.int64), collections.Counter()
    problems = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda index: _look(dataset, index), range(len(dataset)))
        text = f"verifying the examples of {dataset.name} ({dataset.split})"
        for problem, label in told(looked, text, len(dataset)):
            if problem:
                problems.append(problem)
            else:
                pixels += label.histogram
                sizes[label.size] += 1
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
    return Examined(classes, sizes)


class _Label(NamedTuple):
    histogram: np.ndarray
    size: tuple[int, int]


def _look(dataset: Dataset, index: int) -> tuple[str, None] | tuple[None, _Label]:
    """What is wrong with an example, or what its label holds."""
    image_file, label_file = dataset.files[index]
    try:
        image, label = dataset.example(index)
    except DataError as error:
        return str(error), None
    if image.shape[:2] != label.shape:
        sizes = [f"{height}×{width}" for height, width in (image.shape[:2], label.shape)]
        return (
            f"{label_file}: a label has its image's size; it is {sizes[1]} and {image_file} is "
            f"{sizes[0]} (height × width). Replace one of them."
        ), None
    pixels = np.bincount(label.ravel(), minlength=256)
    classes = len(dataset.class_names)
    outside = [value for value in np.flatnonzero(pixels) if classes <= value < IGNORE_LABEL]
    if outside:
        return (
            f"{label_file}: a label holds the classes 0 to {classes - 1} and 255; it holds "
            f"{_values(outside)} too. Give these pixels a class, or 255 to leave them out."
        ), None
    return None, _Label(pixels, label.shape)


def _values(values: list[int] | np.ndarray) -> str:
    return ", ".join(map(str, values)) or "nothing"
