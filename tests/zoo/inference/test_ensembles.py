"""An ensemble is the formula of the paper or of the release, and its members agree on classes."""

import numpy as np
import pytest

from tests.support.scorers import image_of, linear, numpy_scorer, softmax
from zoo.inference.ensembles import ensemble
from zoo.inference.scorers import CLASSES, PROBABILITIES, SCORES


def parts(image):
    scores = [linear(image[np.newaxis], seed=seed)[0].astype(float) for seed in (0, 1)]
    return scores, [softmax(one) for one in scores]


MEMBERS = [numpy_scorer(seed=0), numpy_scorer(seed=1, gives=SCORES, margin=9, stride=6)]


def test_the_mean_is_of_probabilities():
    image = image_of()
    _, (first, second) = parts(image)
    found = ensemble(MEMBERS)
    np.testing.assert_allclose(found(image), (first + second) / 2, atol=1e-6)
    weighted = ensemble(MEMBERS, weights=(3, 1))
    np.testing.assert_allclose(weighted(image), (3 * first + second) / 4, atol=1e-6)
    assert (found.gives, found.margin, found.stride) == (PROBABILITIES, 9, 12)
    assert found.answer(np.stack([image, image])).shape == (2, *image.shape)


def test_the_product_is_of_probabilities_and_adds_up_to_one():
    image = image_of()
    _, (first, second) = parts(image)
    for weights, product in (
        (None, first * second),
        ((3, 0.5), first**3 * second**0.5),
    ):
        expected = product / product.sum(-1, keepdims=True)
        found = ensemble(MEMBERS, weights=weights, how="product")(image)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_members_that_exclude_all_classes_leave_all_equal():
    def only(number):
        member = numpy_scorer(gives=CLASSES)
        chosen = np.eye(3, dtype=np.float32)[number]
        object.__setattr__(member, "answer", lambda images: np.zeros_like(images, "f4") + chosen)
        return member

    found = ensemble([only(0), only(1)], how="product")(image_of())
    np.testing.assert_allclose(found, np.broadcast_to([0.5, 0.5, 0], found.shape), atol=1e-6)


def test_the_release_multiplies_scores():
    image = image_of()
    (first, second), _ = parts(image)
    assert (first < 0).any()
    assert ((first < 0) & (second < 0)).any()  # whose product is not positive
    expected = softmax(np.maximum(first, 0) * np.maximum(second, 0))
    members = [numpy_scorer(seed=seed, gives=SCORES) for seed in (0, 1)]
    np.testing.assert_allclose(ensemble(members, how="release")(image), expected, atol=1e-5)


def test_the_names_are_those_of_the_member_that_knows_them():
    unknown, known = numpy_scorer(names=None, max_pixels=9), numpy_scorer(max_pixels=8)
    found = ensemble([unknown, known])
    assert found.spec.class_names == known.spec.class_names
    assert found.max_pixels == 8
    assert ensemble([numpy_scorer()]).max_pixels is None


def test_members_have_the_same_classes():
    other = numpy_scorer(names=("sky", "tree", "road"))
    message = (
        r"same classes in the same order; member 2 \(double\) has 3 classes with 'tree' as class "
        r"1, double has 3 classes with 'road' as class 1\. Leave one of them out"
    )
    with pytest.raises(ValueError, match=message):
        ensemble([numpy_scorer(), other])
    for names in (None, ("sky", "road", "tree", "car")):
        longer = numpy_scorer(classes=4, names=names)
        with pytest.raises(ValueError, match=r"member 2 \(double\) has 4 classes.*, double has 3"):
            ensemble([numpy_scorer(), longer])
    with pytest.raises(ValueError, match=r"member 2 \(double\) takes 1, double takes 3\. Leave"):
        ensemble([numpy_scorer(), numpy_scorer(channels=1)])


@pytest.mark.parametrize("weights", [(1,), (1, 0), (1, -1), (1, float("nan")), (1, float("inf"))])
def test_weights_are_positive(weights):
    with pytest.raises(ValueError, match="one for each of the 2 members; received "):
        ensemble(MEMBERS, weights=weights)


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match=r"received none\. Pass a Scorer\."):
        ensemble([])
    with pytest.raises(ValueError, match=r"how is mean, product or release; received 'max'\."):
        ensemble(MEMBERS, how="max")
    message = r"member 1 \(double\) gives probabilities\. Make it with scorer\(model, scores=True\)"
    with pytest.raises(ValueError, match=message):
        ensemble(MEMBERS, how="release")
    with pytest.raises(ValueError, match=r"has no weights; received \[1, 2\]\. Leave weights out"):
        ensemble(MEMBERS, how="release", weights=[1, 2])
