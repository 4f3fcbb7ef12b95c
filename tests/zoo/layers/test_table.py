"""What holds for every layer of the zoo, tested once over the layers' table."""

import contextlib
import importlib.util
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo.layers
from tests.support.layer_toys import LAYER_TOYS, layer_image, layer_model, outputs_of

ROOT = pathlib.Path(__file__).parents[3]
every_layer = pytest.mark.parametrize("name", LAYER_TOYS)


def assert_same(actual: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> None:
    assert [a.dtype for a in actual] == [e.dtype for e in expected]
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, atol=tolerance * np.abs(e).max())


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def test_every_layer_is_in_the_table():
    public = {name for name in zoo.layers.__all__ if name[0].isupper()}
    assert public == {name.split(",")[0] for name in LAYER_TOYS}


@every_layer
def test_known_and_unknown_sizes_have_the_shapes_that_are_announced(name):
    image = layer_image(name)
    known, unknown = layer_model(name, image.shape[1:3]), layer_model(name)
    expected = outputs_of(LAYER_TOYS[name].apply, image)
    for model in (known, unknown):
        assert_same(outputs_of(model, image), expected, 0)
        for announced, output in zip(model.outputs, expected, strict=True):
            assert announced.dtype == output.dtype
            assert len(announced.shape) == 4
            assert all(a in (None, o) for a, o in zip(announced.shape, output.shape, strict=True))
    assert [o.shape[1:] for o in known.outputs] == [e.shape[1:] for e in expected]


@every_layer
def test_the_keras_file_gives_the_same_layer(name, tmp_path):
    model = layer_model(name)
    model.save(tmp_path / "layer.keras")
    loaded = keras.saving.load_model(tmp_path / "layer.keras")
    assert [x.get_config() for x in loaded.layers] == [x.get_config() for x in model.layers]
    assert_same(outputs_of(loaded, layer_image(name)), outputs_of(model, layer_image(name)), 0)


@every_layer
def test_a_graph_of_unknown_sizes_gives_the_eager_values(name):
    model, image = layer_model(name), layer_image(name, 3)
    graph = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 4))])
    for part in (image, image[:1]):
        assert_same(outputs_of(graph, part), outputs_of(model, part), LAYER_TOYS[name].tolerance)


@every_layer
def test_xla_gives_the_eager_values_and_gradients(name):
    model = layer_model(name)

    def values_and_gradient(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            outputs = keras.tree.flatten(model(image))
            loss = tf.add_n([tf.reduce_sum(o**2) for o in outputs if o.dtype.is_floating])
        return [*outputs, tape.gradient(loss, image)]

    image = tf.constant(layer_image(name))
    compiled = tf.function(values_and_gradient, jit_compile=True)
    assert_same(
        outputs_of(compiled, image),
        outputs_of(values_and_gradient, image),
        LAYER_TOYS[name].tolerance,
    )


@every_layer
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision(name, half):
    image = layer_image(name)
    expected = outputs_of(LAYER_TOYS[name].apply, image)
    with dtype_policy(f"mixed_{half}"):
        outputs = LAYER_TOYS[name].apply(image)
    for output, reference in zip(keras.tree.flatten(outputs), expected, strict=True):
        exact = reference.dtype == np.int32
        assert output.dtype == ("int32" if exact else half)
        output = keras.ops.convert_to_numpy(keras.ops.cast(output, reference.dtype))
        assert output.shape == reference.shape
        # The values are steps of 1/128 up to 4: neighbours may fall together in bfloat16.
        np.testing.assert_allclose(output, reference, rtol=0.02, atol=0.02)


@every_layer
def test_gradients_are_finite_differences(name):
    rng = np.random.default_rng(0)
    image = tf.constant(layer_image(name), tf.float64)
    weights = [rng.normal(size=o.shape) for o in outputs_of(LAYER_TOYS[name].apply, image)]

    def loss(image):
        with dtype_policy("float64"):
            outputs = keras.tree.flatten(LAYER_TOYS[name].apply(image))
        weighted = zip(outputs, weights, strict=True)
        return tf.add_n([tf.reduce_sum(o * w) for o, w in weighted if o.dtype.is_floating])

    with tf.GradientTape() as tape:
        tape.watch(image)
        value = loss(image)
    gradient = tape.gradient(value, image)
    assert gradient.dtype == tf.float64
    assert np.abs(gradient).max() > 0.1
    step = 1e-4  # shorter than half the distance of two values, so that no maximum changes
    for _ in range(4):
        direction = rng.uniform(-1, 1, image.shape)
        difference = (loss(image + step * direction) - loss(image - step * direction)) / (2 * step)
        expected = tf.reduce_sum(gradient * direction)
        np.testing.assert_allclose(difference, expected, rtol=1e-6, atol=1e-6)


@every_layer
def test_tflite_built_ins_give_the_eager_values(name, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model, image = layer_model(name), layer_image(name)
    module = tf.Module()
    module.variables_of_the_model = [variable.value for variable in model.variables]
    module.answer = tf.function(
        lambda image: {f"output_{i}": o for i, o in enumerate(keras.tree.flatten(model(image)))},
        input_signature=[tf.TensorSpec((None, None, None, 4), name="image")],
    )
    tf.saved_model.save(module, tmp_path, signatures=module.answer)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    answer = Interpreter(model_content=converter.convert()).get_signature_runner()
    for part in (image, image[:1]):
        outputs = answer(image=part)
        assert_same(
            [outputs[f"output_{i}"] for i in range(len(outputs))],
            outputs_of(model, part),
            LAYER_TOYS[name].tolerance,
        )


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_give_tensorflows_values(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    program = (
        "import sys, numpy as np\n"
        "from tests.support.layer_toys import LAYER_TOYS, layer_image, layer_model, outputs_of\n"
        "for number, name in enumerate(LAYER_TOYS):\n"
        "    outputs = outputs_of(layer_model(name), layer_image(name))\n"
        "    np.savez(f'{sys.argv[1]}/{number}.npz', *outputs)\n"
    )
    # Keras 3.15 hands PyTorch tensors to NumPy 2 in a way that NumPy is about to drop.
    warnings = ["-W", "error", "-W", "ignore:__array__ implementation:DeprecationWarning"]
    subprocess.run(
        [sys.executable, *warnings, "-c", program, tmp_path],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=True,
    )
    for number, name in enumerate(LAYER_TOYS):
        with np.load(tmp_path / f"{number}.npz") as file:
            outputs = list(file.values())
        assert_same(
            outputs,
            outputs_of(LAYER_TOYS[name].apply, layer_image(name)),
            LAYER_TOYS[name].tolerance,
        )
