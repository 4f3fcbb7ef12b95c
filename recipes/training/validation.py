"""Scores of the held-out split during a run, shared between its workers."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo.metrics
from recipes import scoring
from recipes.data.dataset import Dataset
from recipes.training.devices import add_up, worker_of


def follow(copy: keras.Model, trained: keras.Model) -> None:
    """Gives a copy on one device the weights of a distributed model.

    Reading a variable may take all workers. So they all read here, and then each can score alone.
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
    """The scores of `zoo.metrics.scores` over a split, of which each worker predicts its share.

    None for all workers if one of them was stopped before it was done.
    """
    worker, workers = worker_of(strategy)
    share = range(worker, len(dataset), workers)
    matrix = scoring.confusion_matrix(predict, dataset, indices=share, stopped=stopped)
    stops, *counts = add_up(np.append(np.int64(stopped()), matrix), strategy)
    return None if stops else zoo.metrics.scores(np.reshape(counts, matrix.shape))
