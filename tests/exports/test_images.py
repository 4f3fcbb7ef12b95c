"""Images to check an export with."""

import re

import numpy as np
import pytest
from PIL import Image

from exports.images import read_folder, scaled, textures


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(97, 131), (1, 1), (2, 300)])
def test_textures_are_the_same_every_time_and_rich(size, channels):
    images = textures(2, size, channels)
    assert images.shape == (2, *size, channels)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, textures(2, size, channels))
    assert not np.array_equal(images[0], images[1])
    if size == (97, 131):
        assert images.std() > 40
        assert len(np.unique(images)) > 200


@pytest.fixture
def folder(tmp_path):
    """150 grey pictures, each of its own value, in two formats and sizes, beside a text."""
    path = tmp_path / "pictures"
    path.mkdir()
    for number in range(150):
        picture = Image.new("L", (20 + number % 2, 10), number)
        picture.save(path / f"{number:03}{'.png' if number % 3 else '.BMP'}")
    (path / "notes.txt").write_text("no picture")
    return path


def test_a_folder_gives_images_that_are_spread_over_it(folder):
    images = read_folder(folder, 1, (6, 7))
    assert (images.shape, images.dtype) == ((100, 6, 7, 1), np.uint8)
    values = images[:, 0, 0, 0].astype(int)
    assert (values[0], values[-1]) == (0, 149)
    assert set(np.diff(values)) == {1, 2}
    assert read_folder(folder, 3, (6, 7)).shape == (100, 6, 7, 3)


def test_a_folder_without_pictures_or_with_a_broken_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} holds none. Pass the folder in")):
        read_folder(tmp_path, 3, (6, 7))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png: cannot be read as an image"):
        read_folder(tmp_path, 3, (6, 7))


def test_images_are_scaled_as_pillow_scales_them():
    images = textures(2, (30, 41), 3)
    given = scaled(images, (13, 60))
    assert given.shape == (2, 13, 60, 3)
    for image, one in zip(images, given, strict=True):
        np.testing.assert_array_equal(one, Image.fromarray(image).resize((60, 13)))
    assert scaled(images, (30, 41)) is images
    assert scaled(textures(1, (30, 41), 5), (3, 4)).shape == (1, 3, 4, 5)


def test_what_calibrates_is_what_the_graph_sees(tmp_path):
    """Of 16 bits the graph takes the upper 8; Pillow alone makes white of most of them."""
    ramp = np.linspace(0, 65535, 30 * 41).astype(np.uint16).reshape(30, 41)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    (tmp_path / "._deep.png").write_bytes(b"a Mac's own file")
    (given,) = read_folder(tmp_path, 1, (30, 41))
    np.testing.assert_array_equal(given[..., 0], ramp >> 8)
