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
    """A function of a global batch: its loss, replicas whose numbers are not finite, stop signals.

    With `last=True` it changes the weights by the mean gradient of this batch and of those since
    the last change. The loss of a replica is divided by the labelled pixels of all replicas, not by
    its own, so that the sum of the gradients is the gradient of one large batch, however void is
    distributed.
    """
    model, optimizer = state.model, state.optimizer
    variables = model.trainable_variables
    with strategy.scope():
        sums = [_sum_of_each_replica(x) for x in variables] if recipe.accumulate > 1 else []

    def replica_step(images: tf.Tensor, labels: tf.Tensor, stop: tf.Tensor, last: bool) -> tuple:
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
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in [loss, *gradients]])
        for total, gradient in zip(sums, gradients, strict=False):
            total.assign_add(gradient)
        if last:
            if sums:
                gradients = [total / recipe.accumulate for total in sums]
            optimizer.apply(as_caffe(recipe, gradients, variables), variables)
            for total in sums:
                total.assign(tf.zeros_like(total))
        return loss, tf.cast(tf.logical_not(finite), tf.int32), stops

    @tf.function(input_signature=[*spec, tf.TensorSpec((), tf.int32)])
    def add(images: Any, labels: Any, stop: tf.Tensor) -> tuple:
        return run(images, labels, stop, last=False)

    @tf.function(input_signature=[*spec, tf.TensorSpec((), tf.int32)])
    def change(images: Any, labels: Any, stop: tf.Tensor) -> tuple:
        return run(images, labels, stop, last=True)

    def run(images: Any, labels: Any, stop: tf.Tensor, *, last: bool) -> tuple:
        results = strategy.run(replica_step, args=(images, labels, stop, last))
        return tuple(
            strategy.reduce(tf.distribute.ReduceOp.SUM, result, axis=None) for result in results
        )

    return lambda *batch, last: change(*batch) if last else add(*batch)


def as_caffe(
    recipe: Recipe, gradients: list[tf.Tensor], variables: list[keras.Variable]
) -> list[tf.Tensor]:
    """Gradients with which Keras's SGD takes the steps of Caffe's, whose solvers the papers used.

    Caffe: v ← momentum · v + rate · lr_mult · (g + weight_decay · decay_mult · w); w ← w − v.
    Keras: v ← momentum · v − rate · g; w ← w + v. So the multipliers and the decay go into g.
    """
    if recipe.optimizer != "sgd":
        return gradients
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync  # which add up what is here
    changed = []
    for gradient, variable in zip(gradients, variables, strict=True):
        is_bias = variable.name == "bias"
        if recipe.weight_decay and (recipe.decay_bias or not is_bias):
            gradient += tf.cast(variable, gradient.dtype) * (recipe.weight_decay / replicas)
        changed.append(gradient * recipe.bias_rate if is_bias else gradient)
    return changed


def make_optimizer(recipe: Recipe) -> keras.Optimizer:
    """The recipe's optimizer, with its schedule."""
    rate, schedules = recipe.learning_rate, keras.optimizers.schedules
    if recipe.schedule == "cosine":
        rate = schedules.CosineDecay(rate, recipe.steps)
    elif recipe.schedule == "polynomial":
        rate = schedules.PolynomialDecay(rate, recipe.steps, end_learning_rate=0, power=0.9)
    elif recipe.schedule == "step":
        rate = schedules.ExponentialDecay(rate, recipe.step_size, 0.1, staircase=True)
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=recipe.momentum)
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    if not recipe.decay_bias:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _sum_of_each_replica(variable: keras.Variable) -> tf.Variable:
    return tf.Variable(
        tf.zeros(variable.shape, variable.dtype),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
