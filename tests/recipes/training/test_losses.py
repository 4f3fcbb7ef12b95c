"""The losses against doubles in NumPy, on one replica and two; XLA; normalization over replicas."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from recipes import data
from recipes.training import losses
from recipes.training import model as models
from recipes.training.checkpoints import State
from recipes.training.recipe import Recipe
from recipes.training.step import make_optimizer, make_step
from tests.support.toys import build_toy, toy_images
from tests.support.training_step import one_step

RECIPE = Recipe(
    name="coins_unet",
    model="unet",
    data="coins",
    steps=9,
    batch_size=2,
    crop=5,
    context=False,  # the images here are the crops, with nothing around them
    optimizer="sgd",
    momentum=0,
    learning_rate=0.1,
    deterministic=False,
)


@pytest.fixture(autouse=True)
def objects_told_apart(monkeypatch):
    """As if nothing were known of the coins' classes, and they were told apart."""
    monkeypatch.setitem(data.SETS, "coins", data.Known(None, 3, instances=True))


@pytest.fixture(scope="module")
def batch():
    """Scores, labels with void in one image more than in the other, and a weight map."""
    rng = np.random.default_rng(4)
    scores = rng.normal(0, 2, (2, 5, 5, 3)).astype("float32")
    labels = rng.choice([0, 1, 2, 255], size=(2, 5, 5)).astype("uint8")
    labels[1, 1:] = 255
    return scores, labels, rng.uniform(0, 3, (2, 5, 5)).astype("float32")


def double(recipe, scores, labels, weight_map):
    """The loss of a batch, written from the definitions, in float64."""
    scores = scores.astype("float64")
    share = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    total, divisor, dice = 0.0, 0.0, []
    for image in range(2):
        for pixel in np.argwhere(labels[image] != 255):
            truth, p = labels[image][tuple(pixel)], share[image][tuple(pixel)]
            weight = recipe.class_weights[truth] if recipe.class_weights else 1
            weight *= weight_map[image][tuple(pixel)] if recipe.weight_map else 1
            modulation = (1 - p[truth]) ** 2 if recipe.loss == "focal" else 1
            total -= weight * modulation * np.log(p[truth])
            divisor += weight
        valid, classes = labels[image] != 255, []
        for c in set(labels[image][valid]):
            p, truth = share[image, ..., c][valid], labels[image][valid] == c
            classes.append(1 - 2 * (p * truth).sum() / (p.sum() + truth.sum()))
        dice.append(np.mean(classes))
    if recipe.loss == "dice":
        return np.mean(dice)
    return total / (2 if recipe.reduction == "sum" else divisor)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reduction": "sum"},
        {"class_weights": (1, 4, 0.5)},
        {"weight_map": True},
        {"weight_map": True, "class_weights": (1, 4, 0.5), "reduction": "sum"},
        {"loss": "focal"},
        {"loss": "focal", "class_weights": (1, 4, 0.5)},
        {"loss": "dice"},
    ],
)
def test_a_loss_is_its_definition(changes, batch):
    recipe = dataclasses.replace(RECIPE, **changes)
    scores, labels, weight_map = batch
    weights = losses.pixel_weights(recipe, labels, weight_map if recipe.weight_map else None)
    total = losses.divisor(recipe, tf.reduce_sum(weights))
    loss = losses.summed_loss(recipe, tf.constant(labels), tf.constant(scores), weights) / total
    assert float(loss) == pytest.approx(double(recipe, *batch), rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "focal", "dice"])
def test_void_has_no_gradient_and_only_void_no_loss(loss, batch):
    recipe = dataclasses.replace(RECIPE, loss=loss)
    scores, labels, _ = batch
    for truth in (labels, np.full_like(labels, 255)):
        weights = losses.pixel_weights(recipe, truth, None)
        with tf.GradientTape() as tape:
            logits = tf.Variable(scores)
            value = losses.summed_loss(recipe, tf.constant(truth), logits, weights)
            value /= losses.divisor(recipe, tf.reduce_sum(weights))
        gradient = tape.gradient(value, logits).numpy()
        assert not gradient[truth == 255].any()
        assert np.isfinite(gradient).all()
        assert (float(value) == pytest.approx(0, abs=1e-6)) == (truth is not labels)


@pytest.mark.parametrize(
    "changes", [{"class_weights": (1, 4, 0.5, 2), "weight_map": True}, {"loss": "dice"}]
)
def test_two_replicas_share_a_loss_to_the_numbers_of_one(changes, batch, mirrored):
    recipe = dataclasses.replace(RECIPE, **changes)
    images = toy_images("unet", 2, (5, 5)).astype("uint8")
    given = (images, *batch[1:]) if recipe.weight_map else (images, batch[1])
    answers = [
        one_step(recipe, strategy, lambda: build_toy("unet"), *given)
        for strategy in (tf.distribute.get_strategy(), mirrored)
    ]
    assert answers[0][0] == pytest.approx(answers[1][0], rel=1e-5)
    for one, two in zip(answers[0][1], answers[1][1], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("name", ["deconvnet", "fcn8s", "fcn_alexnet", "unet"])
def test_a_compiled_step_is_the_step(name, tolerance):
    """Of every kind of model, DeconvNet with its switches among them."""
    # DeconvNet's lowest maps are then wide enough for their variance to be none of rounding.
    images = toy_images(name, 2, (224, 448) if name == "deconvnet" else (24, 32)).astype("uint8")
    labels = (images[..., 0] // 64).astype("uint8")
    plain, compiled = (
        one_step(
            dataclasses.replace(RECIPE, jit=jit),
            tf.distribute.get_strategy(),
            lambda: build_toy(name),
            images,
            labels,
        )
        for jit in (False, True)
    )
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4)
    for ours, theirs in zip(compiled[1], plain[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * max(1, abs(theirs).max()))


def test_batch_normalization_is_that_of_the_whole_batch_if_asked(mirrored):
    """Of one layer; the test below says that all of a net are told."""
    images = toy_images("unet", 2, (24, 32)).astype("uint8")
    images[1] //= 4
    labels = (images[..., 0] // 64).astype("uint8")

    def build(synchronized):
        keras.utils.set_random_seed(3)
        image = keras.Input((None, None, 3))
        x = keras.layers.BatchNormalization()(image)
        model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same")(x))
        models.synchronize(model, dataclasses.replace(RECIPE, sync_batch_norm=synchronized))
        return model

    one = one_step(RECIPE, tf.distribute.get_strategy(), lambda: build(False), images, labels)
    apart, together = (
        one_step(RECIPE, mirrored, lambda s=s: build(s), images, labels) for s in (False, True)
    )
    assert together[0] == pytest.approx(one[0], rel=1e-4)
    assert apart[0] != pytest.approx(one[0], rel=1e-3)
    for ours, theirs in zip(together[1], one[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("replicas", [1, 2])
def test_all_normalizations_of_a_net_are_told(asked, replicas, mirrored):
    model = build_toy("deconvnet")
    strategy = mirrored if replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        models.synchronize(model, dataclasses.replace(RECIPE, sync_batch_norm=asked))
    layers = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(layers) > 20
    assert {layer.synchronized for layer in layers} == {asked and replicas == 2}


@pytest.mark.parametrize("name", ["fcn8s", "deconvnet"])
def test_twenty_steps_of_two_replicas_are_those_of_one(name, mirrored):
    """With frozen normalization: to 1e-6 of the weights, where float32 itself ends at 6e-8."""
    recipe = dataclasses.replace(RECIPE, model=name, momentum=0.9, learning_rate=1e-4)
    images = toy_images(name, 40, (32, 32)).astype("uint8")
    labels = np.where(images[..., 1] > 200, 255, images[..., 0] // 64).astype("uint8")

    def train_on(strategy):
        with strategy.scope():
            model = build_toy(name)
            for layer in model.layers:
                if isinstance(layer, keras.layers.Dropout):
                    layer.rate = 0
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False
            optimizer = make_optimizer(recipe)
            optimizer.build(model.trainable_variables)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
        distributed = strategy.experimental_distribute_dataset(data)
        step = make_step(recipe, State(model, optimizer), strategy, distributed.element_spec)
        for batch in distributed:
            step(batch, tf.constant(0), last=True)
        return [weight.numpy() for weight in model.weights]

    start = build_toy(name).get_weights()
    one, two = train_on(tf.distribute.get_strategy()), train_on(mirrored)
    assert max(abs(a - b).max() for a, b in zip(one, start, strict=True)) > 1e-3
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * max(1, abs(ours).max()))
