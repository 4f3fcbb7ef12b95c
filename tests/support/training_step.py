"""One step of the training loop on a batch, for tests of what a step computes."""

import keras
import tensorflow as tf

from recipes.training.checkpoints import State
from recipes.training.step import make_optimizer, make_step


def one_step(recipe, strategy, build, *batch):
    """The loss and the variables after one step on a batch."""
    with strategy.scope():
        model = build()
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0  # replicas and compilers draw numbers of their own
        optimizer = make_optimizer(recipe)
        optimizer.build(model.trainable_variables)
    data = tf.data.Dataset.from_tensor_slices(batch).batch(2)
    distributed = strategy.experimental_distribute_dataset(data)
    step = make_step(recipe, State(model, optimizer), strategy, distributed.element_spec)
    loss, broken, _ = step(next(iter(distributed)), tf.constant(0), last=True)
    assert not broken
    return float(loss), [variable.numpy() for variable in model.weights]
