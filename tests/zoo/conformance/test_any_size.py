"""Images of any size give scores of their size."""

import numpy as np
import pytest

from tests.support.toys import NAMES, build_toy, scores_of, toy_images


@pytest.mark.parametrize("name", NAMES)
def test_any_image_size(name):
    model = build_toy(name)
    for size in [(1, 1), (1, 9), (17, 2), (40, 33), (65, 64)]:
        scores = scores_of(model, toy_images(name, 1, size))
        assert scores.shape == (1, *size, 4)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
