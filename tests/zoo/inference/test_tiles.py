"""Tiles give what the whole image gives, or nearly so where they are blended."""

import dataclasses

import numpy as np
import pytest

import zoo
from tests.support.toys import NAMES, build_toy, difference, toy_images
from zoo.inference import memory, scorers, tiling
from zoo.inference.reach import reach
from zoo.inference.scorers import CLASSES, Scorer
from zoo.inference.tiles import tiled
from zoo.spec import Spec


def assert_same_scores(found, expected):
    assert difference(found, expected) < 1e-5
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


def of_function(answer, *, margin=0, stride=1, classes=2, **fields):
    """A Scorer of a function from one image to its answer."""
    spec = Spec("model", {"classes": classes, "channels": 1})
    return Scorer(
        lambda images: np.stack([answer(image) for image in images]), spec, margin, stride, **fields
    )


def noted(answer: Scorer, sizes: list) -> Scorer:
    """A Scorer that notes the sizes of what it answers."""

    def asked(images):
        sizes.append(images.shape[1:3])
        return answer.answer(images)

    return dataclasses.replace(answer, answer=asked)


def ones(image):
    return np.ones((*image.shape[:2], 2), np.float32)


@pytest.mark.parametrize("name", ["unet", "fcn_alexnet"])
def test_scores_of_tiles_are_those_of_the_whole_image(name):
    answer, sizes = scorers.of_model(build_toy(name), scores=True), []
    side = 4 * (answer.margin // answer.stride + 1) * answer.stride
    images = toy_images(name, 2, (side + 5, side + 43))  # no multiples of the stride
    found = tiled(noted(answer, sizes), side=side).answer(images)
    assert len(sizes) == 8
    assert all(max(size) <= side for size in sizes)
    assert_same_scores(found, answer.answer(images))
    assert len(np.unique(found.argmax(-1))) == 4


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_a_tile_scores_its_interior_as_the_whole_image(name, axis):
    """One tile that ends inside the image and one that begins there, along each axis."""
    model = build_toy(name)
    margin, stride = reach(model)
    margin = -(-margin // stride) * stride
    size = [75, 2 * margin + 5 * stride + 3]
    (image,) = toy_images(name, 1, tuple(size if axis else size[::-1]))

    def score(part):
        return np.moveaxis(model(part[np.newaxis], training=False)[0].numpy(), axis, 0)

    whole, along = score(image), np.moveaxis(image, axis, 0)
    first, begin = 2 * stride + 1, 3 * stride
    ends = score(np.moveaxis(along[: first + margin], 0, axis))[:first]
    begins = score(np.moveaxis(along[begin:], 0, axis))[margin:]
    assert_same_scores(ends, whole[:first])
    assert_same_scores(begins, whole[begin + margin :])
    assert len(np.unique(whole.argmax(-1))) > 1


@pytest.mark.parametrize("overlap", [None, 0, 3, 8])
@pytest.mark.parametrize("size", [(1, 400), (400, 1), (5, 7), (20, 20), (41, 23), (60, 61)])
def test_tiles_cover_an_image_of_any_size_with_weights_that_add_up_to_1(size, overlap):
    answer = of_function(ones, margin=4, stride=4)
    image = np.zeros((*size, 1), np.uint8)
    found = tiled(answer, side=20, overlap=overlap)(image)
    assert found.shape == (*size, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_blended_tiles_are_the_weighted_mean_of_the_definition():
    """Each tile answers with its own number: the weight of each is seen alone."""
    numbers = iter(range(1, 15))
    answer = of_function(
        lambda image: np.full((*image.shape[:2], 2), float(next(numbers)), np.float32)
    )
    found = tiled(answer, side=8, overlap=3)(np.zeros((1, 70, 1), np.uint8))[0, :, 0]
    expected = np.zeros(70)
    for pixel in range(70):
        weights = {}
        for tile in range(14):
            first, last = 5 * tile, 5 * tile + 7
            if first <= pixel <= last:  # from 1/4 at the edge to 1 behind the 3 shared pixels
                rise = 1 if tile == 0 else min(1, (pixel - first + 1) / 4)
                fall = 1 if last >= 69 else min(1, (last - pixel + 1) / 4)
                weights[tile] = min(rise, fall)
        total = sum(weights.values())
        expected[pixel] = sum((tile + 1) * weight for tile, weight in weights.items()) / total
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_classes_are_cut_and_not_blended():
    numbers = iter([0, 1])

    def one_hot(image):
        return np.broadcast_to(np.eye(2, dtype=np.float32)[next(numbers)], (*image.shape[:2], 2))

    answer = of_function(one_hot, gives=CLASSES)
    found = tiled(answer, side=8, overlap=4)(np.zeros((12, 8, 1), np.uint8))
    np.testing.assert_array_equal(found.argmax(-1)[:, 0], [0] * 6 + [1] * 6)
    assert set(np.unique(found)) == {0, 1}


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("fcn8s", {0: 0.1, 64: 0.05, 256: 0.01}), ("deconvnet", {0: 0.2, 64: 0.15, 256: 0.1})],
)
def test_the_seams_of_blended_tiles_shrink_with_their_overlap(name, bounds):
    """The share of pixels with another class than that of the whole image.

    Of nets with random weights, which listen to what is far as much as to what is near.
    """
    answer = scorers.of_model(build_toy(name))
    (image,) = toy_images(name, 1, (300, 1100))
    whole, changed = answer(image), []
    for overlap, bound in bounds.items():
        found = tiled(answer, side=512, overlap=overlap)(image)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
        changed.append((found.argmax(-1) != whole.argmax(-1)).mean())
        assert 0 < changed[-1] < bound
    assert changed == sorted(changed, reverse=True)


def test_a_side_without_an_interior_is_an_error():
    answer = of_function(ones, margin=144, stride=32)
    with pytest.raises(ValueError, match=r"received 300\. Pass 320 or more, or a smaller overlap"):
        tiled(answer, side=300)
    tiled(answer, side=320)
    with pytest.raises(ValueError, match=r"overlap by 100; received 227\. Pass 228 or more"):
        tiled(answer, side=227, overlap=100)
    tiled(answer, side=228, overlap=100)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"side": 0}, "side is a whole number of pixels from 1; received 0. "),
        ({"side": 2.5}, "side is a whole number of pixels from 1; received 2.5. "),
        ({"overlap": -1}, "overlap is a whole number of pixels from 0; received -1. "),
    ],
)
def test_a_side_and_an_overlap_are_whole_numbers(options, text):
    with pytest.raises(ValueError, match=text):
        tiled(of_function(ones), **options)


def test_a_tile_has_no_more_pixels_than_a_file_takes():
    sizes = []
    answer = noted(of_function(ones, margin=4, stride=2, max_pixels=1000), sizes)
    found = tiled(answer)
    assert found.max_pixels is None
    assert found(np.zeros((70, 90, 1), np.uint8)).shape == (70, 90, 2)
    assert max(height * width for height, width in sizes) == 31 * 31
    with pytest.raises(ValueError, match=r"takes 1,000 pixels at most; received 32 × 32\. Pass 31"):
        tiled(answer, side=32)
    far = dataclasses.replace(answer, margin=40)
    with pytest.raises(ValueError, match=r"82 × 82 .* 1,000 pixels .* Pass overlap=7, which"):
        tiled(far)
    assert tiled(far, overlap=7)(np.zeros((70, 90, 1), np.uint8)).shape == (70, 90, 2)
    with pytest.raises(ValueError, match=r"of 30; .* Pass a smaller overlap=, which"):
        tiled(far, overlap=30)


def test_a_net_that_sees_further_than_half_a_tile_has_larger_tiles():
    margin, stride = reach(zoo.build("unet", classes=2, filters=1, depth=7))
    assert margin > 1024
    sizes = []
    answer = noted(of_function(ones, margin=margin, stride=stride), sizes)
    tiled(answer)(np.zeros((40, 700_000, 1), np.uint8))
    assert len(sizes) > 100
    assert max(length for _, length in sizes) == 4 * margin


def test_the_side_that_fits_follows_from_the_memory(monkeypatch):
    answer = of_function(ones, margin=31, stride=4, bytes_per_pixel=1000)
    free = {"bytes": 10**12}
    monkeypatch.setattr(memory, "available", lambda: free["bytes"])
    side = tiling.auto_side(answer)
    assert side == 1092  # 1092² × 1000 bytes are 1.19 GB
    assert tiling.auto_side(dataclasses.replace(answer, bytes_per_pixel=10)) == tiling.MAX_SIDE
    free["bytes"] = 2 * 10**9
    assert tiling.auto_side(answer) == 1000
    assert tiling.auto_side(dataclasses.replace(answer, max_pixels=640_000)) == 800
    assert tiling.auto_side(dataclasses.replace(answer, bytes_per_pixel=None)) == 704
    free["bytes"] = 4_400_000  # 66² × 1000 are 4.356 MB
    assert tiling.auto_side(answer) == 66
    free["bytes"] = 4_300_000
    with pytest.raises(MemoryError, match=r"66 × 66 pixels, the least, .* Pass a smaller overlap="):
        tiling.auto_side(answer)
    assert tiling.auto_side(answer, overlap=8) == 44
