"""One training step on a batch that is divided between replicas, with the numbers of one device."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from recipes.checkpoints import State
from recipes.data.dataset import IGNORE_LABEL
from recipes.recipe import Recipe


def make_step(
    recipe: Recipe, state: State, strategy: tf.distribute.Strategy, spec: tuple
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """One step on a global batch: its loss, replicas whose numbers are not finite, stop signals.

    The loss of a replica is divided by the labelled pixels of all replicas, not by its own, so
    that the sum of the gradients is the gradient of one large batch, however void is distributed.
    """
    model, optimizer = state.model, state.optimizer

    def replica_step(images: tf.Tensor, labels: tf.Tensor, stop: tf.Tensor) -> tuple:
        valid = labels != IGNORE_LABEL
        context = tf.distribute.get_replica_context()
        counts = tf.stack([tf.math.count_nonzero(valid), tf.cast(stop, tf.int64)])
        pixels, stops = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, counts))
        divisor = recipe.batch_size if recipe.reduction == "sum" else tf.maximum(pixels, 1)
        with tf.GradientTape() as tape:
            scores = model(tf.cast(images, tf.float32), training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=tf.where(valid, tf.cast(labels, tf.int32), 0), logits=scores
            )
            loss = tf.reduce_sum(tf.where(valid, losses, 0.0)) / tf.cast(divisor, tf.float32)
        gradients = tape.gradient(loss, model.trainable_variables)
        numbers = [loss, *(gradient for gradient in gradients if gradient is not None)]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(number)) for number in numbers])
        optimizer.apply(gradients, model.trainable_variables)
        return loss, tf.cast(not finite, tf.int32), stops

    @tf.function(input_signature=[*spec, tf.TensorSpec((), tf.int32)])
    def step(images: Any, labels: Any, stop: tf.Tensor) -> tuple:
        results = strategy.run(replica_step, args=(images, labels, stop))
        return tuple(
            strategy.reduce(tf.distribute.ReduceOp.SUM, result, axis=None) for result in results
        )

    return step


def make_optimizer(recipe: Recipe) -> keras.Optimizer:
    """The recipe's optimizer, with its schedule."""
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, recipe.steps)
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=recipe.momentum)
    return keras.optimizers.Adam(rate)
