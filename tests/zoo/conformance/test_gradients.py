"""Every weight learns."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import ALL, ALL_TOYS, build_toy, toy_images


@pytest.mark.parametrize("name", ALL)
def test_every_weight_gets_a_gradient(name):
    model = build_toy(name)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(toy_images(name), training=True)))
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        layer = weight.path.partition("/")[0]
        if not (
            name in ("deconvnet", "segnet")
            and weight.path.endswith("bias")
            and layer != ALL_TOYS[name].score
        ):
            # Batch normalization takes away the mean, and with it the biases before it.
            assert np.abs(gradient).max() > 0, weight.path
