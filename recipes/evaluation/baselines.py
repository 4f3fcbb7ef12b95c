"""Answers that need no net, to compare scores with: what the training labels alone tell."""

import numpy as np

from recipes.data import IGNORE_LABEL, Dataset
from recipes.scoring import Predictor
from zoo.progress import told

LONGEST = 480  # the longer side of the grid of places, in cells


def of(train: Dataset) -> dict[str, Predictor]:
    """Two answers by name, from the labels of a training split.

    - "most frequent class": that of the most pixels, everywhere.
    - "class of each place": at each place the class that most labels have there. Places lie on a
      grid of the first label's size, up to `LONGEST`; labels and images of other sizes are scaled
      to it. A place that no label shows has the most frequent class.

    Raises:
        ValueError: No pixel is labelled.
    """
    counts = _counts(train)
    totals = counts.sum((0, 1))
    if not totals.any():
        raise ValueError(
            f"--baselines counts the labels of the training split; {train.name} has no labelled "
            "pixel there. Leave --baselines out."
        )
    most = int(totals.argmax())
    places = np.where(counts.any(-1), counts.argmax(-1), most)
    return {
        "most frequent class": lambda image: np.full(image.shape[:2], most),
        "class of each place": lambda image: _scaled(places, image.shape[:2]),
    }


def _counts(train: Dataset) -> np.ndarray:
    """How many labels have a class at a place, int32 `[h, w, classes]`."""
    counts = np.zeros((0, 0, 0), np.int32)
    for index in told(range(len(train)), "counting the labels", len(train)):
        label = train.example(index)[1]
        if not index:
            factor = min(1, LONGEST / max(label.shape))
            size = [max(1, round(factor * side)) for side in label.shape]
            counts = np.zeros((*size, len(train.class_names)), np.int32)
        label = _scaled(label, counts.shape[:2])
        rows, columns = np.nonzero(label != IGNORE_LABEL)
        counts[rows, columns, label[rows, columns]] += 1
    return counts


def _scaled(numbers: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Numbers `[h, w]` at another size: those of the nearest place."""
    rows, columns = (
        (2 * np.arange(side) + 1) * old // (2 * side)
        for side, old in zip(size, numbers.shape, strict=True)
    )
    return numbers[rows[:, None], columns]
