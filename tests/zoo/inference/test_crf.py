"""The CRF is the library's own, with the authors' settings, and takes what an image can be."""

import dataclasses
import sys

import numpy as np
import pytest

from tests.support.scorers import image_of, numpy_scorer
from zoo.inference.crf import crf
from zoo.inference.scorers import PROBABILITIES, SCORES, Scorer
from zoo.spec import Spec

densecrf = pytest.importorskip(
    "pydensecrf.densecrf", reason="pydensecrf, of the extra crf, is not installed"
)


def given(probabilities):
    """A Scorer that gives this answer to every image."""
    spec = Spec("given", {"classes": probabilities.shape[-1]})
    return Scorer(lambda images: np.stack([probabilities] * len(images)), spec, 5, 4)


def of_library(image, probabilities, *, steps=10):
    """As the library's own example does it, with the settings of DeconvNet's release."""
    height, width, classes = probabilities.shape
    field = densecrf.DenseCRF2D(width, height, classes)
    unary = -np.log(np.clip(probabilities.transpose(2, 0, 1), 1e-5, 1)).reshape(classes, -1)
    field.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    field.addPairwiseGaussian(sxy=(3, 3), compat=3)
    field.addPairwiseBilateral(sxy=(20, 20), srgb=(3, 3, 3), rgbim=image, compat=5)
    found = np.array(field.inference(steps)).reshape(classes, height, width)
    return found.transpose(1, 2, 0)


def halves():
    """Two colours side by side, and an uncertain answer with wrong pixels."""
    image = np.full((20, 30, 3), 60, np.uint8)
    image[:, 17:] = 180
    rng = np.random.default_rng(0)
    likely = np.where(np.arange(30) < 17, 0.35, 0.65) + rng.uniform(-0.2, 0.2, (20, 30))
    return image, np.stack([1 - likely, likely], -1).astype(np.float32)


def test_it_is_the_library_with_the_settings_of_the_authors():
    image, probabilities = halves()
    expected = of_library(image, probabilities)
    found = crf(given(probabilities))
    np.testing.assert_allclose(found(image), expected, atol=1e-6)
    np.testing.assert_allclose(found(image).sum(-1), 1, atol=1e-5)
    right = np.broadcast_to(np.arange(30) >= 17, (20, 30))
    assert (probabilities.argmax(-1) != right).sum() > 20
    assert (found(image).argmax(-1) == right).all()
    assert found.gives == PROBABILITIES
    assert found.margin == 65


def test_every_setting_counts():
    image, probabilities = halves()
    image = image + np.random.default_rng(1).integers(0, 9, image.shape, np.uint8)
    answers = [crf(given(probabilities), iterations=2)(image)] + [
        crf(given(probabilities), **{"iterations": 2} | {name: value})(image)
        for name, value in {
            "iterations": 1,
            "smoothness_std": 1,
            "smoothness_weight": 0,
            "appearance_std": 4,
            "appearance_colour_std": 20,
            "appearance_weight": 0,
        }.items()
    ]
    for number, one in enumerate(answers):
        for other in answers[:number]:
            assert np.abs(one - other).max() > 1e-4


def test_scores_become_probabilities_first():
    image = image_of()
    found, expected = (crf(numpy_scorer(gives=one))(image) for one in (SCORES, PROBABILITIES))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("unknown", [0, np.nan])
def test_where_nothing_is_known_the_neighbours_decide(unknown):
    image, probabilities = halves()
    probabilities[4:9, 4:9] = unknown
    found = crf(given(probabilities))(image)
    assert np.isfinite(found).all()
    assert (found[4:9, 4:9].argmax(-1) == 0).all()


def answer_of(probabilities, image):
    """The answer to an image of other channels than the Spec has."""
    return crf(given(probabilities)).answer(image[np.newaxis])


def test_grey_is_as_its_copy_in_rgb():
    image, probabilities = halves()
    colours, (grey,) = crf(given(probabilities))(image), answer_of(probabilities, image[..., :1])
    np.testing.assert_array_equal(grey, colours)
    np.testing.assert_array_equal(crf(given(probabilities))(image.astype(np.float32)), colours)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_thin_images_have_an_answer(size):
    found = crf(numpy_scorer())(image_of(*size))
    assert found.shape == (*size, 3)
    assert np.isfinite(found).all()


def test_other_channels_have_no_appearance():
    image = image_of(channels=4)
    with pytest.raises(ValueError, match=r"1 or 3 channels; received 4\. Pass appearance_weight=0"):
        crf(numpy_scorer()).answer(image[np.newaxis])
    found = crf(numpy_scorer(), appearance_weight=0).answer(image[np.newaxis])
    assert found.shape == (1, 21, 30, 3)


@pytest.mark.parametrize(
    ("model", "further", "depth"),
    [("fcn32s_early_fusion", {"channels": 4}, 1), ("fcn32s_late_fusion", {"hha_channels": 3}, 3)],
)
def test_colours_are_compared_and_no_depth(model, further, depth):
    image, probabilities = halves()
    spec = Spec(model, {"classes": probabilities.shape[-1], "channels": 3} | further)
    answer = dataclasses.replace(given(probabilities), spec=spec)
    hidden = np.full((*image.shape[:2], depth), 300, np.float32)  # no value of a colour
    found = crf(answer)(np.concatenate([image, hidden], axis=-1))
    np.testing.assert_array_equal(found, crf(given(probabilities))(image))


@pytest.mark.parametrize("value", [-1, 256, np.nan])
def test_values_are_those_of_an_image(value):
    image = image_of().astype(np.float32)
    image[3, 4] = value
    with pytest.raises(ValueError, match="The values of an image are from 0 to 255; received "):
        crf(numpy_scorer())(image)


def test_an_image_has_a_limit_of_pixels():
    found = crf(numpy_scorer(max_pixels=600))
    assert found.max_pixels == 600
    with pytest.raises(ValueError, match=r"at most 600 pixels; received 21 × 30\. Scale the im"):
        found(image_of())


@pytest.mark.parametrize(
    "options",
    [
        {"iterations": 0},
        {"smoothness_std": 0},
        {"appearance_colour_std": float("nan")},
        {"appearance_weight": -1},
        {"appearance_weight": 0, "smoothness_weight": 0},
    ],
)
def test_wrong_settings_are_refused(options):
    with pytest.raises(ValueError, match=r"A CRF has .*; received .*\. Pass such "):
        crf(numpy_scorer(), **options)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    message = r'not installed \(.*\)\. Install it: pip install "segmentation-zoo\[crf\]"\. It is'
    with pytest.raises(ImportError, match=message):
        crf(numpy_scorer())
