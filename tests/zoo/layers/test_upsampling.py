"""Bilinear up-sampling against the dense deconvolution, its learned form, and the aligning crop."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import references
from zoo.layers import BilinearUpsampling, CropLike, bilinear_kernel

SIDES = st.integers(1, 6)
FACTORS = st.integers(1, 9).flatmap(
    lambda factor: st.tuples(st.just(factor), st.integers(factor, 2 * factor))
)
# Factor and kernel size of every up-sampling in the FCN nets.
FCN = [(32, 64), (32, 63), (16, 32), (8, 16), (2, 4)]


def scores(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("size", range(1, 66))
def test_the_kernel_is_the_authors(size):
    np.testing.assert_allclose(bilinear_kernel(size), references.bilinear_kernel(size), atol=1e-7)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(n=st.integers(1, 2), height=SIDES, width=SIDES, channels=st.integers(1, 3), sizes=FACTORS)
def test_the_cheap_form_is_the_dense_deconvolution(n, height, width, channels, sizes):
    factor, kernel_size = sizes
    x = scores(n, height, width, channels)
    expected = references.deconvolve(x, factor=factor, kernel_size=kernel_size)
    np.testing.assert_allclose(BilinearUpsampling(factor, kernel_size)(x), expected, atol=2e-6)


@pytest.mark.parametrize(("factor", "kernel_size"), FCN)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3), (16, 17)])
def test_the_upsamplings_of_the_fcn_nets(factor, kernel_size, size):
    x = scores(1, *size, 3)
    expected = references.deconvolve(x, factor=factor, kernel_size=kernel_size)
    upsampled = BilinearUpsampling(factor, kernel_size)(x)
    np.testing.assert_allclose(upsampled, expected, atol=2e-6)
    dense = np.eye(3)[None, None] * bilinear_kernel(kernel_size)[:, :, None, None]
    deconvolution = tf.nn.conv2d_transpose(x, dense, expected.shape, factor, "VALID")
    np.testing.assert_allclose(upsampled, deconvolution, atol=2e-6)


def test_the_default_kernel_is_twice_the_factor():
    assert BilinearUpsampling(8).kernel_size == 16
    assert BilinearUpsampling(8)(scores(1, 16, 3, 2)).shape == (1, 136, 32, 2)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(height=SIDES, width=SIDES, channels=st.integers(1, 3), sizes=FACTORS)
def test_the_learned_form_starts_as_the_fixed_one(height, width, channels, sizes):
    x = scores(2, height, width, channels)
    learned = BilinearUpsampling(*sizes, learned=True)
    np.testing.assert_allclose(learned(x), BilinearUpsampling(*sizes)(x), atol=2e-6)
    assert learned.kernel.shape == (sizes[1], sizes[1], channels, channels)


def test_the_learned_kernel_mixes_classes_as_output_by_input():
    learned = BilinearUpsampling(2, learned=True)
    x = scores(1, 3, 3, 2)
    learned(x)
    kernel = np.zeros((4, 4, 2, 2), "float32")
    kernel[:, :, 1, 0] = 1  # the second output is a sum of the first input
    learned.kernel.assign(kernel)
    upsampled = learned(x).numpy()
    assert not upsampled[..., 0].any()
    assert upsampled[0, 0, 0, 1] == pytest.approx(x[0, 0, 0, 0])


def test_learning_changes_the_learned_form_only():
    def trained(layer: BilinearUpsampling) -> keras.Model:
        image = keras.Input((None, None, 2))
        x = keras.layers.Conv2D(2, 1, name="score")(image)
        model = keras.Model(image, layer(x))
        model.compile("sgd", "mse")
        model.fit(scores(1, 3, 3, 2), np.ones((1, 8, 8, 2)), verbose=0)
        return model

    assert len(trained(BilinearUpsampling(2)).weights) == 2
    learned = BilinearUpsampling(2, learned=True)
    model = trained(learned)
    assert len(model.trainable_weights) == 3
    start = np.eye(2)[None, None] * bilinear_kernel(4)[:, :, None, None]
    assert np.abs(learned.kernel.numpy() - start).max() > 1e-4


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("trainable", [False, True])
def test_freezing_and_thawing_a_model_does_not_change_the_form(learned, trainable, tmp_path):
    image = keras.Input((None, None, 2))
    model = keras.Model(image, BilinearUpsampling(2, learned=learned, name="up")(image))
    model.trainable = trainable
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("up").get_config() == model.get_layer("up").get_config()
    assert loaded.get_layer("up").learned == learned
    assert loaded.get_layer("up").trainable == trainable
    assert len(loaded.weights) == learned
    assert len(loaded.trainable_weights) == (learned and trainable)
    x = scores(1, 3, 3, 2)
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize(("factor", "kernel_size"), [(0, None), (4, 3), (4, 9), (-2, -3)])
def test_a_wrong_kernel_size_is_an_error(factor, kernel_size):
    with pytest.raises(
        ValueError,
        match=rf"a kernel_size from factor to 2 \* factor; received factor {factor} and "
        rf"kernel_size .*\. Leave kernel_size out",
    ):
        BilinearUpsampling(factor, kernel_size)


def test_the_fixed_form_has_no_bias():
    with pytest.raises(ValueError, match=r"received use_bias=True. Pass learned=True too"):
        BilinearUpsampling(2, use_bias=True)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    size=st.tuples(SIDES, SIDES),
    offset=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    rest=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_the_crop_begins_at_its_offset(size, offset, rest):
    x = scores(2, *(sum(part) for part in zip(size, offset, rest, strict=True)), 3)
    like = scores(2, *size, 1)
    np.testing.assert_array_equal(CropLike(offset)(x, like), references.crop_like(x, like, offset))


def test_one_offset_holds_for_rows_and_columns():
    x = scores(1, 9, 9, 1)
    np.testing.assert_array_equal(CropLike(2)(x, x[:, :4, :5]), x[:, 2:6, 2:7])
    np.testing.assert_array_equal(CropLike()(x, x[:, :4, :5]), x[:, :4, :5])


def test_a_crop_that_does_not_fit_is_an_error():
    x = scores(1, 9, 12, 2)
    with pytest.raises(
        ValueError,
        match=r"offset 5 and a height of 5 need a height of 10 or more; received 9\. Choose an "
        r"offset of at most 4\.",
    ):
        CropLike(5)(x, x[:, :5, :5])
    with pytest.raises(ValueError, match=r"offset 8 and a width of 5 need a width of 13"):
        CropLike((4, 8))(x, x[:, :5, :5])
    with pytest.raises(ValueError, match=r"a width of 12 to crop to 13\. Pass a larger tensor"):
        CropLike(0)(x, scores(1, 9, 13, 2))
    with pytest.raises(ValueError, match="need a width of 13"):
        CropLike(8)(keras.Input((None, 12, 2)), keras.Input((None, 5, 2)))


@pytest.mark.parametrize("offset", [-1, (1, -1), (1, 2, 3)])
def test_a_wrong_offset_is_an_error(offset):
    with pytest.raises(ValueError, match=r"or a pair \(top, left\); received "):
        CropLike(offset)
