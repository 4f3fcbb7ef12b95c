"""Two replicas compute what one computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import ALL, build_toy, dtype_policy, toy_images, toy_scores


@pytest.mark.parametrize("name", ALL)
def test_two_replicas_give_the_numbers_of_one(name, tolerance, mirrored):
    images = toy_images(name)
    labels = toy_scores(name).argmax(-1)[:, ::-1].copy()

    def gradients(strategy: tf.distribute.Strategy) -> list[np.ndarray]:
        # float64: in float32 the sums of 10^5 values in batch normalization differ by 10^-3 with
        # their order, and a switch of DeconvNet that turns moves a whole feature.
        with strategy.scope(), dtype_policy("float64"):
            model = build_toy(name)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0  # each replica draws its own mask
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # as --sync-batch-norm sets it

        def replica_step(image, label):
            with tf.GradientTape() as tape:
                scores = model(image, training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label, scores)
                loss = tf.reduce_sum(losses) / labels.size
            return tape.gradient(loss, model.trainable_variables)

        # Eagerly, which takes a third of the time of a graph that would run once: such graphs are
        # those of the steps in `recipes/training/test_losses.py`.
        dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
        (batch,) = strategy.experimental_distribute_dataset(dataset)
        each = strategy.run(replica_step, args=batch)
        return [strategy.reduce("SUM", gradient, axis=None).numpy() for gradient in each]

    one = gradients(tf.distribute.get_strategy())
    two = gradients(mirrored)
    assert any(np.abs(gradient).max() > 0 for gradient in one)
    for alone, together in zip(one, two, strict=True):
        assert np.abs(alone - together).max() <= tolerance.engine * np.abs(alone).max() + 1e-9
