"""Nets of several heads or inputs, with the dicts that they take and give."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.support.toys import OTHER_TOYS, OTHERS, difference, dtype_policy, toy_images, whole_toy

ROOT = pathlib.Path(__file__).parents[3]


def taken(name: str) -> np.ndarray | dict[str, np.ndarray]:
    """The toy images as the model takes them."""
    images = toy_images(name)
    if name != "fcn32s_late_fusion":
        return images
    return {"color": images[..., :3], "hha": images[..., 3:]}


def answers(model: keras.Model, name: str) -> dict[str, np.ndarray]:
    """The scores by the head; of a net with one head by no name."""
    given = model(taken(name))
    given = given if isinstance(given, dict) else {"": given}
    return {head: keras.ops.convert_to_numpy(scores) for head, scores in given.items()}


def check_same(found: dict, expected: dict, tolerance: float) -> None:
    assert list(found) == list(expected)
    for head, scores in expected.items():
        assert difference(found[head], scores) < tolerance, head


@pytest.mark.parametrize("name", OTHERS)
def test_the_card_names_heads_and_inputs(name):
    card, model = zoo.describe(name), whole_toy(name)
    assert (tuple(model.output) if isinstance(model.output, dict) else ()) == card.heads
    assert (tuple(model.input) if isinstance(model.input, dict) else ()) == card.inputs
    assert model.spec.heads == card.heads == tuple(OTHER_TOYS[name].heads)
    found = answers(model, name)
    for scores in found.values():
        assert scores.shape[1:3] == OTHER_TOYS[name].size
        won = np.bincount(scores.argmax(-1).ravel(), minlength=scores.shape[-1])
        assert won.min() > 0.01 * won.sum()
    assert {head: scores.shape[-1] for head, scores in found.items()} == (
        {"semantic": 4, "geometric": 3} if card.heads else {"": 4}
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_compiled_equals_eager(name, jit_compile, tolerance):
    model = whole_toy(name)
    compiled = tf.function(model, jit_compile=jit_compile)(taken(name))
    compiled = compiled if isinstance(compiled, dict) else {"": compiled}
    found = {head: scores.numpy() for head, scores in compiled.items()}
    check_same(found, answers(model, name), tolerance.engine)


@pytest.mark.parametrize("name", OTHERS)
def test_half_precision_gives_float32_scores(name, tolerance):
    expected = answers(whole_toy(name), name)
    with dtype_policy("mixed_bfloat16"):
        model = whole_toy(name)
    for head, scores in answers(model, name).items():
        assert scores.dtype == np.float32
        apart = np.abs(scores - expected[head]).mean() / np.abs(expected[head]).mean()
        assert 0 < apart < tolerance.bfloat16


def test_they_come_back_from_their_files(tmp_path, tolerance):
    """Weights with their Spec, and the whole model in a fresh process."""
    for name in OTHERS:
        model = whole_toy(name)
        again = zoo.load(zoo.weights.save(model, tmp_path / f"{name}.weights.h5"))
        assert again.spec == model.spec
        check_same(answers(again, name), answers(model, name), tolerance.same)
        model.save(tmp_path / f"{name}.keras")
        images = taken(name)
        np.savez(tmp_path / f"{name}.npz", **(images if isinstance(images, dict) else {"": images}))
    code = (
        "import pathlib, sys, keras, numpy, zoo\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    model = keras.saving.load_model(path)\n"
        "    images = dict(numpy.load(path.with_suffix('.npz')))\n"
        "    given = model(images.get('', images))\n"
        "    given = given if isinstance(given, dict) else {'': given}\n"
        "    scores = {head: keras.ops.convert_to_numpy(x) for head, x in given.items()}\n"
        "    numpy.savez(path.with_suffix('.scores.npz'), **scores)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    for name in OTHERS:
        found = dict(np.load(tmp_path / f"{name}.scores.npz"))
        expected = answers(whole_toy(name), name)
        check_same({head: found[head] for head in expected}, expected, tolerance.same)


@pytest.mark.parametrize("name", ["fcn8s_two_heads", "fcn32s_late_fusion"])
def test_keras_fits_them_with_a_loss_for_each_head(name):
    model = whole_toy(name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0  # its noise would hide in so few steps what is learned
    # Not the model's own answers, whose loss is all but zero.
    labels = {head: scores.argmax(-1)[:, ::-1] for head, scores in answers(model, name).items()}
    labels = labels.get("", labels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    heads = zoo.describe(name).heads
    losses = dict.fromkeys(heads, loss) if heads else loss
    # XLA would compile for longer than this trains.
    model.compile(keras.optimizers.Adam(1e-4), losses, jit_compile=False)
    told = model.fit(taken(name), labels, epochs=12, verbose=0).history
    assert told["loss"][-1] < 0.95 * told["loss"][0]
    if heads:
        apart = sum(told[f"{head}_loss"][0] for head in heads)
        assert told["loss"][0] == pytest.approx(apart, rel=1e-3)  # both count alike


@pytest.mark.parametrize("name", ["fcn32s_two_heads", "fcn16s_two_heads", "fcn8s_two_heads"])
def test_every_weight_of_both_heads_learns(name):
    model = whole_toy(name)
    with tf.GradientTape() as tape:
        given = model(taken(name), training=True)
        loss = sum(tf.reduce_mean(tf.square(scores)) for scores in given.values())
    gradients = tape.gradient(loss, model.trainable_weights)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert np.abs(gradient).max() > 0, weight.path
