"""The fast copy of a model has its scores; to be trained, its weights and gradients, too."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.support.toys import (
    ALL,
    ALL_TOYS,
    OTHERS,
    build_toy,
    difference,
    dtype_policy,
    scores_of,
    toy_images,
    whole_toy,
)
from zoo import fast_copy
from zoo.spec import Spec


@pytest.fixture
def always(monkeypatch):
    """Fast forms in toys, too, whose layers are too narrow to gain by them."""
    monkeypatch.setattr(fast_copy, "LEAST_GAIN", 0)


def count(model: keras.Model, kind: str) -> int:
    return sum(type(layer).__name__ == kind for layer in model.layers)


@pytest.mark.parametrize("name", ALL)
def test_the_copy_of_every_model_gives_its_scores(name, always, tolerance):
    model = build_toy(name)
    copy = zoo.faster(model)
    assert count(copy, "PreparedConv2D") >= 3
    height, width = ALL_TOYS[name].size
    for size in ((height, width), (height + 8, width - 1)):
        images = toy_images(name, size=size)
        expected, found = scores_of(model, images), scores_of(copy, images)
        assert difference(found, expected) < tolerance.engine
    assert len(np.unique(expected.argmax(-1))) > 1


@pytest.mark.parametrize("name", ["deconvnet", "segnet"])
def test_what_gives_switches_is_fast_where_asked_for(name, always):
    model = build_toy(name)
    kept, copy = zoo.faster(model), zoo.faster(model, keep_switches=False)
    assert count(copy, "PreparedConv2D") == count(kept, "PreparedConv2D") + 13
    images = toy_images(name)
    same = scores_of(copy, images).argmax(-1) == scores_of(model, images).argmax(-1)
    # At its border SegNet's toy sees flat zeros, where each rounding chooses other maxima.
    assert np.mean(same) >= (0.9999 if name == "deconvnet" else 0.99)


@pytest.mark.parametrize("name", OTHERS)
def test_heads_and_inputs_stay(name, always):
    model = whole_toy(name)
    copy = zoo.faster(model)
    assert copy.output_names == model.output_names
    assert keras.tree.map_structure(lambda x: x.shape, copy.input) == keras.tree.map_structure(
        lambda x: x.shape, model.input
    )


@pytest.mark.parametrize("name", ["deconvnet", "fcn8s", "fcn_alexnet", "segnet", "unet"])
def test_a_copy_to_train_shares_the_weights_and_has_the_gradients(name, always, tolerance):
    model = build_toy(name)
    copy = zoo.faster(model, trainable=True)
    assert copy.name == model.name
    assert [*map(id, copy.weights)] == [*map(id, model.weights)]
    assert [*map(id, copy.trainable_weights)] == [*map(id, model.trainable_weights)]
    forms = ("WinogradConv2D", "WinogradConv2DTranspose")
    assert sum(count(copy, form) for form in forms) >= 3
    images = tf.constant(toy_images(name))
    gradients = []
    for one in (model, copy):
        with tf.GradientTape() as tape:
            scores = one(images, training=False)
            loss = tf.reduce_mean(tf.nn.log_softmax(scores)[..., 0] ** 2)
        gradients.append(tape.gradient(loss, one.trainable_variables))
    for expected, found in zip(*gradients, strict=True):
        assert difference(found.numpy(), expected.numpy()) < 10 * tolerance.engine


@pytest.mark.parametrize("trunk", ["vgg16", "vgg19"])
@pytest.mark.parametrize("size", [(1, 1), (33, 36), (64, 67), (95, 160)])
def test_the_constant_part_of_the_padding_is_repeated_to_the_bit(trunk, size):
    """In whole numbers: how an engine rounds sums may depend on the size of the map.

    A quarter of the weights are 1 or -1, so that no sum up to the third ring is near 2⁵³. Behind it
    the sizes are the same.
    """
    options = ALL_TOYS["fcn8s"].options | {"trunk": trunk, "mean": (104, 117, 123)}
    with dtype_policy("float64"):
        model = zoo.build("fcn8s", **options)
        rng = np.random.default_rng(0)
        kernels = [rng.choice([-1, 0, 1], x.shape, p=[0.1, 0.75, 0.15]) for x in model.weights]
        model.set_weights([x if x.ndim > 1 else rng.integers(1, 4, x.shape) for x in kernels])
        copy = zoo.faster(model)
        assert count(copy, "RepeatNearBorder") == 3
        images = rng.integers(0, 256, (1, *size, 3)).astype("float64")
        found, expected = (one(images).numpy() for one in (copy, model))
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(found, expected)


def padded(convolutions: int, window: int = 3) -> keras.Model:
    """Padding by 100 and three stages, the last of so many convolutions."""
    x = image = keras.Input((None, None, 3))
    x = keras.layers.ZeroPadding2D(100)(x)
    for stage in (2, 2, convolutions):
        for index in range(stage):
            first = stage == 2 and index == 0 and x.shape[-1] == 3
            x = keras.layers.Conv2D(4, window, padding="valid" if first else "same")(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(("convolutions", "window", "rings"), [(4, 3, 3), (5, 3, 0), (3, 5, 0)])
def test_only_stages_in_which_rows_are_equal_are_repeated(convolutions, window, rings):
    model = padded(convolutions, window)
    copy = zoo.faster(model)
    assert count(copy, "RepeatNearBorder") == rings
    image = np.random.default_rng(0).uniform(0, 255, (1, 40, 50, 3)).astype("float32")
    np.testing.assert_allclose(scores_of(copy, image), scores_of(model, image), rtol=1e-5)


def test_normalizations_become_part_of_the_kernels():
    for name in ("deconvnet", "segnet"):
        assert count(build_toy(name), "BatchNormalization") > 20
        assert count(zoo.faster(build_toy(name)), "BatchNormalization") == 0


def test_a_normalization_of_what_others_take_too_stays(tolerance):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    y = keras.layers.BatchNormalization(beta_initializer="ones")(x)
    model = keras.Model(image, keras.layers.Add()([x, y]))
    copy = zoo.faster(model)
    assert count(copy, "BatchNormalization") == 1
    images = toy_images("unet")
    assert difference(scores_of(copy, images), scores_of(model, images)) < tolerance.same


def test_a_layer_that_is_called_twice_stays_one(always, tolerance):
    image = keras.Input((None, None, 4))
    layer = keras.layers.Conv2D(4, 3, padding="same")
    model = keras.Model(image, keras.layers.BatchNormalization()(layer(layer(image))))
    copy = zoo.faster(model)
    assert (count(copy, "PreparedConv2D"), count(copy, "BatchNormalization")) == (1, 1)
    images = np.random.default_rng(0).normal(size=(1, 9, 8, 4)).astype("float32")
    assert difference(scores_of(copy, images), scores_of(model, images)) < tolerance.same


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Conv2D", {"strides": 2}),
        ("Conv2D", {"dilation_rate": 2, "padding": "same"}),
        ("Conv2D", {"kernel_size": (3, 5)}),
        ("Conv2D", {"kernel_size": 6, "groups": 2, "use_bias": False}),
        ("Conv2D", {"kernel_size": 1, "activation": "relu"}),
        ("Conv2D", {"kernel_size": 9}),
        ("Conv2DTranspose", {"strides": 2}),
        ("Conv2DTranspose", {"kernel_size": 7, "use_bias": False}),
        ("Conv2DTranspose", {"kernel_size": 2, "padding": "same"}),
        ("Conv2DTranspose", {"kernel_size": 5, "padding": "same", "activation": "tanh"}),
        ("Conv2DTranspose", {"kernel_size": 3}),
    ],
)
def test_any_convolution_and_its_normalization(kind, options, trainable, always, tolerance):
    image = keras.Input((None, None, 4))
    options = {"filters": 6, "kernel_size": 3, "bias_initializer": "normal"} | options
    x = getattr(keras.layers, kind)(**options)(image)
    x = keras.layers.BatchNormalization(
        gamma_initializer=keras.initializers.RandomUniform(0.5, 2, seed=0),
        moving_mean_initializer=keras.initializers.RandomNormal(seed=1),
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2, seed=2),
    )(x)
    model = keras.Model(image, x)
    images = np.random.default_rng(0).normal(size=(2, 11, 14, 4)).astype("float32")
    copy = zoo.faster(model, trainable=trainable)
    assert difference(scores_of(copy, images), scores_of(model, images)) < tolerance.engine


@pytest.mark.parametrize(
    ("channels", "filters", "window", "tile", "gains"),
    [
        (3, 64, 3, None, False),
        (64, 64, 3, None, False),
        (64, 128, 3, None, False),
        (128, 128, 3, None, True),
        (64, 128, 3, 6, False),
        (128, 128, 3, 6, True),
        (512, 512, 3, None, True),
        (64, 64, 7, None, False),
        (256, 256, 6, None, True),
        (1024, 1024, 1, None, False),
        (4096, 4096, 1, None, True),
    ],
)
def test_the_shape_of_a_layer_decides(channels, filters, window, tile, gains):
    layer = keras.layers.Conv2D(filters, window)
    layer.build((None, None, None, channels))
    assert fast_copy._gains(layer, tile) is gains


def test_less_has_to_be_gained_where_a_model_is_trained():
    image = keras.Input((None, None, 64))
    model = keras.Model(image, keras.layers.Conv2D(128, 3)(image))
    assert count(zoo.faster(model), "Conv2D") == 1
    assert count(zoo.faster(model, trainable=True), "WinogradConv2D") == 1


def hourglass(window: int, between: int, pool: int | None) -> keras.Model:
    """A window of 7 × 7 that a transposed one takes back, behind another convolution."""
    image = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(8, 7, name="down")(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.MaxPooling2D(pool)(x) if pool else x
    x = keras.layers.Conv2D(8, between, padding="same", name="between")(x)
    return keras.Model(image, keras.layers.Conv2DTranspose(4, window, name="up")(x))


@pytest.mark.parametrize(
    ("window", "between", "pool", "down"),
    [
        (7, 1, None, "ProductConv2D"),
        (6, 1, None, "PreparedConv2D"),
        (7, 3, None, "PreparedConv2D"),
        (7, 1, 2, "PreparedConv2D"),
    ],
)
def test_a_large_window_that_is_undone_is_a_product(window, between, pool, down, always, tolerance):
    model = hourglass(window, between, pool)
    copy = zoo.faster(model)
    assert type(copy.get_layer("down")).__name__ == down
    assert type(copy.get_layer("up")).__name__ == "ProductConv2DTranspose"
    images = np.random.default_rng(0).normal(size=(2, 9, 11, 4)).astype("float32")
    assert difference(scores_of(copy, images), scores_of(model, images)) < tolerance.engine


def test_deconvnet_s_fc6_is_a_product_and_fc7_one_of_its_pixels(monkeypatch):
    monkeypatch.setattr(fast_copy, "LEAST_GAIN", 0)
    monkeypatch.setattr(fast_copy, "WIDE", 1)
    copy = zoo.faster(build_toy("deconvnet"))
    assert type(copy.get_layer("fc6")).__name__ == "ProductConv2D"
    assert type(copy.get_layer("fc7")).__name__ == "ProductConv2D"
    assert type(zoo.faster(build_toy("fcn8s")).get_layer("fc6")).__name__ == "PreparedConv2D"


def test_what_gives_switches_has_small_tiles(always):
    copy = zoo.faster(build_toy("deconvnet"), keep_switches=False)
    assert {copy.get_layer(f"conv{stage}_2").tile for stage in (1, 2, 3, 4, 5)} == {6}
    assert copy.get_layer("deconv4_1").tile is None
    trained = zoo.faster(build_toy("deconvnet"), trainable=True, keep_switches=False)
    assert type(trained.get_layer("conv4_2")) is keras.layers.Conv2D


def test_in_half_precision_nothing_changes(always):
    with dtype_policy("mixed_float16"):
        model = build_toy("fcn8s")
        copy = zoo.faster(model)
    assert count(copy, "PreparedConv2D") == 0
    images = toy_images("fcn8s")
    np.testing.assert_array_equal(scores_of(copy, images), scores_of(model, images))


def test_a_model_in_float32_stays_so_whatever_the_policy_is_now(always, tolerance):
    model = build_toy("fcn8s")
    with dtype_policy("mixed_float16"):
        copy = zoo.faster(model)
    assert count(copy, "PreparedConv2D") > 10
    images = toy_images("fcn8s")
    assert difference(scores_of(copy, images), scores_of(model, images)) < tolerance.engine


def test_the_spec_goes_along_and_the_copy_has_weights_of_its_own():
    model = build_toy("unet")
    model.spec = Spec("unet", {"classes": 4})
    copy = zoo.faster(model)
    assert copy.spec == model.spec
    before = scores_of(copy, toy_images("unet"))
    for variable in model.variables:
        variable.assign(variable * 0)
    np.testing.assert_array_equal(scores_of(copy, toy_images("unet")), before)


def test_a_sequential_and_a_model_within_a_model(always, tolerance):
    inner = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, bias_initializer="ones")]
    )
    image = keras.Input((None, None, 3))
    outer = keras.Model(image, keras.layers.ReLU()(inner(image)))
    images = toy_images("unet")
    inner.spec = outer.spec = Spec("unet", {"classes": 4})
    for model, prepared in ((inner, 1), (outer, 0)):
        copy = zoo.faster(model)
        assert copy.spec == model.spec
        assert count(copy, "PreparedConv2D") == prepared
        assert difference(scores_of(copy, images), scores_of(model, images)) < tolerance.same


def test_a_layer_of_a_local_function_is_taken_as_it_is(always):
    image = keras.Input((None, None, 3))
    x = keras.layers.Lambda(lambda x: x * 2, output_shape=lambda shape: shape)(image)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, bias_initializer="ones")(x))
    copy = zoo.faster(model)
    assert count(copy, "PreparedConv2D") == 1
    images = toy_images("unet")
    assert difference(scores_of(copy, images), scores_of(model, images)) < 1e-4


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"functional model; received Own\. Build it with keras"):
        zoo.faster(Own())


def test_the_copy_can_be_saved_and_loaded(always, tmp_path):
    copy = zoo.faster(build_toy("fcn8s"))
    copy.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    images = toy_images("fcn8s")
    np.testing.assert_array_equal(scores_of(loaded, images), scores_of(copy, images))
