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

import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

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
    _check_options(classes, ignore_label)
    _check_unmasked(truth, class_map)
    truth, class_map = np.asarray(truth), np.asarray(class_map)
    for values in (truth, class_map):
        _check_type(values.dtype)
    _check_shapes(truth.shape, class_map.shape)
    counted = truth != ignore_label
    truth, class_map = truth[counted], class_map[counted]
    for name, values in (("labels", truth), ("predictions", class_map)):
        is_class = (values >= 0) & (values < classes)
        if values.dtype.kind == "f":
            is_class &= values == np.floor(values)
        outside = np.unique(values[~is_class])
        if outside.size:
            what = f"the {name} {', '.join(map(str, outside[:8]))}"
            raise ValueError(_outside(what, classes, ignore_label))
    cells = truth.astype(np.int64) * classes + class_map.astype(np.int64)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def scores(matrix: np.ndarray) -> dict[str, Any]:
    """The four scores, and the IoU of each class.

    Example:

    ```python
    scores(np.array([[1, 0], [1, 1]]))["mean_iou"]  # 0.5
    ```

    Args:
        matrix: Counts `[classes, classes]`, as `confusion_matrix` returns them.

    Returns:
        The scores by name; `iou_per_class` is float64 `[classes]`. A score without a counted pixel
        is NaN.

    Raises:
        ValueError: It is not such a matrix.
    """
    _check_unmasked(matrix)
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
    without it JAX warns, counts in int32, up to 2³¹ − 1, and reads labels as int32.

    Args:
        classes: Number of classes, the last axis of the scores.
        ignore_label: Label of the pixels that are not counted (void), or None to count all.
        name: Name of the metric.
        **kwargs: `dtype`, of the four scores.

    Raises:
        ValueError: A label was neither a class nor `ignore_label`, or a counted pixel had NaN among
            its scores. It is raised when the scores or the matrix are read outside a compiled step:
            in `fit`, after an epoch. Inside a compiled step the scores are NaN. `update_state`
            raises it for another shape of the labels (in a graph of any size the labels then count
            as no class), for a wrong number of classes and for a `sample_weight`.
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
        _check_options(classes, ignore_label)
        self.classes = classes
        self.ignore_label = ignore_label
        # One cell per pair of true and predicted class; one each for ignored pixels, for labels
        # that are no class, and for scores that are NaN.
        self.counts = self.add_variable((classes**2 + 3,), "zeros", dtype="int64", name="counts")

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
        _check_unmasked(y_true, y_pred)
        truth, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        _check_type(truth.dtype)
        if len(truth.shape) == len(y_pred.shape) and truth.shape[-1] == 1:
            truth = ops.squeeze(truth, -1)
        _check_shapes(tuple(truth.shape), tuple(y_pred.shape[:-1]))
        cell = self._cells(*_of_one_size(truth, y_pred))
        if None in (*truth.shape, *y_pred.shape):  # known when the graph runs
            pairs = zip(ops.shape(truth), ops.shape(y_pred)[:-1], strict=True)
            same = [ops.equal(one, other) for one, other in pairs]
            cell = ops.where(ops.all(ops.stack(same)), cell, self.classes**2 + 1)
        ones = ops.ones_like(cell, dtype=self.counts.dtype)
        size = self.classes**2 + 3
        self.counts.assign(self.counts + ops.segment_sum(ones, cell, num_segments=size))

    def _cells(self, truth: Any, scores: Any) -> Any:
        """The place in `counts` of each pixel, from its label and its scores."""
        ignored, outside, nan = (self.classes**2 + place for place in range(3))
        kind = keras.backend.standardize_dtype(truth.dtype)
        if kind in ("bool", "int8", "uint8", "int16", "uint16"):  # else -1 or 300 would not fit
            truth = ops.cast(truth, "int32")
        elif kind in ("uint32", "uint64"):
            truth = ops.cast(truth, "int64")
        is_class = ops.logical_and(truth >= 0, truth < self.classes)
        if "float" in kind:
            is_class = ops.logical_and(is_class, ops.equal(truth, ops.floor(truth)))
        prediction = ops.cast(ops.argmax(scores, axis=-1), "int32")
        cell = ops.where(is_class, ops.cast(truth, "int32") * self.classes + prediction, outside)
        cell = ops.where(ops.any(ops.isnan(scores), axis=-1), nan, cell)
        if self.ignore_label is not None:
            cell = ops.where(ops.equal(truth, self.ignore_label), ignored, cell)
        return cell

    def result(self) -> dict[str, Any]:
        counts = ops.convert_to_tensor(self.counts)
        refused = counts[-2:]
        if hasattr(refused, "numpy"):  # while a step is traced, there is no value yet
            self._check_refused(*refused.numpy())
        matrix = ops.reshape(counts[:-3], (self.classes, self.classes))
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
            name: ops.where(ops.any(refused > 0), float("nan"), value)
            for name, value in results.items()
        }

    @property
    def matrix(self) -> np.ndarray:
        """The pixels counted so far: int64 `[classes, classes]`, rows are the truth."""
        counts = self.counts.numpy().astype(np.int64)
        self._check_refused(*counts[-2:])
        return counts[:-3].reshape(self.classes, self.classes)

    def get_config(self) -> dict[str, Any]:
        config = {"classes": self.classes, "ignore_label": self.ignore_label}
        return {**super().get_config(), **config}

    def _ratio(self, part: Any, whole: Any) -> Any:
        return ops.cast(part, self.dtype) / ops.cast(whole, self.dtype)

    def _check_refused(self, outside: int, nan: int) -> None:
        if outside:
            what = f"{outside:,} pixels with another label"
            raise ValueError(_outside(what, self.classes, self.ignore_label))
        if nan:
            raise ValueError(
                f"Scores are numbers; received {nan:,} pixels with NaN among their scores. Look "
                "for NaN in the images and in the weights."
            )


def _check_options(classes: int, ignore_label: int | None) -> None:
    given = (classes, 0 if ignore_label is None else ignore_label)
    whole = all(isinstance(x, numbers.Integral) and not isinstance(x, bool) for x in given)
    if not whole or not 1 <= classes <= MAX_CLASSES:
        raise ValueError(
            f"classes is a whole number from 1 to {MAX_CLASSES:,}, and ignore_label is one or "
            f"None; received {classes!r} and {ignore_label!r}. Pass classes=21, for example."
        )


def _check_unmasked(*arrays: Any) -> None:
    if any(isinstance(array, np.ma.MaskedArray) for array in arrays):
        raise ValueError(
            "Arrays are plain, since a conversion would count the masked pixels; received a masked "
            "array. Pass labels.filled(255), with 255 as ignore_label, for example."
        )


def _are_counts(values: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        total = values.sum(dtype=np.float64)
    return bool(total < 2**63 and (values >= 0).all() and (values == np.floor(values)).all())


def _check_type(dtype: Any) -> None:
    name = getattr(dtype, "name", str(dtype))
    if not name.startswith(("bool", "int", "uint", "float", "bfloat")):
        raise ValueError(
            f"Labels and predictions are whole numbers; received {name}. Pass class numbers, such "
            "as uint8."
        )


def _check_shapes(labels: tuple[int | None, ...], class_map: tuple[int | None, ...]) -> None:
    """Raises ValueError if the shapes differ; None stands for any length."""
    pairs = zip(labels, class_map, strict=False)
    if len(labels) != len(class_map) or any(a != b and None not in (a, b) for a, b in pairs):
        remedy = "Predict the class map at the size of the labels."
        if len(labels) > len(class_map):
            remedy = "Take the argmax of one-hot labels, and one label for each pixel."
        raise ValueError(
            f"Labels and class map must have one shape; received {labels} and {class_map}. {remedy}"
        )


def _of_one_size(truth: Any, scores: Any) -> tuple[Any, Any]:
    """The labels `[pixels]` and scores `[pixels, classes]`, labels cut or repeated to fit.

    In a graph for any size nothing else keeps one label from standing for all pixels, and XLA drops
    assertions. The caller counts none of them where the sizes differ.
    """
    labels, scores = ops.reshape(truth, (-1,)), ops.reshape(scores, (-1, scores.shape[-1]))
    if None in truth.shape:
        pixels = ops.arange(ops.shape(scores)[0])
        labels = ops.take(labels, ops.minimum(pixels, ops.shape(labels)[0] - 1))
    return labels, scores


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
