"""Half precision gives nearly the scores of float32."""

import numpy as np
import pytest

from tests.support.toys import ALL, build_toy, dtype_policy, scores_of, toy_images, toy_scores


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ALL)
def test_mixed_precision(name, precision, tolerance):
    expected = toy_scores(name)
    with dtype_policy(f"mixed_{precision}"):
        model = build_toy(name)
    scores = scores_of(model, toy_images(name))
    assert scores.dtype == np.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    # On average: a rounding that turns a tie between two switches moves a whole feature.
    apart = np.abs(scores - expected).mean() / np.abs(expected).mean()
    assert 0 < apart < getattr(tolerance, precision)
