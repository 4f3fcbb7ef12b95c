"""The mean over views is that of a loop, and bounds are held."""

import numpy as np
import pytest
from PIL import Image

from tests.support.scorers import image_of, linear, numpy_scorer, softmax
from tests.support.toys import build_toy, toy_images
from zoo.inference.augmented import augmented
from zoo.inference.scorers import CLASSES, PROBABILITIES, SCORES, scorer

# Each view and its way back, from the words of the options.
SAME = (lambda x: x, lambda x: x)
LEFT_RIGHT = (np.fliplr, np.fliplr)
UP_DOWN = (np.flipud, np.flipud)
BOTH = (lambda x: x[::-1, ::-1],) * 2
LEFT = (lambda x: np.rot90(x, 1), lambda x: np.rot90(x, 3))
RIGHT = (lambda x: np.rot90(x, 3), lambda x: np.rot90(x, 1))
TRANSPOSED = (lambda x: x.swapaxes(0, 1),) * 2
ANTI = (lambda x: x[::-1, ::-1].swapaxes(0, 1),) * 2
VIEWS = {
    ("none", False): [SAME],
    ("horizontal", False): [SAME, LEFT_RIGHT],
    ("vertical", False): [SAME, UP_DOWN],
    ("four", False): [SAME, LEFT_RIGHT, UP_DOWN, BOTH],
    ("none", True): [SAME, LEFT, BOTH, RIGHT],
    ("horizontal", True): [SAME, LEFT, BOTH, RIGHT, LEFT_RIGHT, UP_DOWN, TRANSPOSED, ANTI],
    ("four", True): [SAME, LEFT, BOTH, RIGHT, LEFT_RIGHT, UP_DOWN, TRANSPOSED, ANTI],
}


def probabilities_of(image):
    return softmax(linear(image[np.newaxis])[0])


@pytest.mark.parametrize("gives", [PROBABILITIES, SCORES])
@pytest.mark.parametrize(("flips", "turns"), VIEWS)
def test_it_is_the_mean_over_the_views(flips, turns, gives):
    image = image_of()
    views = VIEWS[flips, turns]
    expected = np.mean([back(probabilities_of(view(image))) for view, back in views], 0)
    inner = numpy_scorer(gives=gives)
    found = augmented(inner, flips=flips, turns=turns)
    np.testing.assert_allclose(found(image), expected, atol=1e-6)
    assert (found.gives, found.margin, found.stride) == (PROBABILITIES, 5, 4)
    batch = np.stack([image, image_of(seed=4)])
    np.testing.assert_allclose(found.answer(batch)[0], expected, atol=1e-6)


def scaled(array, height, width):
    bands = [
        Image.fromarray(array[..., band].astype(np.float32)).resize((width, height), 2)
        for band in range(array.shape[-1])
    ]
    return np.stack(bands, -1)


def test_scales_are_added_to_the_image_itself():
    image = image_of()
    sizes = {0.5: (10, 15), 2: (42, 60)}
    parts = [scaled(probabilities_of(scaled(image, *size)), 21, 30) for size in sizes.values()]
    expected = np.mean([probabilities_of(image), *parts], 0)
    found = augmented(numpy_scorer(), scales=(2, 0.5, 1))
    np.testing.assert_allclose(found(image), expected, atol=1e-5)
    np.testing.assert_allclose(found(image).sum(-1), 1, atol=1e-5)
    assert found.margin == 14  # (5 + 2) / 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_small_images_have_an_answer(size):
    found = augmented(numpy_scorer(), flips="four", turns=True, scales=(0.25, 4))
    answer = found(image_of(*size))
    assert answer.shape == (*size, 3)
    np.testing.assert_allclose(answer.sum(-1), 1, atol=1e-5)


def test_classes_become_shares_of_the_votes():
    found = augmented(numpy_scorer(gives=CLASSES), flips="four")
    assert found.gives == PROBABILITIES
    assert set(np.unique(found(image_of()))) <= {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize("name", ["fcn32s", "unet"])
def test_flips_of_a_model_are_those_of_a_loop(name):
    (image,) = toy_images(name, 1)
    answer = scorer(build_toy(name))
    expected = np.mean([back(answer(view(image))) for view, back in VIEWS["four", False]], 0)
    np.testing.assert_allclose(augmented(answer, flips="four")(image), expected, atol=1e-5)


def test_wrong_options_are_refused():
    answer = numpy_scorer()
    with pytest.raises(ValueError, match=r"horizontal, vertical, four; received 'both'\. Pass one"):
        augmented(answer, flips="both")
    for scales in ((0.2,), (5,), (float("nan"),), (0.5,) * 9):
        with pytest.raises(ValueError, match=r"at most 8 numbers from 0\.25 to 4; received "):
            augmented(answer, scales=scales)


def test_a_scaled_image_has_a_limit_of_pixels():
    answer = augmented(numpy_scorer(max_pixels=2000), scales=(0.5, 2))
    assert answer(image_of(20, 20)).shape == (20, 20, 3)
    message = r"at most 2000 pixels; at scale 2 this one has 42 × 60\. Leave out the scale"
    with pytest.raises(ValueError, match=message):
        answer(image_of())
