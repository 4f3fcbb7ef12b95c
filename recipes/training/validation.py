"""Scores of the held-out split during a run; its workers share the images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from recipes import scoring
from recipes.data import Dataset
from recipes.training.devices import add_up, worker_of
from zoo.models.plain import heads, plain


class Scorer(NamedTuple):
    """A copy of a model on one device, and the class maps that each of its heads answers."""

    model: keras.Model
    predicts: tuple[scoring.Predictor, ...]


def make_scorer(model: keras.Model) -> Scorer:
    """Copies a model; `copy_weights` brings the copy up to date."""
    copy = keras.models.clone_model(model)
    names = heads(model) or (None,)
    return Scorer(copy, tuple(scoring.of_model(plain(copy, head)) for head in names))


def copy_weights(copy: keras.Model, trained: keras.Model) -> None:
    """Gives a copy on one device the weights of a distributed model.

    Reading a replicated variable is a collective, so all workers read here; then each can score
    without the others.
    """
    for variable, source in zip(copy.variables, trained.variables, strict=True):
        variable.assign(source.numpy())


def shared_scores(
    predict: scoring.Predictor,
    dataset: Dataset,
    strategy: tf.distribute.Strategy,
    *,
    stopped: Callable[[], bool],
) -> dict[str, Any] | None:
    """The scores of `zoo.metrics.scores` over a split, of which each worker predicts a share.

    Returns:
        None for all workers if one of them was stopped before it was done.
    """
    worker, workers = worker_of(strategy)
    share = range(worker, len(dataset), workers)
    matrix = scoring.confusion_matrix(predict, dataset, indices=share, stopped=stopped)
    stops, *counts = add_up(np.append(np.int64(stopped()), matrix), strategy)
    return None if stops else scoring.scores(np.reshape(counts, matrix.shape), dataset)
