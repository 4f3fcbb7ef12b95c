"""U-Net's elastic deformation moves image and label together, smoothly, and as far as it says."""

import numpy as np
import pytest
from scipy import ndimage

from recipes.data.elastic import deform


def ramps(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose colour is the position, and a label of two halves."""
    rows, columns = np.mgrid[:height, :width].astype("uint8")
    return np.stack([rows, columns], -1), np.where(columns < width // 2, 3, 255).astype("uint8")


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
    moved, _ = deform(np.random.default_rng(2), 3 * image, label, deviation=5)
    coarse = np.random.default_rng(2).normal(0, 5, (2, 3, 3))
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


def test_the_field_is_smooth():
    image, label = ramps(201, 201)
    moved, _ = deform(np.random.default_rng(5), image, label, deviation=5)
    inner = moved[20:-20, 20:-20].astype(float)
    assert np.abs(np.diff(inner[..., 1], axis=1) - 1).max() <= 1  # of it, rounding is 1


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_small_images(size):
    image, label = ramps(*size)
    moved, moved_label = deform(np.random.default_rng(0), image, label)
    assert moved.shape[:2] == moved_label.shape == size


def test_no_deviation_changes_nothing():
    image, label = ramps(40, 30)
    moved, moved_label = deform(np.random.default_rng(0), image, label, deviation=0)
    np.testing.assert_array_equal(moved, image)
    np.testing.assert_array_equal(moved_label, label)
