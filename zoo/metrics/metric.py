"""The scores as a metric of Keras."""

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.metrics.confusion import (
    check_options,
    check_shapes,
    check_type,
    check_unmasked,
    other_label,
)


@keras.saving.register_keras_serializable(package="zoo")
class ConfusionMatrix(keras.metrics.Metric):
    """The four scores while a model is fitted or evaluated.

    Example:

    ```python
    metric = ConfusionMatrix(classes=21)
    model.compile(optimizer, loss, metrics=[metric])
    model.evaluate(images, labels)              # pixel_accuracy, mean_accuracy, mean_iou, …
    zoo.metrics.scores(metric.matrix)["iou_per_class"]
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
        check_options(classes, ignore_label)
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
        check_unmasked(y_true, y_pred)
        truth, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        check_type(truth.dtype)
        if len(truth.shape) == len(y_pred.shape) and truth.shape[-1] == 1:
            truth = ops.squeeze(truth, -1)
        check_shapes(tuple(truth.shape), tuple(y_pred.shape[:-1]))
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
            raise ValueError(other_label(what, self.classes, self.ignore_label))
        if nan:
            raise ValueError(
                f"Scores are numbers; received {nan:,} pixels with NaN among their scores. Look "
                "for NaN in the images and in the weights."
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
