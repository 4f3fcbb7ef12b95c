"""Recomputing gives the same loss, gradients, moving averages and masks, and keeps less."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from recipes.training import recompute
from recipes.training.checkpoints import State
from recipes.training.recipe import Recipe
from recipes.training.step import make_optimizer, make_step
from tests.support.toys import build_toy, dtype_policy, toy_images, whole_toy

RECIPE = Recipe(
    model="unet",
    data="shapes",
    steps=1,
    batch_size=2,
    crop=16,
    context=False,
    optimizer="sgd",
    learning_rate=1e-3,
    recompute=True,
)
# Dropout and skips; batch normalization and switches; two heads; local response normalization.
NETS = ("deconvnet", "fcn8s_two_heads", "fcn_alexnet", "unet")


def one_step(model, images, compute):
    """The loss and gradients of a step, and the variables after it."""

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            scores = keras.tree.flatten(compute(images, training=True))
            loss = tf.add_n([tf.reduce_mean(tf.square(one)) for one in scores])
        return loss, tape.gradient(loss, model.trainable_variables)

    convolutions = sum(
        operation.type == "Conv2D"
        for operation in step.get_concrete_function(images).graph.get_operations()
    )
    loss, gradients = step(images)
    variables = [variable.numpy() for variable in model.variables]
    return float(loss), [x.numpy() for x in gradients], variables, convolutions


@pytest.mark.parametrize("name", NETS)
def test_the_step_is_the_same(name):
    images = tf.constant(toy_images(name, 1))
    found = []
    for wrap in (lambda model: model, recompute.recomputed):
        keras.utils.set_random_seed(3)  # of dropout
        model = whole_toy(name)
        found.append(one_step(model, images, wrap(model)))
    (loss, gradients, variables, once), (again, ours, after, twice) = found
    assert again == pytest.approx(loss, rel=1e-6)
    for theirs, one in zip(gradients, ours, strict=True):
        assert np.abs(one - theirs).max() <= 1e-5 * np.abs(theirs).max()
    for theirs, one, before in zip(variables, after, whole_toy(name).variables, strict=True):
        np.testing.assert_allclose(one, theirs, rtol=1e-6, err_msg=before.path)
    seeds = [x for x in model.variables if "seed" in x.path]
    averages = [x for x in model.variables if "moving" in x.path]
    assert seeds or averages or name == "fcn_alexnet"
    # All but those of the last part are computed twice.
    assert once < twice < 2 * once


def test_what_a_part_keeps_is_computed_after_its_gradient_is_due():
    """Else TensorFlow could compute it early, and keep it as without recomputing."""
    model = build_toy("unet")
    compute = recompute.recomputed(model)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(compute(images, training=True))
        return tape.gradient(loss, model.trainable_variables)

    graph = step.get_concrete_function(tf.TensorSpec((1, 32, 32, 3))).graph
    waiting = [
        [y.name for y in x.control_inputs]
        for x in graph.get_operations()
        if x.type == "Identity" and x.control_inputs and x.control_inputs[0].type != "NoOp"
    ]
    assert len(waiting) > 20
    assert all(any(name.startswith("gradient_tape/") for name in names) for names in waiting)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_two_replicas_recompute(precision, mirrored):
    images = toy_images("unet", 2, (16, 16)).astype("uint8")
    labels = (images[..., 0] // 64).astype("uint8")
    answers = []
    for again in (False, True):
        recipe = dataclasses.replace(RECIPE, recompute=again, precision=precision)
        with mirrored.scope(), dtype_policy(precision):
            keras.utils.set_random_seed(3)
            model = build_toy("unet")
            optimizer = make_optimizer(recipe)
            optimizer.build(model.trainable_variables)
        data = tf.data.Dataset.from_tensors((images, labels)).unbatch().batch(2)
        distributed = mirrored.experimental_distribute_dataset(data)
        step = make_step(recipe, State(model, optimizer), mirrored, distributed.element_spec)
        loss, broken, _ = step(next(iter(distributed)), tf.constant(0), last=True)
        assert not broken
        answers.append([float(loss), *(x.numpy() for x in model.variables)])
    for theirs, ours in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
