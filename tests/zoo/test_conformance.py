"""What holds for every model of the zoo, tested once over the table of toys."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports.formats.saved_model
import exports.formats.tflite
import zoo
from tests.support.toys import TOYS, build_toy, toy_images

NAMES = sorted(TOYS)
ROOT = pathlib.Path(__file__).parents[2]


def scores_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images))


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest score."""
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def test_every_model_has_a_toy():
    missing = sorted(set(zoo.list_models()) - set(TOYS))
    assert not missing, f"Add a toy of {missing} to tests/support/toys.py."
    assert set(TOYS) == set(zoo.list_models()), (
        "tests/support/toys.py holds a model that is not registered"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_class_wins_somewhere(name):
    """Without this the tests of class maps below could not fail."""
    class_map = scores_of(build_toy(name), toy_images(name)).argmax(-1)
    assert np.bincount(class_map.ravel(), minlength=4).min() > 0.01 * class_map.size


@pytest.mark.parametrize("name", NAMES)
def test_any_image_size(name):
    model = build_toy(name)
    for size in [(1, 1), (1, 9), (17, 2), (40, 33), (65, 64)]:
        scores = scores_of(model, toy_images(name, 1, size))
        assert scores.shape == (1, *size, 4)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()


def test_the_keras_file_opens_in_a_fresh_process(tmp_path, tolerance):
    for name in NAMES:
        build_toy(name).save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", toy_images(name))
    code = (
        "import pathlib, sys\n"
        "import keras, numpy\n"
        "import zoo\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    model = keras.saving.load_model(path)\n"
        "    scores = model(numpy.load(path.with_suffix('.npy')))\n"
        "    numpy.save(path.with_suffix('.scores.npy'), keras.ops.convert_to_numpy(scores))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    for name in NAMES:
        scores = scores_of(build_toy(name), toy_images(name))
        loaded = np.load(tmp_path / f"{name}.scores.npy")
        assert difference(loaded, scores) < tolerance.same, name


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name):
    model = build_toy(name)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(toy_images(name), training=True)))
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        if not (
            name == "deconvnet" and weight.path.endswith("bias") and "score" not in weight.path
        ):
            # Batch normalization takes away the mean, and with it the biases of DeconvNet.
            assert np.abs(gradient).max() > 0, weight.path


@contextlib.contextmanager
def policy(precision: str) -> Iterator[None]:
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision(name, precision, tolerance):
    expected = scores_of(build_toy(name), toy_images(name))
    with policy(f"mixed_{precision}"):
        model = build_toy(name)
    scores = scores_of(model, toy_images(name))
    assert scores.dtype == np.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    # On average: a rounding that turns a tie between two switches moves a whole feature.
    apart = np.abs(scores - expected).mean() / np.abs(expected).mean()
    assert 0 < apart < getattr(tolerance, precision)


@pytest.mark.parametrize("name", NAMES)
def test_two_replicas_give_the_numbers_of_one(name, tolerance, mirrored):
    images = toy_images(name)
    labels = scores_of(build_toy(name), images).argmax(-1)[:, ::-1].copy()

    def gradients(strategy: tf.distribute.Strategy) -> list[np.ndarray]:
        # float64: in float32 the sums of 10^5 values in batch normalization differ by 10^-3 with
        # their order, and a switch of DeconvNet that turns moves a whole feature.
        with strategy.scope(), policy("float64"):
            model = build_toy(name)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0  # each replica draws its own mask

        def replica_step(image, label):
            with tf.GradientTape() as tape:
                scores = model(image, training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label, scores)
                loss = tf.reduce_sum(losses) / labels.size
            return tape.gradient(loss, model.trainable_variables)

        @tf.function
        def step(batch):
            each = strategy.run(replica_step, args=batch)
            return [strategy.reduce("SUM", gradient, axis=None) for gradient in each]

        dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
        (batch,) = strategy.experimental_distribute_dataset(dataset)
        return [gradient.numpy() for gradient in step(batch)]

    one = gradients(tf.distribute.get_strategy())
    two = gradients(mirrored)
    assert any(np.abs(gradient).max() > 0 for gradient in one)
    for alone, together in zip(one, two, strict=True):
        assert np.abs(alone - together).max() <= tolerance.engine * np.abs(alone).max() + 1e-9


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_eager(name, jit_compile, tolerance):
    model = build_toy(name)
    images = toy_images(name)
    compiled = tf.function(model, jit_compile=jit_compile)(images)
    assert difference(compiled.numpy(), scores_of(model, images)) < tolerance.engine


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_gives_the_class_map(name, tmp_path):
    model = build_toy(name)
    images = toy_images(name)
    path = exports.formats.saved_model.export(model, tmp_path)
    served = tf.saved_model.load(path).signatures["serving_default"]
    class_map = served(image=tf.constant(images.astype("uint8")))["class_map"].numpy()
    np.testing.assert_array_equal(class_map, scores_of(model, images).argmax(-1))


@pytest.mark.parametrize("name", NAMES)
def test_the_tflite_file_gives_the_class_map(name, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = build_toy(name)
    images = toy_images(name, 1)
    path = exports.formats.tflite.export(model, tmp_path, size=images.shape[1:3])
    runner = Interpreter(str(path)).get_signature_runner()
    class_map = runner(image=images.astype("uint8"))["class_map"]
    assert class_map.dtype == np.int32
    # Another order of sums may turn a tie, and nothing else.
    scores = scores_of(model, images)
    chosen = np.take_along_axis(scores, class_map[..., None].astype(int), -1)[..., 0]
    assert (scores.max(-1) - chosen).max() < 1e-4 * np.abs(scores).max()
    assert (class_map == scores.argmax(-1)).mean() > 0.999


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_tensorflows_scores(backend, tmp_path, tolerance):
    if backend == "torch":
        pytest.importorskip("torch", reason="PyTorch comes with the extra `benchmarks`")
    for name in NAMES:
        build_toy(name).save_weights(tmp_path / f"{name}.weights.h5")
        np.save(tmp_path / f"{name}.npy", toy_images(name))
    code = (
        "import json, pathlib, sys\n"
        "import keras, numpy, zoo\n"
        "folder, toys = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])\n"
        "for name, options in toys.items():\n"
        "    weights = folder / f'{name}.weights.h5'\n"
        "    model = zoo.build(name, **options, weights=weights)\n"
        "    scores = model.predict_on_batch(numpy.load(folder / f'{name}.npy'))\n"
        "    numpy.save(folder / f'{name}.scores.npy', scores)\n"
        "print(keras.backend.backend())\n"
    )
    options = json.dumps({name: toy.options for name, toy in TOYS.items()})
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), options],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == backend
    for name in NAMES:
        other = np.load(tmp_path / f"{name}.scores.npy")
        expected = scores_of(build_toy(name), toy_images(name))
        assert difference(other, expected) < tolerance.engine, name
