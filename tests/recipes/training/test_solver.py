"""The solver is Caffe's: multipliers, decay, accumulation and schedules, against a NumPy double."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from recipes.training.checkpoints import State
from recipes.training.recipe import Recipe
from recipes.training.step import make_optimizer, make_step

RECIPE = Recipe(
    name="coins_unet",
    model="unet",  # not built: the steps below are those of a model of one layer
    data="coins",
    steps=20,
    batch_size=4,
    crop=3,
    accumulate=3,
    optimizer="sgd",
    learning_rate=0.5,
    momentum=0.9,
    biases="doubled",
    weight_decay=0.05,
    schedule="step",
    step_size=7,
)


def one_layer(name: str) -> keras.Model:
    image = keras.Input((None, None, 2))
    scores = keras.layers.Conv2D(3, 1, name=name)(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, scores)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=(1, 1, 2, 3)), rng.normal(size=3)])
    return model


def examples() -> tuple[np.ndarray, np.ndarray]:
    """20 steps of 3 batches of 4 images of 3 × 3; a third of the labels is void."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (20, 3, 4, 3, 3, 2), dtype=np.uint8)
    labels = rng.choice([0, 1, 2, 255], p=[0.2, 0.2, 0.3, 0.3], size=images.shape[:-1])
    return images, labels.astype(np.uint8)


def train(recipe: Recipe, name: str, strategy: tf.distribute.Strategy) -> list[np.ndarray]:
    """The kernel and the bias after 20 steps of the project's own loop body."""
    with strategy.scope():
        model = one_layer(name)
        optimizer = make_optimizer(recipe)
        optimizer.build(model.trainable_variables)
    batches = [array.reshape(60, 4, *array.shape[3:]) for array in examples()]
    dataset = tf.data.Dataset.from_tensor_slices(tuple(batches)).unbatch().batch(4)
    distributed = strategy.experimental_distribute_dataset(dataset)
    step = make_step(recipe, State(model, optimizer), strategy, distributed.element_spec)
    for number, batch in enumerate(distributed):
        last = (number + 1) % recipe.accumulate == 0
        _, broken, _ = step(batch, tf.constant(0), last=last)
        assert not broken
    return [weight.numpy() for weight in model.weights]


def caffe(recipe: Recipe, name: str) -> list[np.ndarray]:
    """SGDSolver of BVLC/caffe in float64: accumulate, normalize, regularize, momentum, update."""
    weights = [w.astype("float64") for w in one_layer(name).get_weights()]
    # lr_mult and decay_mult of the layer's biases, as the authors' definitions have them.
    of_biases = {
        "plain": (1, 1),
        "undecayed": (1, 0),
        "doubled": (2, 0),
        "doubled-scores": (2, 0) if name == "score_fr" else (1, 1),
    }[recipe.biases]
    history = [np.zeros_like(w) for w in weights]
    for step, (batches, labels) in enumerate(zip(*examples(), strict=True)):
        diffs = [np.zeros_like(w) for w in weights]
        for images, truth in zip(batches, labels, strict=True):
            x = images.reshape(-1, 2) / 255
            scores = x @ weights[0][0, 0] + weights[1]
            gradient = np.exp(scores - scores.max(1, keepdims=True))
            gradient /= gradient.sum(1, keepdims=True)
            valid = truth.ravel() != 255
            gradient[valid, truth.ravel()[valid]] -= 1
            gradient[~valid] = 0
            gradient /= valid.sum() if recipe.reduction == "mean" else len(images)
            diffs[0] += (x.T @ gradient)[None, None]
            diffs[1] += gradient.sum(0)
        rate = recipe.learning_rate
        if recipe.schedule == "step":
            rate *= 0.1 ** (step // recipe.step_size)
        for index, (rate_multiplier, decay_multiplier) in enumerate([(1, 1), of_biases]):
            diff = diffs[index] / len(batches)
            diff += recipe.weight_decay * decay_multiplier * weights[index]
            history[index] = recipe.momentum * history[index] + rate * rate_multiplier * diff
            weights[index] -= history[index]
    return weights


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("score_fr", {}),
        ("score_fr", {"reduction": "sum", "learning_rate": 0.02}),
        ("score_fr", {"biases": "doubled-scores", "schedule": "constant", "step_size": 0}),
        ("fc7", {"biases": "doubled-scores"}),
        ("fc7", {"biases": "undecayed"}),
        ("score_fr", {"biases": "plain"}),
    ],
)
def test_twenty_steps_are_those_of_caffe(name, changes, replicas, mirrored):
    recipe = dataclasses.replace(RECIPE, **changes)
    strategy = mirrored if replicas == 2 else tf.distribute.get_strategy()
    start = one_layer(name).get_weights()
    ends = train(recipe, name, strategy), caffe(recipe, name)
    for ours, theirs, before in zip(*ends, start, strict=True):
        assert np.abs(theirs - before).max() > 0.1
        np.testing.assert_allclose(ours, theirs, atol=1e-6 * max(1, np.abs(theirs).max()))


def test_the_schedules():
    def rates(**changes) -> list[float]:
        optimizer = make_optimizer(dataclasses.replace(RECIPE, learning_rate=1.0, **changes))
        found = []
        for step in (0, 6, 7, 13, 14, 20):
            optimizer.iterations.assign(step)
            found.append(float(optimizer.learning_rate))
        return found

    constant = {"schedule": "constant", "step_size": 0}
    assert rates() == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert rates(**constant) == [1] * 6
    at = np.array([0, 6, 7, 13, 14, 20]) / 20
    cosine = constant | {"schedule": "cosine"}
    assert rates(**cosine) == pytest.approx(0.5 + 0.5 * np.cos(np.pi * at), abs=1e-6)
    polynomial = constant | {"schedule": "polynomial"}
    assert rates(**polynomial) == pytest.approx((1 - at) ** 0.9, abs=1e-6)


@pytest.mark.parametrize("biases", ["plain", "undecayed"])
def test_adamw_decays_biases_only_if_asked(biases):
    recipe = dataclasses.replace(RECIPE, optimizer="adamw", biases=biases)
    model, optimizer = one_layer("score"), make_optimizer(recipe)
    before = model.get_weights()
    optimizer.apply([tf.zeros(w.shape) for w in before], model.trainable_variables)
    kernel, bias = model.get_weights()
    shrunk = 1 - recipe.learning_rate * recipe.weight_decay
    np.testing.assert_allclose(kernel, before[0] * shrunk, rtol=1e-6)
    np.testing.assert_allclose(bias, before[1] * (shrunk if biases == "plain" else 1), rtol=1e-6)
