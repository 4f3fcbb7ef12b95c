"""What a file's answers are compared with."""

import numpy as np

from exports.check.reference import of_scores
from tests.support.toys import toy_images

IMAGES = toy_images("unet").astype(np.uint8)


def test_what_rounding_decides():
    def scores_of(images, gain):
        waves = np.sin(gain * (images[..., 0].astype(np.float64) + 0.5))
        return np.stack([waves, np.zeros_like(waves)], axis=-1)

    images = np.random.default_rng(1).integers(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    for gain, least, most in ((1e5, 0.4, 0.6), (0.1, 0, 0)):
        asked = of_scores(lambda x, gain=gain: scores_of(x, gain), "wave", 3, images, (1, 1))
        assert least <= asked.unsettled() <= most


def test_scores_are_computed_in_the_batches_that_are_asked():
    seen = []

    def scores_of(images):
        seen.append(len(images))
        return np.random.default_rng(len(images)).normal(size=(*images.shape[:3], 4))

    asked = of_scores(scores_of, "batches", 3, IMAGES.repeat(3, 0)[:5], (1, 1))
    assert seen == [1] * 5
    scores = asked.in_batches(2)
    assert seen[5:] == [2, 2, 1]
    np.testing.assert_array_equal(scores[4:], asked.scores[4:])
    assert asked.in_batches(1) is asked.scores
