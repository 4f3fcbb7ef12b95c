"""Mirrored margins, sizes that divide, and the tiles of a valid U-Net."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import references
from zoo.layers import MirrorPadding, PadToMultiple, ValidTile


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(height=st.integers(1, 40), width=st.integers(1, 40), depth=st.integers(1, 3))
def test_mirroring_equals_its_double(height, width, depth):
    x = image(2, height, width, 2)
    np.testing.assert_array_equal(MirrorPadding(depth)(x), references.mirror_padding(x, depth))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_the_mirrored_tile_is_the_smallest_whose_scores_cover_the_image(depth):
    layer = MirrorPadding(depth)
    for size in [*range(1, 70), 388, 500, 512]:
        _, tile, _, _ = layer.compute_output_shape((1, size, None, 3))
        scored = references.valid_unet_size(tile, depth)
        assert scored >= size
        assert all(
            (references.valid_unet_size(smaller, depth) or 0) < size
            for smaller in range(tile - 2**depth, tile)
        )


def test_the_tile_of_the_paper():
    padded = MirrorPadding(4)(image(1, 388, 1, 1)).numpy()
    assert padded.shape == (1, 572, 188, 1)


def test_without_repeating_the_border():
    """NumPy calls this `reflect`."""
    x = image(1, 36, 100, 2)
    margin = 6 * 4 - 4
    expected = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(MirrorPadding(2)(x), expected)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_valid_tile_is_one_that_the_network_can_take(depth):
    layer = ValidTile(depth)
    passed = 0
    for size in range(1, 20 * 2**depth):
        shape = (1, size, None, 1)
        if references.valid_unet_size(size, depth) is None:
            with pytest.raises(ValueError, match="A valid U-Net of depth"):
                layer.compute_output_shape(shape)
        else:
            assert layer.compute_output_shape(shape) == shape
            passed += 1
    assert passed >= 8


def test_a_valid_tile_passes_unchanged():
    x = image(1, 188, 204, 1)
    np.testing.assert_array_equal(ValidTile(4)(x), x)


def test_another_tile_is_an_error_that_names_the_next():
    with pytest.raises(
        ValueError,
        match=r"A valid U-Net of depth 4 takes heights and widths of 16k \+ 60, at least 188 "
        r"\(188, 204, 220, …\); received 512 × 512\. Pad the image to 524 × 524, or build with "
        r'border="mirror"\.',
    ):
        ValidTile(4)(image(1, 512, 512, 1))
    with pytest.raises(
        ValueError, match=r"4k \+ 12, at least 44 .* received 40 × 48\. .* 44 × 48,"
    ):
        ValidTile(2)(image(1, 40, 48, 1))
    with pytest.raises(ValueError, match=r"received 573 × \?\. Pad the image to 588 × \?,"):
        ValidTile(4)(keras.Input((573, None, 1)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    multiple=st.integers(1, 8),
    minimum=st.integers(1, 17),
)
def test_zeros_up_to_a_multiple_equal_their_double(height, width, multiple, minimum):
    x = image(2, height, width, 1)
    np.testing.assert_array_equal(
        PadToMultiple(multiple, minimum=minimum)(x),
        references.pad_to_multiple(x, multiple, minimum),
    )


def test_the_sizes_of_deconvnet():
    layer = PadToMultiple(32, minimum=224)
    assert layer.compute_output_shape((None, 300, 100, 3)) == (None, 320, 224, 3)
    assert layer.compute_output_shape((None, 224, 225, 3)) == (None, 224, 256, 3)


@pytest.mark.parametrize("depth", [0, -1, 1.5])
@pytest.mark.parametrize("layer", [MirrorPadding, ValidTile])
def test_a_wrong_depth_is_an_error(layer, depth):
    with pytest.raises(
        ValueError, match=f"is the number of poolings, at least 1; received {depth}"
    ):
        layer(depth)


@pytest.mark.parametrize(("multiple", "minimum"), [(0, 1), (32, 0)])
def test_a_wrong_multiple_is_an_error(multiple, minimum):
    with pytest.raises(ValueError, match=f"received multiple {multiple} and minimum {minimum}"):
        PadToMultiple(multiple, minimum=minimum)
