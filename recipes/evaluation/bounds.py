"""The mean IoU that labels themselves reach when they are down-sampled and brought back.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
have such a table for VOC and do not say how they down-sampled. Here a cell becomes the class that
most of its pixels have, the first of equals: one class for each cell cannot have more pixels right.
Small objects vanish, so that the mean IoU of another choice may be higher where cells are as large
as objects; and a net that interpolates its scores draws finer edges than cells.
"""

import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

import zoo.metrics
from recipes.data import IGNORE_LABEL, DataError
from zoo.images import ENDINGS, read_class_map

FACTORS = (128, 64, 32, 16, 8, 4)
"""By which labels are down-sampled, those of the paper."""

MAX_NUMBERS = 255  # that a class map can hold besides void


def upper_bounds(labels: Iterable[np.ndarray], *, classes: int = MAX_NUMBERS) -> dict[int, float]:
    """The mean IoU of the labels, down-sampled by each factor and brought back.

    ```python
    upper_bounds([np.eye(256, dtype="uint8")])[4]  # between 0 and 1
    ```

    Args:
        labels: Class maps `[h, w]`, of any sizes; 255 is void, which is not counted.
        classes: Number of classes; the mean is over those that occur.

    Returns:
        The mean IoU by the factor, over all labels; NaN without a pixel that counts.

    Raises:
        ValueError: A label holds another class.
    """
    matrices = {factor: np.zeros((classes, classes), np.int64) for factor in FACTORS}
    for label in labels:
        for factor, matrix in matrices.items():
            brought_back = majority(label, factor)
            matrix += zoo.metrics.confusion_matrix(label, brought_back, classes=classes)
    return {factor: zoo.metrics.scores(matrix)["mean_iou"] for factor, matrix in matrices.items()}


def majority(label: np.ndarray, factor: int) -> np.ndarray:
    """A label whose cells of `factor` × `factor` pixels each have the class of most pixels.

    >>> majority(np.array([[1, 1, 2, 255], [1, 0, 255, 255]], np.uint8), 2)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]], dtype=uint8)

    The cells begin at the upper left; those at the other ends may be smaller. Void has no part in
    it; a cell of void alone is class 0.
    """
    height, width = label.shape
    padding = [(0, -height % factor), (0, -width % factor)]
    padded = np.pad(label, padding, constant_values=IGNORE_LABEL)
    rows, columns = padded.shape[0] // factor, padded.shape[1] // factor
    cells = padded.reshape(rows, factor, columns, factor)
    best, most = np.zeros((rows, columns), label.dtype), np.zeros((rows, columns), int)
    for number in np.unique(label[label != IGNORE_LABEL]):
        count = (cells == number).sum((1, 3))
        best[count > most] = number
        most = np.maximum(most, count)
    return best.repeat(factor, 0).repeat(factor, 1)[:height, :width]


def class_map_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The image files of a folder, by their names.

    Raises:
        DataError: There are none.
        OSError: The folder cannot be read.
    """
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)
    if not found:
        raise DataError(
            f"{folder}: the labels are class maps, one file each, as palette or grey PNG; there is "
            "none in it. Pass the folder of the class maps, or the name of a data set as --data."
        )
    return found


def read_all(paths: Iterable[pathlib.Path]) -> Iterator[np.ndarray]:
    """The class maps of files, one after the other.

    Raises:
        ImageError: A file cannot be read as a class map.
    """
    return (read_class_map(path) for path in paths)


def as_table(bounds: dict[int, float]) -> str:
    """A line for each factor."""
    lines = [f"{factor:>6}  {iou:>8.4f}" for factor, iou in bounds.items()]
    return "\n".join(["factor  mean_iou", *lines])
