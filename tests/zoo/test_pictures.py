"""Palettes, class-map PNGs and overlays."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from zoo import images, pictures

NAMES = ["background", "coin", "hand"]


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    """Background on the left, class 2 on the right."""
    class_map = np.zeros((height, width), np.uint8)
    class_map[:, width // 2 :] = 2
    return class_map


def colours(picture: np.ndarray) -> set[tuple[int, int, int]]:
    return {tuple(int(part) for part in pixel) for pixel in picture.reshape(-1, 3)}


def test_the_voc_palette_is_vocs():
    # The colours that the VOC development kit states for its classes and for void.
    stated = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        4: (0, 0, 128),
        5: (128, 0, 128),
        6: (0, 128, 128),
        7: (128, 128, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    palette = pictures.voc_palette()
    assert {number: tuple(palette[number]) for number in stated} == stated
    assert len(colours(palette)) == 256
    np.testing.assert_array_equal(pictures.voc_palette(21), palette[:21])


def test_the_bright_palette_keeps_first_classes_apart_and_void_white():
    palette = pictures.bright_palette()
    assert len(colours(palette[:32])) == 32
    assert palette.max(axis=1).min() == 255
    assert tuple(palette[255]) == (255, 255, 255)


@pytest.mark.parametrize("make", [pictures.voc_palette, pictures.bright_palette])
@pytest.mark.parametrize("classes", [0, 257, 2.0, True])
def test_a_palette_has_1_to_256_colours(make, classes):
    text = f"A palette has 1 to 256 colours; received {classes!r}. Pass 256 for all."
    with pytest.raises(ValueError, match=re.escape(text)):
        make(classes)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_a_class_map_keeps_its_numbers_and_shows_vocs_colours(tmp_path, dtype):
    class_map = np.arange(256).reshape(8, 32).astype(dtype)
    path = pictures.save_class_map(tmp_path / "mask.png", class_map)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), class_map)
    np.testing.assert_array_equal(images.read_class_map(path), class_map)
    shown = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(shown, pictures.voc_palette()[class_map])


def test_a_class_map_takes_another_palette(tmp_path):
    palette = pictures.voc_palette()
    palette[2] = (1, 2, 3)
    path = pictures.save_class_map(tmp_path / "mask.png", halves(), palette=palette)
    assert Image.open(path).convert("RGB").getpixel((59, 0)) == (1, 2, 3)


@pytest.mark.parametrize("step", [(Image.Image, "save"), (os, "replace")])
def test_a_full_disk_leaves_the_older_class_map(step, tmp_path, monkeypatch):
    path = pictures.save_class_map(tmp_path / "mask.png", halves())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*step, full)
    with pytest.raises(OSError, match="No space left"):
        pictures.save_class_map(path, 1 - halves() // 2)
    monkeypatch.undo()
    np.testing.assert_array_equal(images.read_class_map(path), halves())
    assert [entry.name for entry in tmp_path.iterdir()] == ["mask.png"]


@pytest.mark.parametrize(
    ("class_map", "text"),
    [
        (np.zeros((1, 4, 4), int), "is [h, w], one number per pixel; received [1, 4, 4]. Take one"),
        (np.zeros((0, 4), int), "is [h, w], one number per pixel; received [0, 4]. Take one"),
        (np.zeros((4, 4)), "holds whole numbers; received float64. Take the argmax of scores"),
        (np.full((4, 4), 256), "numbers from 0 to 255; received 256. Map void pixels to 255."),
        (np.full((4, 4), -1), "numbers from 0 to 255; received -1. Map void pixels to 255."),
    ],
)
def test_what_is_no_class_map_is_refused(tmp_path, class_map, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        pictures.save_class_map(tmp_path / "mask.png", class_map)
    with pytest.raises(ValueError, match=re.escape(text)):
        pictures.overlay(np.zeros((4, 4, 3), np.uint8), class_map, NAMES)
    assert not list(tmp_path.iterdir())


def test_a_class_map_is_a_png_and_a_palette_is_whole(tmp_path):
    text = "A class map is saved as PNG, which keeps every number; received 'm.jpg'. Name it m.png."
    with pytest.raises(ValueError, match=re.escape(text)):
        pictures.save_class_map(tmp_path / "m.jpg", halves())
    text = "A palette is uint8 [256, 3], a colour for every number; received uint8 [21, 3]. Change"
    for wrong in (pictures.voc_palette(21),):
        with pytest.raises(ValueError, match=re.escape(text)):
            pictures.save_class_map(tmp_path / "m.png", halves(), palette=wrong)
        with pytest.raises(ValueError, match=re.escape(text)):
            pictures.overlay(np.zeros((40, 60), np.uint8), halves(), NAMES, palette=wrong)


def test_an_overlay_tints_and_outlines_the_classes_but_not_the_background():
    image = np.full((400, 600, 3), 100, np.uint8)
    sheet = np.asarray(pictures.overlay(image, halves(400, 600), NAMES, opacity=0.5))
    picture, colour = sheet[:400, :600], pictures.bright_palette()[2].astype(int)
    assert (picture[:, :300] == 100).all()
    np.testing.assert_array_equal(picture[:, 300], np.broadcast_to(colour, (400, 3)))
    assert (np.abs(picture[:, 301:] - (100 + colour) / 2) <= 0.5).all()


def test_an_overlay_can_tint_the_background():
    image = np.full((400, 600, 3), 100, np.uint8)
    sheet = np.asarray(pictures.overlay(image, halves(400, 600), NAMES, background=None))
    assert (sheet[:400, :299] != 100).any()


def test_the_legend_shows_the_classes_that_occur_only():
    palette = pictures.bright_palette()
    image = np.zeros((400, 600, 3), np.uint8)
    class_map = halves(400, 600)
    legend = colours(np.asarray(pictures.overlay(image, class_map, NAMES))[400:])
    assert tuple(palette[2]) in legend
    assert tuple(palette[1]) not in legend
    class_map[:50] = 1
    class_map[-50:] = 255  # void has no name of its own
    wider = np.asarray(pictures.overlay(image, class_map, NAMES))[400:]
    assert {tuple(palette[1]), tuple(palette[2])} <= colours(wider)
    assert (wider < 128).sum() > (
        np.asarray(pictures.overlay(image, halves(400, 600), NAMES))[400:] < 128
    ).sum()


def test_the_legend_stands_below_the_picture_and_wraps():
    class_map = np.arange(21)[None].repeat(40, 0).repeat(4, 1)
    image = np.full((*class_map.shape, 3), 200, np.uint8)
    names = [f"class number {number}" for number in range(21)]
    sheet = pictures.overlay(image, class_map, names, opacity=0)
    factor = 4  # 84 pixels wide: enlarged to at least 320
    assert sheet.width == 84 * factor
    picture = np.asarray(sheet)[: 40 * factor]
    assert (picture[10::20, 8::16] == 200).all()
    assert sheet.height > 40 * factor + 21 // 3 * 14


def test_a_long_name_widens_the_sheet():
    names = ["background", "coin", "hand " * 40]
    sheet = np.asarray(pictures.overlay(np.zeros((40, 60), np.uint8), halves(), names))
    assert sheet.shape[1] > 640
    assert (sheet[:, -5:] == 255).all()


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3)])
def test_grey_and_coloured_images_are_taken(shape):
    image = np.full(shape, 77, np.uint8)
    sheet = np.asarray(pictures.overlay(image, halves(), NAMES))
    assert tuple(sheet[0, 0]) == (77, 77, 77)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (
            np.zeros((40, 60, 3)),
            "An image is uint8 [h, w, 3], [h, w, 1] or [h, w]; received float64",
        ),
        (np.zeros((1, 40, 60, 3), np.uint8), "received uint8 [1, 40, 60, 3]. Take one image"),
        (np.zeros((40, 60, 4), np.uint8), "received uint8 [40, 60, 4]. Take one image"),
        (np.zeros((60, 40, 3), np.uint8), "one size; received 60 × 40 and 40 × 60. Crop or scale"),
    ],
)
def test_what_is_no_image_of_the_class_map_is_refused(image, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        pictures.overlay(image, halves(), NAMES)


def test_a_class_without_a_name_and_a_wrong_opacity_are_refused():
    image = np.zeros((40, 60), np.uint8)
    text = "Each class that occurs has a name; class 2 has none among 2 names. Give one for each"
    with pytest.raises(ValueError, match=re.escape(text)):
        pictures.overlay(image, halves(), NAMES[:2])
    text = "opacity is from 0 to 1; received 45. Pass 0.45, for example."
    with pytest.raises(ValueError, match=re.escape(text)):
        pictures.overlay(image, halves(), NAMES, opacity=45)


def test_a_hidden_class_is_drawn_as_the_background_is():
    class_map, image = halves(340, 340), np.full((340, 340, 3), 90, np.uint8)
    class_map[:100] = 1
    drawn = np.asarray(pictures.overlay(image, class_map, NAMES, hidden=[2]))
    expected = np.where(class_map == 2, 0, class_map)
    # Class 1 is outlined where it meets the hidden class, as where it meets the background.
    np.testing.assert_array_equal(
        drawn[:340], np.asarray(pictures.overlay(image, expected, NAMES))[:340]
    )
    everything = np.asarray(pictures.overlay(image, class_map, NAMES))
    assert drawn.shape == everything.shape  # the legend still names it
    assert tuple(pictures.bright_palette()[2]) in colours(everything[340:])
    assert tuple(pictures.bright_palette()[2]) not in colours(drawn[340:])
    assert tuple(pictures.bright_palette()[1]) in colours(drawn[340:])


def test_a_given_legend_does_not_depend_on_the_classes_that_occur():
    image = np.zeros((50, 70, 3), np.uint8)
    found = [
        np.asarray(pictures.overlay(image, class_map, NAMES, legend=range(3), smallest=1))
        for class_map in (halves(50, 70), np.zeros((50, 70), np.uint8), np.full((50, 70), 255))
    ]
    assert len({one.shape for one in found}) == 1
    for one in found:
        np.testing.assert_array_equal(one[50:], found[0][50:])
    assert colours(found[1][:50, :70]) == {(0, 0, 0)}
