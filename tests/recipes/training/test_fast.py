"""A step with the fast forms of convolutions is the step without them, but for rounding."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from recipes.training.recipe import Recipe
from tests.support.toys import build_toy, toy_images
from tests.support.training_step import one_step
from zoo import fast_copy

RECIPE = Recipe(
    model="unet",
    data="shapes",
    steps=1,
    batch_size=2,
    crop=16,
    context=False,
    optimizer="sgd",
    learning_rate=1e-3,
)


@pytest.fixture
def made(monkeypatch):
    """The copies that are made; the layers of toys are too narrow to gain, so that all count."""
    copies = []

    def faster(model, **options):
        copies.append(zoo.faster(model, **options))
        return copies[-1]

    monkeypatch.setattr(fast_copy, "LEAST_GAIN", 0)
    monkeypatch.setattr("recipes.training.step.faster", faster)
    return copies


@pytest.mark.parametrize(
    ("changes", "replicas"),
    [
        ({"model": "segnet"}, 1),
        ({"model": "fcn8s"}, 1),
        ({"model": "unet"}, 2),
        ({"model": "unet", "recompute": True}, 1),
    ],
)
def test_the_step_is_the_same_but_for_rounding(changes, replicas, made, mirrored):
    recipe = dataclasses.replace(RECIPE, **changes)
    strategy = mirrored if replicas == 2 else tf.distribute.get_strategy()
    images = toy_images(recipe.model, 2).astype("uint8")
    labels = (images[..., 0] // 128).astype("uint8")

    def build() -> keras.Model:
        return build_toy(recipe.model)

    exact = one_step(dataclasses.replace(recipe, fast=False), strategy, build, images, labels)
    assert not made
    fast = one_step(recipe, strategy, build, images, labels)
    (copy,) = made
    forms = {type(layer).__name__ for layer in copy.layers}
    assert "WinogradConv2D" in forms
    assert fast[0] == pytest.approx(exact[0], rel=1e-5)
    for ours, theirs in zip(fast[1], exact[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * abs(theirs).max())


def test_on_a_gpu_the_layers_stay_as_they_are(made, monkeypatch):
    monkeypatch.setattr("recipes.training.step.on_processor", lambda: False)
    images = toy_images("unet", 2).astype("uint8")
    build, strategy = lambda: build_toy("unet"), tf.distribute.get_strategy()
    one_step(RECIPE, strategy, build, images, images[..., 0] // 128)
    assert not made
