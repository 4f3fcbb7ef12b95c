"""The scores of the FCN paper and those of each class, from one confusion matrix of pixels.

The IoU of a class is the intersection of its true and its predicted pixels, over their union. It is
also called the Jaccard index; the papers write IU.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
Section 5. With n_ij pixels of class i predicted as class j, and t_i = Σ_j n_ij:

    pixel_accuracy            Σ_i n_ii / Σ_i t_i
    mean_accuracy             mean over i of n_ii / t_i
    iou_per_class             n_ii / (t_i + Σ_j n_ji − n_ii)
    mean_iou                  mean over i of iou_per_class
    frequency_weighted_iou    Σ_i t_i · iou_per_class_i / Σ_k t_k

Beside them, for each class i, the field's other names for the same counts:

    precision_per_class       n_ii / Σ_j n_ji
    recall_per_class          n_ii / t_i
    dice_per_class            2 n_ii / (t_i + Σ_j n_ji), also called F1

A class that is neither in the truth nor predicted is left out of the means. A class that is
predicted but not in the truth has an IoU of 0. One matrix counts the pixels of a whole split; the
mean over the scores of single images would be another number.
"""

import numbers
from collections.abc import Collection
from typing import Any

import numpy as np

MAX_CLASSES = 8192
"""The most classes of a matrix, which then has 512 MiB."""


def confusion_matrix(
    truth: np.ndarray, class_map: np.ndarray, *, classes: int, ignore_label: int | None = 255
) -> np.ndarray:
    """Counts the pixels of each pair of true and predicted class.

    Example:

    ```python
    confusion_matrix(np.array([0, 1, 1, 255]), np.array([0, 1, 0, 0]), classes=2)
    # [[1, 0],
    #  [1, 1]]
    ```

    Args:
        truth: Labels, whole numbers in any type and shape.
        class_map: Predicted classes, whole numbers of the same shape.
        classes: Number of classes.
        ignore_label: Label of the pixels that are not counted (void), or None to count all.

    Returns:
        int64 `[classes, classes]`: rows are the truth, columns the prediction.

    Raises:
        ValueError: The shapes differ, an array is masked, or a label or a prediction is not one of
            the classes; the prediction of an ignored pixel may be any number.
    """
    check_options(classes, ignore_label)
    check_unmasked(truth, class_map)
    truth, class_map = np.asarray(truth), np.asarray(class_map)
    for values in (truth, class_map):
        check_type(values.dtype)
    check_shapes(truth.shape, class_map.shape)
    counted = truth != ignore_label
    truth, class_map = truth[counted], class_map[counted]
    for name, values in (("labels", truth), ("predictions", class_map)):
        is_class = (values >= 0) & (values < classes)
        if values.dtype.kind == "f":
            is_class &= values == np.floor(values)
        outside = np.unique(values[~is_class])
        if outside.size:
            what = f"the {name} {', '.join(map(str, outside[:8]))}"
            raise ValueError(other_label(what, classes, ignore_label))
    cells = truth.astype(np.int64) * classes + class_map.astype(np.int64)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def scores(matrix: np.ndarray, *, unscored: Collection[int] = ()) -> dict[str, Any]:
    """The four scores, and the IoU, precision, recall and Dice of each class.

    Example:

    ```python
    scores(np.array([[1, 0], [1, 1]]))["mean_iou"]  # 0.5
    ```

    Args:
        matrix: Counts `[classes, classes]`, as `confusion_matrix` returns them.
        unscored: Classes that are known not to occur, such as the cow, desert and moon of SIFT
            Flow's test images. Unless the truth has them after all, their IoU and Dice are NaN,
            predicted or not, and so left out of the mean.

    Returns:
        The scores by name; those whose name ends in `_per_class` are float64 `[classes]`. A score
        without a counted pixel is NaN: the precision of a class that is never predicted, and the
        recall of one that is not in the truth.

    Raises:
        ValueError: It is not such a matrix.
    """
    check_unmasked(matrix)
    counts = np.asarray(matrix)
    square = counts.ndim == 2 and counts.shape[0] == counts.shape[1]
    if not square or counts.dtype.kind not in "iuf" or not _are_counts(counts):
        raise ValueError(
            "A confusion matrix is [classes, classes] and holds counts of pixels, whole numbers "
            f"from 0, of less than 2⁶³ pixels in all; received {counts.dtype} "
            f"{list(counts.shape)}. Pass what confusion_matrix returns, before any division."
        )
    matrix = counts.astype(np.int64)
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    total = truth.sum()
    iou, recall = ratio(hits, truth + predicted - hits), ratio(hits, truth)
    dice = ratio(2 * hits, truth + predicted)
    absent = [number for number in unscored if not truth[number]]
    iou[absent] = dice[absent] = np.nan
    return {
        "pixel_accuracy": float(ratio(hits.sum(), total)),
        "mean_accuracy": mean_of_numbers(recall),
        "mean_iou": mean_of_numbers(iou),
        "frequency_weighted_iou": float(ratio(np.sum(truth * np.nan_to_num(iou)), total)),
        "iou_per_class": iou,
        "precision_per_class": ratio(hits, predicted),
        "recall_per_class": recall,
        "dice_per_class": dice,
    }


def check_options(classes: int, ignore_label: int | None) -> None:
    """Raises ValueError if they are no number of classes or no label."""
    given = (classes, 0 if ignore_label is None else ignore_label)
    whole = all(isinstance(x, numbers.Integral) and not isinstance(x, bool) for x in given)
    if not whole or not 1 <= classes <= MAX_CLASSES:
        raise ValueError(
            f"classes is a whole number from 1 to {MAX_CLASSES:,}, and ignore_label is one or "
            f"None; received {classes!r} and {ignore_label!r}. Pass classes=21, for example."
        )


def check_unmasked(*arrays: Any) -> None:
    """Raises ValueError for a masked array."""
    if any(isinstance(array, np.ma.MaskedArray) for array in arrays):
        raise ValueError(
            "Arrays are plain, since a conversion would count the masked pixels; received a masked "
            "array. Pass labels.filled(255), with 255 as ignore_label, for example."
        )


def _are_counts(values: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        total = values.sum(dtype=np.float64)
    return bool(total < 2**63 and (values >= 0).all() and (values == np.floor(values)).all())


def check_type(dtype: Any) -> None:
    """Raises ValueError unless it is a type of numbers."""
    name = getattr(dtype, "name", str(dtype))
    if not name.startswith(("bool", "int", "uint", "float", "bfloat")):
        raise ValueError(
            f"Labels and predictions are whole numbers; received {name}. Pass class numbers, such "
            "as uint8."
        )


def check_shapes(labels: tuple[int | None, ...], class_map: tuple[int | None, ...]) -> None:
    """Raises ValueError if the shapes differ; None stands for any length."""
    pairs = zip(labels, class_map, strict=False)
    if len(labels) != len(class_map) or any(a != b and None not in (a, b) for a, b in pairs):
        remedy = "Predict the class map at the size of the labels."
        if len(labels) > len(class_map):
            remedy = "Take the argmax of one-hot labels, and one label for each pixel."
        raise ValueError(
            f"Labels and class map must have one shape; received {labels} and {class_map}. {remedy}"
        )


def other_label(what: str, classes: int, ignore_label: int | None) -> str:
    """The message about labels or predictions that are no class."""
    ignored = "" if ignore_label is None else f", or {ignore_label}, which is not counted"
    return (
        f"Labels and predictions must be a class from 0 to {classes - 1}{ignored}; received "
        f"{what}. Give these pixels a class, or pass the label to leave out as ignore_label."
    )


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The part of the whole, float64; NaN where the whole is 0."""
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean_of_numbers(values: np.ndarray) -> float:
    """The mean of those that are not NaN; NaN without any."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else float("nan")
