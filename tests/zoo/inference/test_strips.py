"""Strips of a class map are that of the whole image; rows are read once, one strip ahead."""

import threading

import numpy as np
import pytest

from tests.support.toys import build_toy, toy_images
from zoo.inference import scorers
from zoo.inference.strips import class_map, strips
from zoo.inference.tiles import tiled


class Counted:
    """An image that notes which rows are read, and by how many threads."""

    def __init__(self, image):
        self.image, self.shape = image, image.shape
        self.rows, self.threads = [], set()

    def __getitem__(self, rows):
        self.rows += range(*rows.indices(len(self.image)))
        self.threads.add(threading.get_ident())
        return self.image[rows]


@pytest.fixture(scope="module")
def answer():
    return scorers.of_model(build_toy("unet"))


@pytest.fixture(scope="module")
def image():
    return toy_images("unet", 1, (250, 150))[0].astype(np.uint8)


@pytest.mark.parametrize("overlap", [None, 16])
def test_strips_are_the_argmax_of_tiles(answer, image, overlap):
    expected = tiled(answer, side=96, overlap=overlap)(image).argmax(-1)
    counted, told, parts = Counted(image), [], []
    for rows, part in strips(answer, counted, side=96, overlap=overlap, told=told.append):
        assert part.dtype == np.uint8
        assert rows.start == sum(map(len, parts))
        parts.append(part)
        assert sum(told) == 150 * rows.stop
        assert max(counted.rows) <= rows.stop + 2 * 96  # one strip ahead
    assert len(parts) > 2
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert len(np.unique(expected)) == 4
    assert counted.rows == list(range(250))
    assert len(counted.threads) == 1
    np.testing.assert_array_equal(class_map(answer, image, side=96, overlap=overlap), expected)


@pytest.mark.parametrize("overlap", [None, 16])
def test_strips_begin_where_others_ended(answer, image, overlap):
    options = {"side": 96, "overlap": overlap}
    whole = list(strips(answer, image, **options))
    for number, (rows, _) in enumerate(whole):
        counted, told = Counted(image), []
        found = list(strips(answer, counted, start=rows.stop, told=told.append, **options))
        assert [one[0] for one in found] == [one[0] for one in whole[number + 1 :]]
        for (_, part), (_, expected) in zip(found, whole[number + 1 :], strict=True):
            np.testing.assert_array_equal(part, expected)
        assert sum(told) == (250 - rows.stop) * 150
        assert len(set(counted.rows)) == len(counted.rows)
        assert min(counted.rows, default=250) >= rows.start - 96


def test_a_start_within_a_strip_is_an_error(answer, image):
    with pytest.raises(ValueError, match=r"at one of the rows 0, 6\d, .*; received start=5\. Pass"):
        list(strips(answer, image, side=96, start=5))


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (1, 1), (30, 30)])
def test_small_and_thin_images(answer, size):
    (image,) = toy_images("unet", 1, size)
    found = class_map(answer, Counted(image), side=96)
    np.testing.assert_array_equal(found, tiled(answer, side=96)(image).argmax(-1))


def test_an_error_of_the_reader_ends_the_strips(answer, image):
    class Damaged(Counted):
        def __getitem__(self, rows):
            if rows.start > 100:
                raise OSError("damaged")
            return super().__getitem__(rows)

    found = strips(answer, Damaged(image), side=96)
    with pytest.raises(OSError, match="damaged"):
        list(found)
    assert threading.active_count() < 20
