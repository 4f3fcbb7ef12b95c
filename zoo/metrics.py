"""The scores of the FCN paper and the IoU of each class, from one confusion matrix of pixels.

The IoU of a class is the intersection of its true and its predicted pixels, over their union. It is
also called the Jaccard index; the papers write IU.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
Section 5. With n_ij pixels of class i predicted as class j, and t_i = Σ_j n_ij:

    pixel_accuracy            Σ_i n_ii / Σ_i t_i
    mean_accuracy             mean over i of n_ii / t_i
    iou_per_class             n_ii / (t_i + Σ_j n_ji − n_ii)
    mean_iou                  mean over i of iou_per_class
    frequency_weighted_iou    Σ_i t_i · iou_per_class_i / Σ_k t_k

A class that is neither in the truth nor predicted is left out of the means. A class that is
predicted but not in the truth has an IoU of 0. One matrix counts the pixels of a whole split; the
mean over the scores of single images would be another number.
"""

from typing import Any

import keras
import numpy as np
from keras import ops


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
        truth: Labels, integers of any shape.
        class_map: Predicted classes, integers of the same shape.
        classes: Number of classes.
        ignore_label: Label of the pixels that are not counted (void), or None to count all.

    Returns:
        int64 `[classes, classes]`: rows are the truth, columns the prediction.

    Raises:
        ValueError: The shapes differ, or a label or a prediction is out of range.
    """
    truth, class_map = np.asarray(truth), np.asarray(class_map)
    if truth.shape != class_map.shape:
        raise ValueError(
            f"Labels and class map must have one shape; received {truth.shape} and "
            f"{class_map.shape}. Predict the class map at the size of the labels."
        )
    counted = truth != ignore_label
    truth, class_map = truth[counted].astype(np.int64), class_map[counted].astype(np.int64)
    for name, values in (("labels", truth), ("predictions", class_map)):
        outside = np.unique(values[(values < 0) | (values >= classes)])
        if outside.size:
            what = f"the {name} {', '.join(map(str, outside[:8]))}"
            raise ValueError(_outside(what, classes, ignore_label))
    cells = np.bincount(truth * classes + class_map, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def scores(matrix: np.ndarray) -> dict[str, Any]:
    """The four scores, and the IoU of each class.

    Example:

    ```python
    scores(np.array([[1, 0], [1, 1]]))["mean_iou"]  # 0.5
    ```

    Args:
        matrix: Integers `[classes, classes]`, as `confusion_matrix` returns them.

    Returns:
        The scores by name; `iou_per_class` is float64 `[classes]`. A score without a counted pixel
        is NaN.
    """
    matrix = np.asarray(matrix, np.int64)
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    total = truth.sum()
    iou = _ratio(hits, truth + predicted - hits)
    return {
        "pixel_accuracy": float(_ratio(hits.sum(), total)),
        "mean_accuracy": _mean_of_numbers(_ratio(hits, truth)),
        "mean_iou": _mean_of_numbers(iou),
        "frequency_weighted_iou": float(_ratio(np.sum(truth * np.nan_to_num(iou)), total)),
        "iou_per_class": iou,
    }


@keras.saving.register_keras_serializable(package="zoo")
class ConfusionMatrix(keras.metrics.Metric):
    """The four scores while a model is fitted or evaluated.

    Example:

    ```python
    metric = ConfusionMatrix(classes=21)
    model.compile(optimizer, loss, metrics=[metric])
    model.evaluate(images, labels)              # pixel_accuracy, mean_accuracy, mean_iou, …
    scores(metric.matrix)["iou_per_class"]
    ```

    `update_state(labels, scores)` takes labels `[n, h, w]` or `[n, h, w, 1]` and a model's scores
    `[n, h, w, classes]`; the prediction is the class of the highest score. The counts are int64.
    Under `tf.distribute` each replica counts its own pixels, and reading adds the counts.

    Limits: the JAX backend counts in int64 only after `jax.config.update("jax_enable_x64", True)`;
    without it JAX warns and counts in int32, up to 2³¹ − 1.

    Args:
        classes: Number of classes, the last axis of the scores.
        ignore_label: Label of the pixels that are not counted (void), or None to count all.
        name: Name of the metric.
        **kwargs: `dtype`, of the four scores.

    Raises:
        ValueError: A label was neither a class nor `ignore_label`. It is raised when the scores or
            the matrix are read outside a compiled step: in `fit`, after an epoch. Inside a
            compiled step the scores are NaN. `update_state` raises it for a wrong number of
            classes and for a `sample_weight`.
        RuntimeError: A metric of a `tf.distribute` strategy is updated outside a replica.
    """

    def __init__(
        self,
        classes: int,
        *,
        ignore_label: int | None = 255,
        name: str = "confusion_matrix",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.ignore_label = ignore_label
        # One cell per pair of true and predicted class, one for ignored pixels, one for labels that
        # are out of range.
        self.counts = self.add_variable((classes**2 + 2,), "zeros", dtype="int64", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            raise ValueError(
                "A confusion matrix counts pixels and takes no sample_weight. Label the pixels to "
                f"be left out {self.ignore_label}, and compile with metrics=, not "
                "weighted_metrics=."
            )
        if y_pred.shape[-1] != self.classes:
            raise ValueError(
                f"The last axis of the scores must hold {self.classes} classes; received the shape "
                f"{tuple(y_pred.shape)}. Make the metric with the model's number of classes."
            )
        _check_in_replica(self.counts)
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        prediction = ops.reshape(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), (-1,))
        ignored, outside, cells = self.classes**2, self.classes**2 + 1, self.classes**2 + 2
        is_class = ops.logical_and(truth >= 0, truth < self.classes)
        cell = ops.where(is_class, truth * self.classes + prediction, outside)
        if self.ignore_label is not None:
            cell = ops.where(ops.equal(truth, self.ignore_label), ignored, cell)
        ones = ops.ones_like(cell, dtype=self.counts.dtype)
        self.counts.assign(self.counts + ops.segment_sum(ones, cell, num_segments=cells))

    def result(self) -> dict[str, Any]:
        counts = ops.convert_to_tensor(self.counts)
        outside = counts[-1]
        if hasattr(outside, "numpy"):  # while a step is traced, there is no value yet
            self._check_labels(int(outside))
        matrix = ops.reshape(counts[:-2], (self.classes, self.classes))
        # Integers until the division, because a float32 sum loses pixels beyond 2^24.
        hits, truth, predicted = ops.diagonal(matrix), ops.sum(matrix, 1), ops.sum(matrix, 0)
        union = truth + predicted - hits
        total = ops.sum(truth)
        iou = self._ratio(hits, ops.maximum(union, 1))
        accuracy = self._ratio(hits, ops.maximum(truth, 1))
        results = {
            "pixel_accuracy": self._ratio(ops.sum(hits), total),
            "mean_accuracy": self._ratio(ops.sum(accuracy), ops.count_nonzero(truth)),
            "mean_iou": self._ratio(ops.sum(iou), ops.count_nonzero(union)),
            "frequency_weighted_iou": ops.sum(self._ratio(truth, total) * iou),
        }
        return {
            name: ops.where(outside > 0, float("nan"), value) for name, value in results.items()
        }

    @property
    def matrix(self) -> np.ndarray:
        """The pixels counted so far: int64 `[classes, classes]`, rows are the truth."""
        counts = self.counts.numpy().astype(np.int64)
        self._check_labels(int(counts[-1]))
        return counts[:-2].reshape(self.classes, self.classes)

    def get_config(self) -> dict[str, Any]:
        config = {"classes": self.classes, "ignore_label": self.ignore_label}
        return {**super().get_config(), **config}

    def _ratio(self, part: Any, whole: Any) -> Any:
        return ops.cast(part, self.dtype) / ops.cast(whole, self.dtype)

    def _check_labels(self, outside: int) -> None:
        if outside:
            what = f"{outside:,} pixels with another label"
            raise ValueError(_outside(what, self.classes, self.ignore_label))


def _check_in_replica(counts: keras.Variable) -> None:
    """Raises RuntimeError outside a replica.

    There TensorFlow would divide what is assigned among the replicas and lose the remainder.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    in_replica = tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()
    # Keras traces the update once outside the replicas, to learn its shapes. That is not eager.
    is_update = tf.executing_eagerly() and not in_replica
    if is_update and isinstance(counts.value, tf.distribute.DistributedValues):
        raise RuntimeError(
            "A metric that is made in the scope of a strategy counts inside a replica; it was "
            "updated outside a replica. Call update_state in a function that strategy.run runs, or "
            "make the metric outside the scope."
        )


def _outside(what: str, classes: int, ignore_label: int | None) -> str:
    ignored = "" if ignore_label is None else f", or {ignore_label}, which is not counted"
    return (
        f"Labels and predictions must be a class from 0 to {classes - 1}{ignored}; received "
        f"{what}. Give these pixels a class, or pass the label to leave out as ignore_label."
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean_of_numbers(values: np.ndarray) -> float:
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else float("nan")
