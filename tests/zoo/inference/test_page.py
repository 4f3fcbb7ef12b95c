"""What the page of `zoo demo` answers and draws, without a server."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from tests.support.toys import build_toy, toy_images
from zoo import images, pictures
from zoo.inference import page
from zoo.inference.methods import Method
from zoo.inference.scorers import Scorer, scorer
from zoo.spec import Spec

NAMES = ("background", "left", "right")


@pytest.fixture
def model():
    """Answers dark pixels as background, and bright ones by the half of the image they are in."""

    def answer(batch):
        bright = np.broadcast_to(batch.mean(-1) > 100, batch.shape[:3])
        half = np.arange(batch.shape[2]) * 2 // batch.shape[2] + 1
        return np.eye(3, dtype=np.float32)[np.where(bright, half, 0)]

    return Scorer(answer, Spec("unet", {"classes": 3, "channels": 3}, NAMES, 0), 8, 4)


@pytest.fixture
def file(tmp_path):
    """20 × 40 pixels, dark in the upper quarter."""
    image = np.full((20, 40, 3), 200, np.uint8)
    image[:5] = 0
    Image.fromarray(image).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_an_image_is_answered_with_shares(model, file):
    found = page.answer(model, file, Method())
    assert found.class_map.tolist() == [[0] * 40] * 5 + [[1] * 20 + [2] * 20] * 15
    assert found.shares == {1: 0.375, 2: 0.375, 0: 0.25}
    assert re.fullmatch(r"20 × 40 pixels, answered in 0\.\d seconds; 25\.0% background", found.told)
    np.testing.assert_array_equal(found.image, np.asarray(Image.open(file)))


def test_the_answer_of_a_net_is_that_of_its_scorer(tmp_path):
    net, image = build_toy("unet"), toy_images("unet", 1)[0].astype("uint8")
    Image.fromarray(image).save(tmp_path / "image.png")
    found = page.answer(scorer(net), tmp_path / "image.png", Method())
    np.testing.assert_array_equal(found.class_map, scorer(net)(image).argmax(-1))
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)


def test_an_image_is_turned_as_viewers_turn_it(model, file):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(file) as image:
        image.save(file.with_name("turned.png"), exif=exif)
    found = page.answer(model, file.with_name("turned.png"), Method())
    assert found.class_map.shape == found.image.shape[:2] == (40, 20)
    assert (found.class_map[:, -5:] == 0).all()


def test_a_large_answer_is_shown_small_with_whole_classes(model, file, monkeypatch):
    monkeypatch.setattr(page, "LONGEST_SHOWN", 8)
    found = page.answer(model, file, Method())
    assert found.class_map.tolist() == [[0] * 8] + [[1] * 4 + [2] * 4] * 3
    assert found.image.shape == (4, 8, 3)
    assert found.shares == {1: 0.375, 2: 0.375, 0: 0.25}
    monkeypatch.setattr(page, "LONGEST_SHOWN", 13)  # between 0 and 2 there is no class 1
    small = page.answer(model, file, Method()).class_map
    assert set(small[:, 7:].ravel()) == {0, 2}


def test_an_image_with_too_many_pixels_is_refused(model, file, monkeypatch):
    monkeypatch.setattr(page, "MAX_PIXELS", 799)
    text = "has 799 pixels at most; this one has 20 × 40. Scale it down, or answer it with zoo pr"
    with pytest.raises(images.ImageError, match=re.escape(text)):
        page.answer(model, file, Method())


def test_classes_that_are_not_shown_look_as_the_background_does(model, file):
    found = page.answer(model, file, Method())
    drawn = np.asarray(page.draw(found, model.spec, [1], 1.0))
    factor = drawn.shape[1] // 40
    colour, middle = pictures.bright_palette()[1], 10 * factor
    np.testing.assert_array_equal(drawn[middle, 5 * factor], colour)
    np.testing.assert_array_equal(drawn[middle, 35 * factor], (200, 200, 200))
    both = np.asarray(page.draw(found, model.spec, [1, 2], 1.0))
    np.testing.assert_array_equal(both[middle, 35 * factor], pictures.bright_palette()[2])


def test_without_gradio_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=re.escape('pip install "segmentation-zoo[demo]".')):
        page.page(model, title="toy")
