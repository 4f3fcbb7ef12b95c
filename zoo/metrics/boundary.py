"""Boundary IoU: how well class maps agree near the edges of classes, where IoU hardly looks.

Cheng, Girshick, Dollár, Berg and Kirillov, "Boundary IoU: Improving Object-Centric Image
Segmentation Evaluation", CVPR 2021, Equation 1. Of each mask count only its own pixels that lie
within a distance of its contour:

    |(G_d ∩ G) ∩ (P_d ∩ P)| / |(G_d ∩ G) ∪ (P_d ∩ P)|

G is the true and P the predicted mask of a class. As in the authors' code, the distance is that of
a square, and the frame of the image is a contour. Here the counts of all images add up, as those of
the mean IoU do, and the distance is in pixels. Void pixels are in no mask, of the truth or of the
prediction, so that an object that is drawn with a ring of void has its contour at the ring.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from zoo.metrics.confusion import confusion_matrix, mean_of_numbers, ratio

_NOWHERE = -1  # the label of what is around the image


def boundary_counts(
    truth: np.ndarray,
    class_map: np.ndarray,
    *,
    classes: int,
    distance: int = 3,
    ignore_label: int | None = 255,
) -> np.ndarray:
    """Counts, for each class, the pixels of the intersection and the union near its contours.

    ```python
    truth = np.zeros((9, 9), int)
    counts = boundary_counts(truth, truth, classes=2, distance=3)
    # [[72, 0],
    #  [72, 0]]
    ```

    Args:
        truth: The labels of one image, `[h, w]`.
        class_map: The predicted classes, `[h, w]`.
        classes: Number of classes.
        distance: From the contour, in pixels.
        ignore_label: Label of the pixels that are not counted (void), or None to count all.

    Returns:
        int64 `[2, classes]`; those of several images add up.

    Raises:
        ValueError: As `confusion_matrix`; it is not one image, or `distance` is no whole number
            from 1.
    """
    if isinstance(distance, bool) or not isinstance(distance, int) or distance < 1:
        raise ValueError(
            f"The distance from a contour is a whole number of pixels from 1; received "
            f"{distance!r}. Pass distance=3, for example."
        )
    truth, class_map = np.asarray(truth), np.asarray(class_map)
    if truth.ndim != 2 or not truth.size:
        raise ValueError(
            f"Boundaries are those of one image [h, w]; received labels {list(truth.shape)}. Count "
            "the images one by one, and add up the counts."
        )
    confusion_matrix(truth, class_map, classes=classes, ignore_label=ignore_label)  # checks both
    counted = truth != ignore_label
    label = np.where(counted, truth, ignore_label or 0).astype(np.int64)
    answer = np.where(counted, class_map, label).astype(np.int64)
    of_truth = _near_contours(label, distance) & counted
    of_answer = _near_contours(answer, distance) & counted

    def count(labels: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.bincount(labels[where], minlength=classes)

    both = count(label, of_truth & of_answer & (label == answer))
    union = count(label, of_truth) + count(answer, of_answer) - both
    return np.stack([both, union]).astype(np.int64)


def boundary_scores(counts: np.ndarray, *, unscored: Collection[int] = ()) -> dict[str, Any]:
    """The Boundary IoU of each class, and their mean.

    ```python
    boundary_scores(np.array([[72, 0], [144, 0]]))["mean_boundary_iou"]  # 0.5
    ```

    Args:
        counts: As `boundary_counts` returns them, of one image or added up.
        unscored: Classes that are left out of the mean, predicted or not; their Boundary IoU is
            NaN.

    Returns:
        `mean_boundary_iou`, over the classes with a boundary, and `boundary_iou_per_class`, float64
        `[classes]`, NaN for a class without one.
    """
    iou = ratio(counts[0], counts[1])
    iou[list(unscored)] = np.nan
    return {"mean_boundary_iou": mean_of_numbers(iou), "boundary_iou_per_class": iou}


def _near_contours(labels: np.ndarray, distance: int) -> np.ndarray:
    """Marks the pixels whose square of `2 · distance + 1` pixels holds another label."""
    lowest = highest = np.pad(labels, distance, constant_values=_NOWHERE)
    for axis in (0, 1):  # of a square, one axis after the other
        lowest = sliding_window_view(lowest, 2 * distance + 1, axis).min(-1)
        highest = sliding_window_view(highest, 2 * distance + 1, axis).max(-1)
    return lowest != highest
