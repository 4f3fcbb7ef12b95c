"""Images of any size give scores: of their size, or of a coarse grid by a classifier."""

import numpy as np
import pytest

from tests.support.toys import CLASSIFIERS, NAMES, build_toy, scores_of, toy_images


@pytest.mark.parametrize("name", NAMES)
def test_any_image_size(name):
    model = build_toy(name)
    for size in [(1, 1), (1, 9), (17, 2), (40, 33), (65, 64)]:
        scores = scores_of(model, toy_images(name, 1, size))
        assert scores.shape == (1, *size, 4)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_gives_a_cell_for_each_window(name):
    model = build_toy(name)
    window = 227 if name == "caffenet_heatmap" else 224
    for size, grid in [
        ((1, 1), (1, 1)),
        ((1, 700), (1, 16)),
        ((window, window), (1, 1)),
        ((window + 32, window + 64), (2, 3)),
        ((500, 500), (10, 10)),
    ]:
        scores = scores_of(model, toy_images(name, 1, size))
        assert scores.shape == (1, *grid, 4)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
