"""An image of four channels, three of them reversed, composes with what runs a model."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.support.toys import TOYS, difference, scores_of

ROOT = pathlib.Path(__file__).parents[3]
IMAGE = {"channels": 4, "mean": (120, 110, 100, 7.5), "channel_order": (2, 1, 0, 3)}


@pytest.fixture
def model() -> keras.Model:
    """For red, green, blue and a depth; its weights are random, and so are its scores."""
    model = zoo.build("fcn32s", **TOYS["fcn32s"].options, **IMAGE)
    rng = np.random.default_rng(4)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (1, 40, 51, 4)).astype("float32")


def test_the_order_of_the_channels_matters_to_the_weights(model):
    """A net for the image in its own order has the same answers with kernels turned alike."""
    kept = IMAGE | {"channel_order": (0, 1, 2, 3)}
    plain = zoo.build("fcn32s", **TOYS["fcn32s"].options, **kept)
    weights = model.get_weights()
    weights[0] = weights[0][:, :, [2, 1, 0, 3]]
    plain.set_weights(weights)
    expected = scores_of(model, images())
    assert difference(scores_of(plain, images()), expected) < 1e-5
    plain.set_weights(model.get_weights())
    assert difference(scores_of(plain, images()), expected) > 1e-2


def test_it_compiles_and_comes_back_from_its_files(model, tmp_path, tolerance):
    expected = scores_of(model, images())
    compiled = tf.function(model, jit_compile=True)(images())
    assert difference(compiled.numpy(), expected) < tolerance.engine
    again = zoo.load(zoo.weights.save(model, tmp_path / "net.weights.h5"))
    assert again.spec == model.spec
    assert difference(scores_of(again, images()), expected) < tolerance.same
    model.save(tmp_path / "net.keras")
    np.save(tmp_path / "images.npy", images())
    code = (
        "import sys, keras, numpy, zoo\n"
        "model = keras.saving.load_model(sys.argv[1] + '/net.keras')\n"
        "scores = model(numpy.load(sys.argv[1] + '/images.npy'))\n"
        "numpy.save(sys.argv[1] + '/scores.npy', keras.ops.convert_to_numpy(scores))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    assert difference(np.load(tmp_path / "scores.npy"), expected) < tolerance.same
