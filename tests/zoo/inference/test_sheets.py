"""Sheets: where pictures lie, how they are scaled, and that their captions fit."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from zoo.inference.sheets import FIELD, Panel, heat, sheet


def test_heat_is_lighter_all_the_way():
    """So that it is read on paper without colours, too."""
    grey = np.asarray(Image.fromarray(heat(np.linspace(0, 1, 200)[None], 0, 1)).convert("L"))[0]
    assert (np.diff(grey.astype(int)) >= 0).all()
    assert grey[0] < 20
    assert grey[-1] > 240
    np.testing.assert_array_equal(heat(np.array([[-5.0, 9.0]]), 0, 1), heat(np.eye(2)[1:], 0, 1))
    assert (heat(np.full((2, 2), 3.0), 3, 3) == heat(np.zeros((2, 2)), 0, 1)).all()


def test_a_small_picture_is_enlarged_with_its_pixels_as_they_are():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[0, 1] = 255, 0, 0
    drawn = np.asarray(sheet([Panel(picture, ("a",))], low="0", high="1"))
    field = drawn[14 : 14 + FIELD // 2, 14 : 14 + FIELD]
    colours = {tuple(int(part) for part in colour) for colour in field.reshape(-1, 3)}
    assert colours == {(0, 0, 0), (255, 0, 0)}
    assert (field == (255, 0, 0)).all(-1).sum() == (FIELD // 4) ** 2


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 11, 23])
def test_every_panel_is_on_the_sheet_and_none_is_on_another(count):
    colours = [(10 * number + 5, 255 - 10 * number, 120) for number in range(count)]
    panels = [Panel(np.full((40, 50, 3), colour, np.uint8), ("x",)) for colour in colours]
    drawn = np.asarray(sheet(panels, low="0", high="1"))
    counts = [(drawn == colour).all(-1).sum() for colour in colours]
    assert set(counts) == {FIELD * FIELD * 4 // 5}


def test_no_line_is_wider_than_its_field_or_leaves_the_sheet(monkeypatch):
    boxes, written = [], []
    draw_text = ImageDraw.ImageDraw.text

    def text(self, at, words, **options):
        where = {name: options[name] for name in ("font", "anchor")}
        boxes.append((self.textbbox(at, words, **where), self.im.size))
        written.append(words)
        draw_text(self, at, words, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    long = "dragonfly, darning needle, devil's darning needle, sewing needle, snake feeder"
    picture = np.zeros((30, 90, 3), np.uint8)
    panels = [Panel(picture, (long, "at most 0.1")), Panel(picture, ("x" * 120, "b"))] * 2
    sheet(panels, low="probability 0", high="0.5")
    assert long in " ".join(written)  # in several lines, and whole
    assert sum(words.endswith("…") for words in written) == 2  # one long word, twice
    for (left, top, right, bottom), (width, height) in boxes:
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height
        assert right - left <= FIELD
    captions = sorted(box for box, _ in boxes[:-2])
    for a, b in [(a, b) for n, a in enumerate(captions) for b in captions[n + 1 :]]:
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (a, b)
