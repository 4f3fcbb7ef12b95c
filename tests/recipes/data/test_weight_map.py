"""U-Net's weight map, against the formula computed over all pairs of pixels."""

import numpy as np
import pytest

from recipes.data.weight_map import gap_weights, weight_map


def formula(instances, w0, sigma):
    """The paper's second term, by the distance of each pixel to all pixels of each cell."""
    weights = np.zeros(instances.shape)
    numbers = [number for number in np.unique(instances) if number]
    for y, x in np.argwhere(instances == 0):
        distances = sorted(
            np.hypot(*(np.argwhere(instances == number) - (y, x)).T).min() for number in numbers
        )
        if len(distances) > 1:
            weights[y, x] = w0 * np.exp(-(sum(distances[:2]) ** 2) / (2 * sigma**2))
    return weights


def scene(seed):
    """Discs of random place, some over others, numbered with gaps as films number their cells."""
    rng = np.random.default_rng(seed)
    instances = np.zeros((50, 64), np.int32)
    for number in rng.choice(900, rng.integers(2, 7), replace=False) + 1:
        y, x = np.indices(instances.shape)
        away = np.hypot(y - rng.uniform(0, 50), x - rng.uniform(0, 64))
        instances[away < rng.uniform(3, 9)] = number
    return instances


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [5, 1.5])
def test_gaps_weigh_what_the_formula_says(seed, sigma):
    instances = scene(seed)
    expected = formula(instances, 10, sigma)
    assert expected.max() > 0.01  # or nothing is tested
    np.testing.assert_allclose(gap_weights(instances, sigma=sigma), expected, atol=1e-5)


def test_a_narrow_gap_weighs_most():
    instances = np.zeros((9, 30), np.int32)
    instances[:, :6], instances[:, 8:15], instances[:, 25:] = 1, 2, 3
    weights = gap_weights(instances)
    np.testing.assert_allclose(weights[:, 6:8], 10 * np.exp(-(3**2) / 50))  # 1 and 2 pixels away
    np.testing.assert_allclose(weights[:, 15:25], 10 * np.exp(-(11**2) / 50))
    assert not weights[instances > 0].any()
    assert not gap_weights(np.minimum(instances, 1)).any()  # one cell has no second nearest


def test_classes_weigh_the_same_in_total():
    instances = np.zeros((20, 20), np.int32)
    instances[2:6, 2:6] = 1
    weights = weight_map(instances)
    assert weights.dtype == np.float32
    assert weights[instances > 0].sum() == pytest.approx(weights[instances == 0].sum())
    assert weights.mean() == pytest.approx(1)
    for empty in (np.zeros((4, 4), np.int32), np.ones((4, 4), np.int32)):
        np.testing.assert_array_equal(weight_map(empty), 1)
