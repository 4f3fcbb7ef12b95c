"""Reads every example before training, and names each file that cannot be used."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from zoo.images import ImageError
from zoo.progress import told


@dataclasses.dataclass(frozen=True)
class Examined:
    """What a split holds.

    `pixels` counts the pixels of each class, int64 `[classes]`, and `ignored` those of void;
    `sizes` counts the images of each (height, width). `sha256` is over the class names and over the
    shapes and pixels of all images and labels in their order.
    """

    pixels: np.ndarray
    ignored: int
    sizes: collections.Counter
    sha256: str


def verify(
    splits: dict[str, Dataset], *, shown: int | None = 10, instances: bool = True
) -> dict[str, Examined]:
    """Reads all splits of a data set; with `instances` also the numbers of the objects.

    Raises:
        DataError: As `examine`, with the problems of all splits.
    """
    found, problems = {}, []
    for split, dataset in splits.items():
        try:
            found[split] = examine(dataset, shown=shown, instances=instances)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return found


def examine(dataset: Dataset, *, shown: int | None = 10, instances: bool = True) -> Examined:
    """Reads a whole split.

    Args:
        dataset: The split.
        shown: How many problems are listed; all if None.
        instances: Also reads the numbers of the objects, if the data set has them.

    Raises:
        DataError: A file is missing or unreadable, an image and its label differ in size, or a
            label holds other values than classes and 255. Each file is named with its values.
    """
    pixels, sizes, problems = np.zeros(256, np.int64), collections.Counter(), []
    sha256 = hashlib.sha256("\0".join(dataset.class_names).encode())
    if dataset.cut_from:  # each image has hundreds of windows but is read once
        dataset, cuts = dataset.cut_from
        sha256.update(cuts)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda index: _look(dataset, index, instances), range(len(dataset)))
        text = f"verifying the examples of {dataset.name} ({dataset.split})"
        for problem, example in told(looked, text, len(dataset)):
            if problem:
                problems.append(problem)
            else:
                pixels += example.histogram
                sizes[example.size] += 1
                sha256.update(example.sha256)
    if problems:
        lines = problems[:shown]
        if len(lines) < len(problems):
            lines.append(
                f"and {len(problems) - len(lines)} more: zoo verify {dataset.name} DIR "
                "lists all of them"
            )
        raise DataError(
            f"{len(problems)} of the {len(dataset)} examples of {dataset.name} ({dataset.split}) "
            "cannot be used:\n  " + "\n  ".join(lines)
        )
    classes = pixels[: len(dataset.class_names)]
    if np.count_nonzero(classes) < 2:
        raise DataError(
            f"The labels of {dataset.name} ({dataset.split}) hold at least two classes; these hold "
            f"{_values(np.flatnonzero(pixels))}. {IGNORE_LABEL} is void: if it means the "
            "foreground, save it as 1."
        )
    return Examined(classes, int(pixels[IGNORE_LABEL]), sizes, sha256.hexdigest())


def table(dataset: Dataset, examined: Examined) -> str:
    """The examples of a split, their sizes, the pixels of each class and the SHA-256."""
    heights, widths = zip(*examined.sizes, strict=True)
    sizes = f"{heights[0]}×{widths[0]}"
    if len(heights) > 1:
        sizes = f"{len(heights)} sizes, {min(heights)}–{max(heights)}×{min(widths)}–{max(widths)}"
    lines = [f"{dataset.split}: {len(dataset)} examples, {sizes} (height × width)"]
    counts = dict(zip(dataset.class_names, examined.pixels, strict=True))
    counts[f"{IGNORE_LABEL} (void)"] = examined.ignored
    first, total = max(map(len, counts)), sum(counts.values())
    for name, count in counts.items():
        lines.append(f"  {name:<{first}} {count:>14,} pixels  {count / total:7.2%}")
    return "\n".join([*lines, f"  sha256 {examined.sha256}"])


class _Example(NamedTuple):
    histogram: np.ndarray
    size: tuple[int, int]
    sha256: bytes


def _look(
    dataset: Dataset, index: int, instances: bool
) -> tuple[str, None] | tuple[None, _Example]:
    """What is wrong with an example, or else what it holds."""
    image_file, label_file = dataset.files[index]
    try:
        image, label = dataset.example(index)
        if instances and dataset.instances:
            dataset.instances(index)
    except (DataError, ImageError) as error:
        return str(error), None
    if image.shape[:2] != label.shape:
        sizes = [f"{height}×{width}" for height, width in (image.shape[:2], label.shape)]
        return (
            f"{label_file}: a label has its image's size; it is {sizes[1]} and {image_file} is "
            f"{sizes[0]} (height × width). Replace one of them."
        ), None
    # np.bincount converts the label to int64 first, which takes twice as long.
    pixels = np.array(Image.fromarray(label).histogram())
    classes = len(dataset.class_names)
    outside = [value for value in np.flatnonzero(pixels) if classes <= value < IGNORE_LABEL]
    if outside:
        return (
            f"{label_file}: a label holds the classes 0 to {classes - 1} and 255; it holds "
            f"{_values(outside)} too. Give these pixels a class, or 255 for void."
        ), None
    # Hashed here, in the threads, and not where the examples are collected.
    sha256 = hashlib.sha256(f"{image.shape} {label.shape}".encode())
    sha256.update(image.ravel())
    sha256.update(label.ravel())
    return None, _Example(pixels, label.shape, sha256.digest())


def _values(values: list[int] | np.ndarray) -> str:
    return ", ".join(map(str, values)) or "nothing"
