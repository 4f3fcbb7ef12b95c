"""Max pooling with switches and the unpoolings: exact values, exact gradients, clear errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import references
from zoo.layers import (
    BedOfNailsUnpooling,
    MaxPoolingWithArgmax,
    MaxUnpooling,
    NearestUnpooling,
    flat_indices_to_switches,
    switches_to_flat_indices,
)

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
SEEDS = st.integers(0, 2**32 - 1)


def tied_image(shape: tuple[int, ...], seed: int, dtype: str = "float32") -> np.ndarray:
    """Few different whole numbers, so that most windows have more than one maximum."""
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(dtype)


def tensorflow_pair(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Pooled values, flat indices and the unpooled image, by TensorFlow's own operations."""
    pooled, indices = tf.nn.max_pool_with_argmax(image, 2, 2, "SAME", include_batch_in_index=True)
    restored = tf.scatter_nd(
        tf.reshape(indices, (-1, 1)), tf.reshape(pooled, (-1,)), [tf.size(image, tf.int64)]
    )
    return pooled, indices, tf.reshape(restored, image.shape)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, seed=SEEDS, pool_size=st.integers(1, 4))
def test_the_layers_equal_their_doubles(shape, seed, pool_size):
    image = tied_image(shape, seed)
    pooled, switches = MaxPoolingWithArgmax(pool_size)(image)
    expected, expected_switches = references.max_pooling_with_argmax(image, pool_size)
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(switches, expected_switches)
    assert switches.dtype == tf.int32
    size = image.shape[1:3]
    whole = tuple(pool_size * side for side in expected.shape[1:3])
    for like, restored in ((image, size), (None, whole)):
        np.testing.assert_array_equal(
            MaxUnpooling(pool_size)(pooled, switches, like=like),
            references.max_unpooling(expected, expected_switches, pool_size, restored),
        )
        np.testing.assert_array_equal(
            NearestUnpooling(pool_size)(pooled, switches, like=like),
            references.nearest_unpooling(expected, pool_size, restored),
        )
        np.testing.assert_array_equal(
            BedOfNailsUnpooling(pool_size)(pooled, switches, like=like),
            references.bed_of_nails_unpooling(expected, pool_size, restored),
        )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(shape=SHAPES, seed=SEEDS)
def test_values_and_gradients_are_tensorflows_to_the_bit(shape, seed):
    image = tf.constant(tied_image(shape, seed))
    # Whole numbers, which sum exactly; each position has its own.
    weights = tf.reshape(tf.range(1.0, tf.size(image, tf.float32) + 1), shape)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        pooled, switches = MaxPoolingWithArgmax()(image)
        restored = MaxUnpooling()(pooled, switches, like=image)
        expected_pooled, indices, expected = tensorflow_pair(image)
        half = weights[:, ::2, ::2]
        ours = tf.reduce_sum(restored * weights) + tf.reduce_sum(pooled * half)
        theirs = tf.reduce_sum(expected * weights) + tf.reduce_sum(expected_pooled * half)
    assert pooled.numpy().tobytes() == expected_pooled.numpy().tobytes()
    assert restored.numpy().tobytes() == expected.numpy().tobytes()
    gradient, expected_gradient = tape.gradient(ours, image), tape.gradient(theirs, image)
    assert gradient.numpy().tobytes() == expected_gradient.numpy().tobytes()
    np.testing.assert_array_equal(
        switches_to_flat_indices(switches, image, include_batch_in_index=True), indices
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(shape=SHAPES, seed=SEEDS, with_batch=st.booleans())
def test_flat_indices_and_switches_turn_into_each_other(shape, seed, with_batch):
    image = tied_image(shape, seed)
    _, indices = tf.nn.max_pool_with_argmax(image, 2, 2, "SAME", include_batch_in_index=with_batch)
    _, switches = MaxPoolingWithArgmax()(image)
    ours = switches_to_flat_indices(switches, image, include_batch_in_index=with_batch)
    assert ours.dtype == tf.int64
    np.testing.assert_array_equal(ours, indices)
    again = flat_indices_to_switches(indices, image)
    assert again.dtype == tf.int32
    np.testing.assert_array_equal(again, switches)


def test_flat_indices_do_not_overflow():
    like = np.zeros((1, 2, 2**29, 0), "float32")  # large, and without a byte of memory
    switches = np.full((1, 1, 1, 8), 3, "int32")
    indices = switches_to_flat_indices(switches, like)
    assert indices.numpy().ravel().tolist() == [(2**29 + 1) * 8 + c for c in range(8)]
    np.testing.assert_array_equal(flat_indices_to_switches(indices, like), switches)


@pytest.mark.parametrize("pool_size", [2, 3])
def test_flat_indices_of_other_window_sizes(pool_size):
    image = tied_image((2, 7, 8, 3), 0)
    pooled, switches = MaxPoolingWithArgmax(pool_size)(image)
    indices = switches_to_flat_indices(
        switches, image, pool_size=pool_size, include_batch_in_index=True
    )
    np.testing.assert_array_equal(tf.gather(image.ravel(), indices), pooled)
    np.testing.assert_array_equal(
        flat_indices_to_switches(indices, image, pool_size=pool_size), switches
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    values=st.lists(
        st.sampled_from([-np.inf, np.inf, np.nan, -0.0, 0.0, 1.0, -1e38]), min_size=25, max_size=25
    )
)
@example(values=[-np.inf] * 25)
@example(values=[np.nan] * 25)
def test_special_values_go_where_tensorflow_puts_them(values):
    """A NaN wins in the first position only, and minus infinity can win: the padding never does."""
    image = np.array(values, "float32").reshape(1, 5, 5, 1)
    pooled, switches = MaxPoolingWithArgmax()(image)
    expected_pooled, indices, expected = tensorflow_pair(tf.constant(image))
    np.testing.assert_array_equal(pooled, expected_pooled)
    np.testing.assert_array_equal(np.signbit(pooled), np.signbit(expected_pooled))
    np.testing.assert_array_equal(switches_to_flat_indices(switches, image), indices)
    np.testing.assert_array_equal(MaxUnpooling()(pooled, switches, like=image), expected)


def test_shapes_that_do_not_match_are_an_error():
    image = np.zeros((1, 7, 9, 2), "float32")
    pooled, switches = MaxPoolingWithArgmax()(image)
    for layer in (MaxUnpooling(), NearestUnpooling(), BedOfNailsUnpooling()):
        for size in ((6, 9), (9, 9)):
            with pytest.raises(
                ValueError,
                match=rf"with pool_size 2, a pooled height of 4 comes from 7 to 8; received like "
                rf"with a height of {size[0]}\. Pass as like the tensor that was pooled\.",
            ):
                layer(pooled, switches, like=np.zeros((1, *size, 2), "float32"))
        with pytest.raises(
            ValueError, match=r"pooled width of 5 comes from 9 to 10; .* a width of 8"
        ):
            layer(pooled, switches, like=np.zeros((1, 7, 8, 2), "float32"))
    with pytest.raises(
        ValueError,
        match=r"one switch; received pooled of shape \(1, 4, 5, 2\) and switches of shape "
        r"\(1, 4, 4, 2\)\. Pass the switches of the pooling that this layer undoes\.",
    ):
        MaxUnpooling()(pooled, switches[:, :, :4])
    # In a model, for what is known there.
    pooled, switches = MaxPoolingWithArgmax()(keras.Input((None, 9, 2)))
    with pytest.raises(ValueError, match=r"width of 5 .* a width of 8"):
        MaxUnpooling()(pooled, switches, like=keras.Input((None, 8, 2)))
    with pytest.raises(ValueError, match="Each pooled value has one switch"):
        MaxUnpooling()(pooled, keras.Input((None, 4, 2), dtype="int32"))


@pytest.mark.parametrize(
    "layer", [MaxPoolingWithArgmax, MaxUnpooling, NearestUnpooling, BedOfNailsUnpooling]
)
@pytest.mark.parametrize("pool_size", [0, -2, 1.5, "2"])
def test_a_wrong_pool_size_is_an_error(layer, pool_size):
    with pytest.raises(
        ValueError, match=f"a whole number of at least 1; received {pool_size!r}. Pass pool_size=2"
    ):
        layer(pool_size)
