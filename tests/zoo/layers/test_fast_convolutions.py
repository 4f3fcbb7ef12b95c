"""Convolutions in fewer multiplications and as one product, against a double in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import references
from zoo.layers import (
    PreparedConv2D,
    ProductConv2D,
    ProductConv2DTranspose,
    RepeatNearBorder,
    WinogradConv2D,
    WinogradConv2DTranspose,
    transformed_kernel,
    winograd,
)
from zoo.layers.winograd import POINTS, WINDOWS, tile_side, transforms

SIDES = st.integers(1, 11)


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(("window", "side"), [(r, n) for r in WINDOWS for n in POINTS if r < n])
def test_the_transforms_are_those_of_a_convolution(window, side):
    to_outputs, to_points, to_weights = transforms(window, side)
    tile, kernel = values(side, side), values(window, window)
    products = (to_points @ tile.ravel()) * (to_weights @ kernel.ravel())
    expected = references.convolve(tile[None, ..., None], kernel[..., None, None], (0, 0))
    np.testing.assert_allclose(to_outputs @ products, expected.ravel(), atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 2),
    height=SIDES,
    width=SIDES,
    channels=st.integers(1, 3),
    filters=st.integers(1, 3),
    groups=st.integers(1, 2),
    window=st.sampled_from(WINDOWS),
    padding=st.sampled_from(["valid", "same", "full"]),
    tile=st.sampled_from([None, *POINTS]),
)
def test_the_double(n, height, width, channels, filters, groups, window, padding, tile):
    if padding == "valid":
        height, width = height + window - 1, width + window - 1
    image = values(n, height, width, groups * channels)
    kernel = values(window, window, channels, groups * filters)
    border = {
        "valid": (0, 0),
        "same": ((window - 1) // 2, window // 2),
        "full": (window - 1, window - 1),
    }[padding]
    expected = references.convolve(image, kernel, border, groups)
    tile = 8 if tile and window > 5 else tile
    layer = PreparedConv2D(groups * filters, window, padding=padding, groups=groups, tile=tile)
    layer.build(image.shape)
    bias = np.arange(groups * filters)
    layer.set_weights([transformed_kernel(kernel, groups, tile), bias])
    assert layer.compute_output_shape(image.shape) == expected.shape
    scale = np.abs(expected).max() + len(bias)
    np.testing.assert_allclose(layer(image), expected + bias, atol=5e-5 * scale)
    if padding == "full":
        return
    layer = WinogradConv2D(groups * filters, window, padding=padding, groups=groups, use_bias=False)
    layer.build(image.shape)
    layer.set_weights([kernel])
    np.testing.assert_allclose(layer(image), expected, atol=5e-5 * scale)


def test_a_kernel_that_would_be_large_has_smaller_tiles(monkeypatch):
    """So have its gradients, whose kernel goes from the filters to the channels."""
    assert [tile_side(3, *size) for size in ((256, 512), (512, 512), (512, 256))] == [8, 6, 8]
    assert tile_side(7, 512, 4096) == 8
    image, kernel = tf.constant(values(1, 9, 7, 3)), values(3, 3, 3, 5)
    found = []
    for most in (15, 14):
        monkeypatch.setattr(winograd, "MOST_FOR_LARGE_TILES", most)
        layer = WinogradConv2D(5, 3, use_bias=False)
        layer.build(image.shape)
        layer.set_weights([kernel])
        with tf.GradientTape() as tape:
            tape.watch(image)
            result = layer(image)
            loss = tf.reduce_sum(result**2)
        found.append([result, *tape.gradient(loss, [image, layer.kernel])])
        assert len(transformed_kernel(kernel)) == {15: 64, 14: 36}[most]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=3e-5 * np.abs(other).max())
        assert not np.array_equal(one, other)  # other tiles round otherwise


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_a_prepared_kernel_is_not_rounded_to_half_precision(half):
    image, kernel = values(1, 9, 7, 3), values(3, 3, 3, 5)
    expected = keras.ops.conv(image, kernel)
    layer = PreparedConv2D(5, 3, dtype=half)
    layer.build(image.shape)
    layer.set_weights([transformed_kernel(kernel), np.zeros(5)])
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    found = np.asarray(keras.ops.cast(layer(image), "float32"))
    rounding = {"float16": 2**-10, "bfloat16": 2**-7}[half]  # of the image and of the result
    np.testing.assert_allclose(found, expected, atol=3 * rounding * np.abs(expected).max())


@pytest.mark.parametrize("window", [3, 5, 7])
def test_a_transposed_convolution_is_keras_s(window):
    image = values(2, 6, 9, 3)
    plain = keras.layers.Conv2DTranspose(5, window, padding="same", bias_initializer="ones")
    expected = plain(image)
    fast = WinogradConv2DTranspose(5, window, padding="same")
    fast.build(image.shape)
    fast.set_weights(plain.get_weights())
    np.testing.assert_allclose(fast(image), expected, atol=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(n=st.integers(1, 2), height=SIDES, width=SIDES, down=st.integers(1, 5), across=SIDES)
def test_products_are_keras_s_convolutions(n, height, width, down, across):
    image = values(n, height + down - 1, width + across - 1, 3)
    for plain, fast in (
        (keras.layers.Conv2D, ProductConv2D),
        (keras.layers.Conv2DTranspose, ProductConv2DTranspose),
    ):
        plain = plain(4, (down, across), bias_initializer="ones")
        expected = plain(image)
        fast = fast(4, (down, across))
        fast.build(image.shape)
        fast.set_weights(plain.get_weights())
        np.testing.assert_allclose(fast(image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "plain", "options"),
    [
        (WinogradConv2D, keras.layers.Conv2D, {"kernel_size": 3, "padding": "same"}),
        (WinogradConv2D, keras.layers.Conv2D, {"kernel_size": 4, "groups": 2}),
        (
            WinogradConv2DTranspose,
            keras.layers.Conv2DTranspose,
            {"kernel_size": 5, "padding": "same"},
        ),
        (ProductConv2D, keras.layers.Conv2D, {"kernel_size": 6}),
        (ProductConv2DTranspose, keras.layers.Conv2DTranspose, {"kernel_size": 6}),
    ],
)
def test_the_gradients_are_keras_s(kind, plain, options):
    image = tf.constant(values(2, 11, 9, 4))
    found = []
    kernel = None
    for one in (plain, kind):
        layer = one(6, activation="tanh", **options)
        layer.build(image.shape)
        kernel = kernel or layer.get_weights()
        layer.set_weights(kernel)
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_sum(layer(image) ** 2)
        found.append(tape.gradient(loss, [image, *layer.trainable_variables]))
    for expected, gradient in zip(*found, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, atol=3e-5 * scale)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(height=SIDES, width=SIDES, index=st.integers(0, 4), count=st.integers(0, 3))
def test_rows_and_columns_are_repeated(height, width, index, count):
    height, width = height + 2 * index, width + 2 * index
    image = values(1, height, width, 2)
    rows, columns = (
        np.repeat(
            np.arange(size), np.bincount([index, size - 1 - index], minlength=size) * count + 1
        )
        for size in (height, width)
    )
    expected = image[:, rows][:, :, columns]
    layer = RepeatNearBorder(index, count)
    np.testing.assert_array_equal(layer(image), expected)
    assert layer.compute_output_shape(image.shape) == expected.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WinogradConv2D(4, 8), r"sides of 2 to 7; received 8 × 8\. Take keras"),
        (lambda: PreparedConv2D(4, 1), r"sides of 2 to 7; received 1 × 1\. Take keras"),
        (lambda: WinogradConv2D(4, 3, strides=2), r"strides \(2, 2\).* Take keras.layers.Conv2D\."),
        (lambda: PreparedConv2D(4, 3, tile=7), r"6 or 8, .* received 7, and windows of 3\. Leave"),
        (lambda: PreparedConv2D(4, 6, tile=6), r"received 6, and windows of 6\. Leave it out"),
        (lambda: PreparedConv2D(4, 3, padding="causal"), r"received 'causal'\. Pass padding="),
        (lambda: WinogradConv2DTranspose(4, 3), r"received 'valid' and 3\. Take keras"),
        (lambda: WinogradConv2DTranspose(4, 2, padding="same"), r"received 'same' and 2"),
        (
            lambda: ProductConv2D(4, 3, padding="same"),
            r"received padding 'same'.* Take\s+keras.layers.Conv2D\.",
        ),
        (lambda: ProductConv2DTranspose(4, 3, strides=2), r"Take keras.layers.Conv2DTranspose\."),
        (lambda: RepeatNearBorder(-1, 2), r"index -1 and count 2\. Pass index=0"),
    ],
)
def test_errors_name_the_rule_the_value_and_the_remedy(make, message):
    with pytest.raises(ValueError, match=message):
        make()
