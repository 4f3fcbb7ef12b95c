"""float16: every net trains in it, and a gradient that overflows changes no weight."""

import dataclasses
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from recipes.data.sets import shapes
from recipes.training import loss_scale, losses, train
from recipes.training.checkpoints import State
from recipes.training.loss_scale import LossScale
from recipes.training.recipe import Recipe, RunError
from recipes.training.step import make_optimizer, make_step
from tests.support.toys import ALL, build_toy, dtype_policy, toy_images
from zoo import workdir

RECIPE = Recipe(
    name="shapes_unet",
    model="unet",
    data="shapes",
    steps=3,
    batch_size=2,
    crop=16,
    context=False,  # the images here are the crops, with nothing around them
    optimizer="sgd",
    learning_rate=1e-3,
    precision="mixed_float16",
    deterministic=False,
)
SEGMENTERS = [name for name in ALL if zoo.describe(name).task == "segmentation"]
ONE = tf.distribute.get_strategy()


def state_of(recipe, *, strategy=ONE, first=loss_scale.FIRST):
    """The state before the first step of a toy without dropout."""
    with strategy.scope(), dtype_policy(recipe.precision):
        model = build_toy(recipe.model)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0
        optimizer = make_optimizer(recipe)
        optimizer.build(model.trainable_variables)
    if recipe.precision == "float32":
        return State(model, optimizer)
    return State(model, optimizer, loss_scale=LossScale(value=tf.Variable(first)))


def examples(name, count=2):
    images = toy_images(name, count, (16, 16)).astype("uint8")
    return images, (images[..., 0] // 64).astype("uint8")


def take_steps(recipe, state, images, labels, *, strategy=ONE):
    """The losses of the recipe's steps, all on the same batch; the run can go on from each."""
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(len(images))
    distributed = strategy.experimental_distribute_dataset(data)
    (batch,) = distributed
    step = make_step(recipe, state, strategy, distributed.element_spec)
    losses = []
    for number in range(recipe.steps * recipe.accumulate):
        loss, broken, _ = step(batch, tf.constant(0), last=(number + 1) % recipe.accumulate == 0)
        assert not broken
        losses.append(float(loss))
    return losses


def copies(state):
    """The weights, momenta and counters on each replica."""
    variables = [*state.model.trainable_variables, *state.optimizer.variables]
    by_variable = [ONE.experimental_local_results(variable.value) for variable in variables]
    return [[one.numpy() for one in values] for values in by_variable]


def scale_of(state):
    return [variable.numpy() for variable in state.loss_scale.variables()]


@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_net_trains_in_float16(name):
    recipe = dataclasses.replace(RECIPE, model=name)
    state = state_of(recipe, first=2.0)  # toys have large gradients: no step is left out
    before = copies(state)
    losses = take_steps(recipe, state, *examples(name, 1))
    assert np.isfinite(losses).all()
    assert scale_of(state) == [2, 3]
    after = copies(state)
    assert all(np.isfinite(new).all() for (new,) in after)
    assert any(not np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_small_gradients_are_those_of_float32():
    """Divided by so many images they are below float16's smallest number."""
    recipe = dataclasses.replace(RECIPE, steps=1, reduction="sum", batch_size=2**26)
    images, labels = examples("unet")

    def momenta(precision, first=1.0):
        one = dataclasses.replace(recipe, precision=precision)
        state = state_of(one, first=first)
        take_steps(one, state, images, labels)
        return np.concatenate([x.numpy().ravel() for x in state.optimizer.variables[2:]])

    expected = momenta("float32")
    for first, lost in ((1.0, True), (loss_scale.FIRST, False)):
        off = np.abs(momenta("mixed_float16", first) - expected).sum() / np.abs(expected).sum()
        assert off > 0.5 if lost else 0 < off < 0.02


@pytest.mark.parametrize("accumulate", [1, 2])
def test_where_one_replica_overflows_none_changes(accumulate, mirrored):
    """The image of the first one is void: its gradient is 0 at any scale."""
    images, labels = examples("unet")
    labels[0] = 255
    recipe = dataclasses.replace(RECIPE, steps=1, accumulate=accumulate)
    state = state_of(recipe, strategy=mirrored, first=2.0**40)
    before = copies(state)
    (loss, *_) = take_steps(recipe, state, images, labels, strategy=mirrored)
    assert np.isfinite(loss)
    for old, new in zip(before, copies(state), strict=True):
        assert len(new) in (1, 2)
        for copy in new:
            np.testing.assert_array_equal(copy, old[0])
    assert scale_of(state) == [2.0**39, 0]


@pytest.mark.parametrize("strategy", ["one", "mirrored"])
def test_the_scale_falls_until_gradients_fit_and_grows_again(strategy, mirrored, monkeypatch):
    monkeypatch.setattr(loss_scale, "GROWS_AFTER", 2)
    strategy = mirrored if strategy == "mirrored" else ONE
    recipe = dataclasses.replace(RECIPE, steps=42, learning_rate=1e-9)
    state = state_of(recipe, strategy=strategy, first=2.0**50)
    take_steps(recipe, state, *examples("unet"), strategy=strategy)
    scale, _ = scale_of(state)
    done = int(state.optimizer.iterations.numpy())
    left_out = recipe.steps - done
    assert 30 < left_out < 40
    assert np.log2(scale) == 50 - left_out + done // 2
    kernels = copies(state)[0]
    assert all(np.array_equal(kernel, kernels[0]) for kernel in kernels)


def test_a_scale_below_1_ends_the_run(tmp_path, monkeypatch):
    """A gradient that overflows at any scale, under a loss that is finite."""
    monkeypatch.setattr(loss_scale, "FIRST", 4.0)
    summed_loss = losses.summed_loss

    @tf.custom_gradient
    def steep(loss):
        return loss, lambda upstream: upstream * np.float32(np.inf)

    monkeypatch.setattr(losses, "summed_loss", lambda *given: steep(summed_loss(*given)))
    shapes.write(tmp_path / "data/shapes", train=2, val=1)
    recipe = dataclasses.replace(
        RECIPE, steps=9, save_every=1, options={"filters": 2, "depth": 1}, deterministic=True
    )
    with pytest.raises(RunError) as error:
        train.train(recipe, tmp_path / "run", data_dir=tmp_path / "data")
    assert re.fullmatch(
        r"Step 3: the loss is \S+, and its gradient overflows float16 even at the loss scale 1, "
        r"which was halved down to it step by step\. Nothing of this step was saved\. That of step "
        r"2 is intact\. Pass --precision mixed_bfloat16 or float32, or a --learning-rate below "
        r"0\.001, and a new --workdir\.",
        str(error.value),
    )
    assert workdir.steps(tmp_path / "run") == [2, 1, 0]
