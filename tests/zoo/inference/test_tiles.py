"""Tiles give what the whole image gives, with bounded memory."""

import numpy as np
import pytest

import zoo
from tests.support.toys import NAMES, build_toy, difference, toy_images
from zoo.inference.reach import reach
from zoo.inference.tiles import tiled


def assert_same_scores(found, expected):
    assert difference(found, expected) < 1e-5
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("name", ["unet", "fcn_alexnet"])
def test_scores_of_tiles_are_those_of_the_whole_image(name):
    model = build_toy(name)
    margin, stride = reach(model)
    side = 4 * (margin // stride + 1) * stride
    (image,) = toy_images(name, 1, (side + 5, side + 43))  # no multiples of the stride
    sizes = []

    def score(tile):
        sizes.append(tile.shape[:2])
        return model(tile[np.newaxis], training=False)[0].numpy()

    expected, found = score(image), tiled(score, margin=margin, stride=stride, side=side)(image)
    assert len(sizes) > 4
    assert all(max(part) <= side for part in sizes[1:])
    assert_same_scores(found, expected)
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


def test_a_side_without_an_interior_is_an_error():
    with pytest.raises(ValueError, match=r"received side=300\. Pass side=352 or more\."):
        tiled(np.array, margin=144, stride=32, side=300)
    tiled(np.array, margin=144, stride=32, side=352)


def test_a_net_that_sees_further_than_half_a_tile_has_larger_tiles():
    margin, stride = reach(zoo.build("unet", classes=2, filters=1, depth=7))
    assert margin > 1024
    sizes = []
    image = np.zeros((40, 700_000), np.uint8)
    tiled(lambda tile: sizes.append(tile.shape) or tile, margin=margin, stride=stride)(image)
    assert len(sizes) > 100
    assert max(length for _, length in sizes) == 4 * 1152
