"""One training step, whose numbers do not depend on how many replicas share the batch."""

from collections.abc import Callable

import keras
import tensorflow as tf

from recipes.training import context, losses, recompute
from recipes.training.checkpoints import State
from recipes.training.recipe import Recipe
from zoo.fast_copy import faster, on_processor
from zoo.models.plain import heads, plain


def make_step(
    recipe: Recipe, state: State, strategy: tf.distribute.Strategy, spec: tuple
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Makes a function of a batch: images, labels, and a weight map if the recipe has one.

    The loss of a net with several heads is the sum of those of its heads.

    It gives the loss, a number above 0 if the run cannot go on from this step, and the sum of the
    stop signals of all workers. With `last=True` it changes the weights by the mean gradient of
    this batch and of those since the last change.

    A run cannot go on if the loss or a gradient of a replica is not finite. With a loss scale a
    gradient may overflow: then the weights stay as they are, and the scale is halved. It cannot go
    on if the scale is then below 1.
    """
    model, optimizer, scale = state.model, state.optimizer, state.loss_scale
    variables = model.trainable_variables
    has_heads = bool(heads(model))
    # Images hold the channels of all inputs.
    forward = model if has_heads else plain(context.trained(recipe, model))
    if recipe.fast and on_processor():
        forward = faster(forward, trainable=True)
    if recipe.recompute:
        forward = recompute.recomputed(forward)
    with strategy.scope():
        sums = [_sum_of_each_replica(x) for x in variables] if recipe.accumulate > 1 else []

    def forward_and_backward(
        images: tf.Tensor,
        labels: list[tf.Tensor],
        weights: list[tf.Tensor],
        divisors: list[tf.Tensor],
        scaled_by: tf.Tensor | None,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            answer = forward(tf.cast(images, tf.float32), training=True)
            parts_of = zip(labels, answer.values() if has_heads else [answer], weights, strict=True)
            parts = [losses.summed_loss(recipe, *head) for head in parts_of]
            loss = tf.add_n([part / by for part, by in zip(parts, divisors, strict=True)])
            target = loss if scaled_by is None else loss * scaled_by
        gradients = tape.gradient(target, variables, unconnected_gradients="zero")
        if scaled_by is not None:
            gradients = [gradient / scaled_by for gradient in gradients]
        return loss, gradients

    if recipe.jit:  # the sums over replicas stay outside: XLA cannot compile them
        forward_and_backward = tf.function(forward_and_backward, jit_compile=True)

    def replica_step(batch: tuple, stop: tf.Tensor, last: bool) -> tuple:
        images, labels, *weight_map = batch
        labels = tf.unstack(labels, axis=-1) if has_heads else [labels]
        weights = [losses.pixel_weights(recipe, one, *(weight_map or [None])) for one in labels]
        replica = tf.distribute.get_replica_context()
        mine = tf.stack([*map(tf.reduce_sum, weights), tf.cast(stop, tf.float32)])
        *totals, stops = tf.unstack(replica.all_reduce(tf.distribute.ReduceOp.SUM, mine))
        divisors = [losses.divisor(recipe, total) for total in totals]
        scaled_by = scale and scale.value.read_value()
        loss, gradients = forward_and_backward(images, labels, weights, divisors, scaled_by)
        for sum_, gradient in zip(sums, gradients, strict=False):
            sum_.assign_add(gradient)
        if last and sums:
            gradients = [sum_ / recipe.accumulate for sum_ in sums]
            for sum_ in sums:
                sum_.assign(tf.zeros_like(sum_))
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in [loss, *gradients]])
        return loss, tf.cast(tf.logical_not(finite), tf.int32), stops, gradients if last else []

    def change_weights(gradients: list[tf.Tensor]) -> None:
        optimizer.apply(as_caffe(recipe, gradients, variables), variables)

    @tf.function(input_signature=[tuple(spec), tf.TensorSpec((), tf.int32)])
    def add(batch: tuple, stop: tf.Tensor) -> tuple:
        return run(batch, stop, last=False)

    @tf.function(input_signature=[tuple(spec), tf.TensorSpec((), tf.int32)])
    def change(batch: tuple, stop: tf.Tensor) -> tuple:
        return run(batch, stop, last=True)

    def run(batch: tuple, stop: tf.Tensor, *, last: bool) -> tuple:
        *results, gradients = strategy.run(replica_step, args=(batch, stop, last))
        loss, broken, stops = (
            strategy.reduce(tf.distribute.ReduceOp.SUM, result, axis=None) for result in results
        )
        if scale is None:
            if last:
                strategy.run(change_weights, args=(gradients,))
            return loss, broken, stops
        too_small = False
        if last:
            if broken == 0:  # of all replicas, so that all change or none
                strategy.run(change_weights, args=(gradients,))
            scale.update(broken == 0)
            too_small = scale.value < 1
        return loss, tf.cast(too_small | ~tf.math.is_finite(loss), tf.int32), stops

    return lambda batch, stop, *, last: (change if last else add)(batch, stop)


def as_caffe(
    recipe: Recipe, gradients: list[tf.Tensor], variables: list[keras.Variable]
) -> list[tf.Tensor]:
    """Changes gradients so that Keras's SGD takes the steps of Caffe's, which the papers used.

    Caffe: v ← momentum · v + rate · lr_mult · (g + weight_decay · decay_mult · w); w ← w − v.
    Keras: v ← momentum · v − rate · g; w ← w + v. So g takes the multipliers and the decay.
    """
    if recipe.optimizer != "sgd":
        return gradients
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync  # their gradients are added
    changed = []
    for gradient, variable in zip(gradients, variables, strict=True):
        rate, decay = _multipliers(recipe, variable)
        if recipe.weight_decay and decay:
            gradient += tf.cast(variable, gradient.dtype) * (recipe.weight_decay / replicas)
        changed.append(gradient * rate)
    return changed


def _multipliers(recipe: Recipe, variable: keras.Variable) -> tuple[int, int]:
    """Caffe's lr_mult and decay_mult of a variable."""
    if variable.name != "bias" or recipe.biases == "plain":
        return 1, 1
    if recipe.biases == "doubled-scores":
        return (2, 0) if variable.path.split("/")[-2].startswith("score") else (1, 1)
    return (2, 0) if recipe.biases == "doubled" else (1, 0)


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
        return keras.optimizers.SGD(rate, momentum=float(recipe.momentum))
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    if recipe.biases == "undecayed":
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _sum_of_each_replica(variable: keras.Variable) -> tf.Variable:
    return tf.Variable(
        tf.zeros(variable.shape, variable.dtype),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
