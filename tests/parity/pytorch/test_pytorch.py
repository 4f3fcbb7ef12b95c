"""DeconvNet, SegNet, the U-Nets and the nets of the lecture beside nets written in PyTorch.

Their answers stand in a recorded file.
"""

import functools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.parity.pytorch import formula
from tests.parity.pytorch.cases import CASES, CLASSES, SCORES, TOLERANCE, UNDECIDED, places

FOLDER = pathlib.Path(__file__).parent
GOLDEN = FOLDER / "golden.npz"
HOW = (
    "{} is not what PyTorch answered. If the cases or the formula were changed, record again, in "
    "an environment with tests/parity/pytorch/requirements.txt:\n"
    "    python tests/parity/pytorch/record.py"
)
ROLES = {
    "gamma": "scale",
    "beta": "shift",
    "moving_mean": "mean",
    "moving_variance": "variance",
}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return dict(file)


@functools.cache
def filled(name: str, options: tuple, precision: str) -> keras.Model:
    """The zoo's model with the formula's parameters."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = zoo.build(name, **dict(options))
    finally:
        keras.config.set_dtype_policy(before)
    for layer in model.layers:
        for variable in layer.weights:
            shape, role = tuple(variable.shape), ROLES.get(variable.name, variable.name)
            if role == "kernel":
                # Keras has [rows, columns, a, b] where PyTorch has [b, a, rows, columns].
                shape = (shape[3], shape[2], *shape[:2])
                value = formula.parameter(name, layer.name, role, shape).transpose(2, 3, 1, 0)
            else:
                value = formula.parameter(name, layer.name, role, shape)
            variable.assign(value)
    return model


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference relative to the largest value."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", CASES)
def test_scores_and_gradients_are_those_of_pytorch(name, golden):
    case = CASES[name]
    model = filled(case.model, tuple(case.options.items()), case.precision)
    images = tf.constant(formula.images(case.shape))
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = model(images, training=case.training)
        upstream = formula.uniform("upstream", scores.shape).astype("float32")
        loss = tf.reduce_sum(scores * upstream)
    scores, gradient = scores.numpy(), tape.gradient(loss, images).numpy()

    expected = {what: golden[f"{name}_{what}"] for what in ("class_map", "scores", "gradient")}
    decided = expected["class_map"] != UNDECIDED
    assert decided.mean() > 0.99
    assert len(np.unique(expected["class_map"][decided])) >= 3
    class_map = places(scores.argmax(-1), CLASSES)
    assert (class_map == expected["class_map"])[decided].all(), HOW.format(name)
    assert difference(places(scores, SCORES), expected["scores"]) < TOLERANCE, HOW.format(name)
    assert difference(places(gradient, SCORES), expected["gradient"]) < TOLERANCE, HOW.format(name)


def test_the_recorded_file_is_small():
    assert GOLDEN.stat().st_size < 100_000
