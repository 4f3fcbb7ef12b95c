"""Rotation and elastic deformation move image and label together, as far as they say."""

import numpy as np
import pytest
from scipy import ndimage

from recipes.data.moving import LARGEST, elastic, resampled, rotated


def ramps(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose colour is the position, and a label of two halves."""
    rows, columns = np.mgrid[:height, :width].astype("uint8")
    return np.stack([rows, columns], -1), np.where(columns < width // 2, 3, 255).astype("uint8")


def deform(rng, image, label, **options):
    shape = label.shape
    return resampled(image, label, np.indices(shape) + elastic(rng, shape, **options))


def test_label_and_image_move_together():
    image, label = ramps(120, 100)
    moved, moved_label = deform(np.random.default_rng(1), image, label)
    assert moved.shape == image.shape
    assert moved.dtype == label.dtype == np.uint8
    assert set(np.unique(moved_label)) == {3, 255}
    # The column that a pixel came from says which half it came from.
    sure = np.abs(moved[..., 1].astype(int) - 49.5) > 1
    expected = np.where(moved[..., 1] < 50, 3, 255)
    np.testing.assert_array_equal(moved_label[sure], expected[sure])


def test_the_field_is_the_bicubic_spline_of_its_grid_and_the_image_is_blended():
    image, label = ramps(60, 80)
    moved, _ = deform(np.random.default_rng(2), 3 * image, label, deviation=4)
    coarse = np.random.default_rng(2).normal(0, 4, (2, 3, 3))
    grid = np.meshgrid(np.linspace(0, 2, 60), np.linspace(0, 2, 80), indexing="ij")
    for axis in (0, 1):
        spline = ndimage.map_coordinates(coarse[axis], grid, order=3, mode="nearest")
        source = image[..., axis] + spline
        inside = (source >= 0) & (source <= image[..., axis].max())
        assert inside.mean() > 0.7
        wrong = moved[..., axis][inside] != np.rint(3 * source[inside])
        assert wrong.mean() < 0.001  # a tie may be rounded either way


def test_displacements_have_the_papers_deviation_at_the_grid():
    image, label = ramps(201, 201)
    centre = []
    for seed in range(400):
        moved, _ = deform(np.random.default_rng(seed), image, label)
        centre.append(moved[100, 100].astype(float) - 100)
    assert np.std(centre) == pytest.approx(10, rel=0.1)
    assert np.mean(centre) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("size", [(257, 257), (512, 384), (1100, 300)])
def test_a_large_image_is_bent_as_the_papers_is(size):
    """At most 320 pixels lie between two points, which are displaced by 10 pixels."""
    points = [max(3, 1 + round(side / 256)) for side in size]
    assert all(
        127 < (side - 1) / (count - 1) <= 320 for side, count in zip(size, points, strict=True)
    )
    drawn = np.array([elastic(np.random.default_rng(seed), size) for seed in range(25)])
    at = [
        np.linspace(0, side - 1, count).round().astype(int)
        for side, count in zip(size, points, strict=True)
    ]
    corners = drawn[:, :, at[0]][..., at[1]]
    assert corners.std() == pytest.approx(10, rel=0.1)
    assert abs(np.corrcoef(corners[:, 0, 0, 0], corners[:, 0, 1, 0])[0, 1]) < 0.6


@pytest.mark.parametrize("size", [(24, 24), (64, 96), (96, 96), (257, 257), (1500, 1500)])
def test_the_field_folds_nowhere(size):
    """Pixels that lie in a row come from places in the same order."""
    for seed in range(20):
        down, across = np.indices(size) + elastic(np.random.default_rng(seed), size)
        assert np.diff(down, axis=0).min() > 0
        assert np.diff(across, axis=1).min() > 0


def test_a_small_view_is_moved_by_a_part_of_its_size():
    drawn = [elastic(np.random.default_rng(seed), (41, 81))[:, ::20, ::40] for seed in range(300)]
    assert np.std(drawn) == pytest.approx(LARGEST * 20, rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_small_images(size):
    image, label = ramps(*size)
    moved, moved_label = deform(np.random.default_rng(0), image, label)
    assert moved.shape[:2] == moved_label.shape == size


def test_no_deviation_and_no_angle_change_nothing():
    image, label = ramps(40, 30)
    for places in (
        np.indices((40, 30)) + elastic(np.random.default_rng(0), (40, 30), deviation=0),
        rotated((40, 30), 0),
    ):
        moved, moved_label = resampled(image, label, places)
        np.testing.assert_array_equal(moved, image)
        np.testing.assert_array_equal(moved_label, label)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("side", [30, 31])
def test_quarters_of_a_rotation_are_turns(side, turns):
    image, label = ramps(side, side)
    moved, moved_label = resampled(image, label, rotated((side, side), turns * np.pi / 2))
    np.testing.assert_array_equal(moved, np.rot90(image, turns))
    np.testing.assert_array_equal(moved_label, np.rot90(label, turns))


def test_a_rotation_is_that_of_complex_numbers():
    """The pixel at z around the middle comes from z turned back."""
    rows, columns = rotated((21, 41), 0.4)
    y, x = np.mgrid[10:-11:-1, -20:21]  # upwards, and to the right
    turned = (x + 1j * y) * np.exp(-0.4j)
    np.testing.assert_allclose(columns, 20 + turned.real, atol=1e-9)
    np.testing.assert_allclose(rows, 10 - turned.imag, atol=1e-9)
