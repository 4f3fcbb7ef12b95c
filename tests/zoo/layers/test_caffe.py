"""Ceil-mode pooling and Caffe's local response normalization."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import references
from zoo.layers import CaffeMaxPooling, LocalResponseNormalization

WINDOWS = st.integers(1, 4).flatmap(lambda k: st.tuples(st.just(k), st.integers(1, k)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(4, 12), st.integers(4, 12)), window=WINDOWS, seed=st.integers(0, 99)
)
def test_ceil_mode_pooling_equals_its_double(size, window, seed):
    # Negative values, which a padding with zeros would beat.
    image = np.random.default_rng(seed).normal(-5, 1, (2, *size, 3)).astype("float32")
    pooling, expected = CaffeMaxPooling(*window), references.caffe_max_pooling(image, *window)
    np.testing.assert_array_equal(pooling(image), expected)
    pooling.repeats_border = True
    np.testing.assert_array_equal(pooling(image), expected)


@pytest.mark.parametrize(
    ("size", "pooled"), [(173, 86), (86, 43), (43, 21), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)]
)
def test_the_sizes_of_fcn_alexnet(size, pooled):
    """The first three are the pools of the net for an image of 500 × 500."""
    assert CaffeMaxPooling(3, 2).compute_output_shape((1, size, None, 8)) == (1, pooled, None, 8)
    assert CaffeMaxPooling(3, 2)(np.zeros((1, size, 3, 1), "float32")).shape == (1, pooled, 1, 1)


def test_what_lies_past_the_border_never_wins():
    image = np.full((1, 6, 6, 1), np.finfo("float32").min)
    assert (CaffeMaxPooling(3, 2)(image) == image[0, 0, 0, 0]).numpy().all()


def test_strides_longer_than_the_window_are_an_error():
    with pytest.raises(
        ValueError,
        match=r"the last window could lie entirely outside the image; received pool_size 2 and "
        r"strides 3\. Choose strides of at most 2\.",
    ):
        CaffeMaxPooling(2, 3)


def test_an_image_without_a_window_is_an_error():
    with pytest.raises(
        ValueError,
        match=r"heights and widths of at least 2; received 1 × 5\. Pad the image to 2 × 5\.",
    ):
        CaffeMaxPooling(3, 2)(np.zeros((1, 1, 5, 1), "float32"))
    with pytest.raises(ValueError, match=r"received None × 1\. Pad the image to 2 × 2\."):
        CaffeMaxPooling(3, 2)(keras.Input((None, 1, 1)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 9),
    size=st.sampled_from([1, 3, 5, 7]),
    alpha=st.floats(1e-4, 2),
    beta=st.just(0.75) | st.floats(0.25, 2),
    k=st.floats(0.5, 3),
)
def test_normalization_equals_its_double(channels, size, alpha, beta, k):
    features = np.random.default_rng(channels).normal(0, 3, (2, 3, 2, channels)).astype("float32")
    np.testing.assert_allclose(
        LocalResponseNormalization(size, alpha=alpha, beta=beta, k=k)(features),
        references.local_response_normalization(features, size, alpha, beta, k),
        rtol=1e-4,
    )


def test_normalization_is_tensorflows_with_alpha_divided_by_the_size():
    features = np.random.default_rng(0).normal(0, 100, (2, 4, 3, 12)).astype("float32")
    np.testing.assert_allclose(
        LocalResponseNormalization()(features),
        tf.nn.local_response_normalization(features, 2, bias=1, alpha=2e-5, beta=0.75),
        rtol=1e-5,
    )


def test_squares_do_not_overflow_in_half_precision():
    features = np.full((1, 1, 1, 5), 1000, "float16")  # 1000 squared is beyond float16
    normalized = LocalResponseNormalization(dtype="float16")(features)
    expected = references.local_response_normalization(features, 5, 1e-4, 0.75, 1.0)
    assert normalized.dtype == tf.float16
    np.testing.assert_allclose(normalized, expected, rtol=1e-3)


@pytest.mark.parametrize("size", [0, 4, -1])
def test_a_wrong_neighbourhood_is_an_error(size):
    with pytest.raises(ValueError, match=rf"takes an odd size.*received {size}\. Choose"):
        LocalResponseNormalization(size)
