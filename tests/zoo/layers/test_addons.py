"""Our unpooling beside that of tensorflow-addons, whose answers stand in a recorded file."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import MaxPoolingWithArgmax, MaxUnpooling, switches_to_flat_indices

# Recorded by parity/tensorflow_addons/record.py, whose docstring has the commands.
GOLDEN = pathlib.Path(__file__).parents[2] / "parity" / "tensorflow_addons" / "golden.npz"
SIZES = ["1x1", "2x2", "4x6", "5x6", "6x5", "7x9"]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("size", SIZES)
def test_ours_is_the_second_version_with_its_gradient(golden, size):
    image = tf.constant(golden[f"{size}_image"])
    with tf.GradientTape() as tape:
        tape.watch(image)
        pooled, switches = MaxPoolingWithArgmax()(image)
        restored = MaxUnpooling()(pooled, switches, like=image)
        weights = tf.reshape(tf.range(tf.size(image, tf.float32)), image.shape)
        loss = tf.reduce_sum(restored * weights)
    np.testing.assert_array_equal(pooled, golden[f"{size}_pooled"])
    np.testing.assert_array_equal(
        switches_to_flat_indices(switches, image), golden[f"{size}_indices"]
    )
    np.testing.assert_array_equal(restored, golden[f"{size}_second"])
    np.testing.assert_array_equal(tape.gradient(loss, image), golden[f"{size}_gradient"])


@pytest.mark.parametrize(
    ("size", "too_large", "misplaced"),
    [
        ("1x1", True, False),
        ("2x2", False, False),
        ("4x6", False, False),
        ("5x6", True, False),
        ("6x5", True, True),
        ("7x9", True, True),
    ],
)
def test_ours_is_the_first_version_where_that_is_right(golden, size, too_large, misplaced):
    """`MaxUnpooling2D` rounds odd sizes up, and with an odd width it also misplaces the values."""
    image, first = golden[f"{size}_image"], golden[f"{size}_first"]
    pooled, switches = MaxPoolingWithArgmax()(image)
    restored = MaxUnpooling()(pooled, switches, like=image)
    assert (first.shape != restored.shape) == too_large
    height, width = image.shape[1:3]
    assert np.array_equal(first[:, :height, :width], restored) == (not misplaced)
    assert first.sum() == tf.reduce_sum(restored)


def test_the_second_version_refuses_the_unknown_batch_that_ours_takes(golden):
    findings = golden["findings"].tolist()
    assert len(findings) == len(SIZES) + 2
    assert "MaxUnpooling2DV2 raises ValueError" in findings[-1]
    assert "received: (none, 4, 6, 3)" in findings[-1].lower()
    assert MaxUnpooling().compute_output_shape(
        (None, 2, 3, 3), (None, 2, 3, 3), (None, 4, 6, 3)
    ) == (None, 4, 6, 3)


def test_the_recorded_file_is_small():
    assert GOLDEN.stat().st_size < 50_000
