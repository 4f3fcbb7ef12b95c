"""The SVG of every model: well formed, whole, and no text lies on another or off the sheet."""

import functools
import itertools
import re
from xml.etree import ElementTree

import keras
import pytest
from PIL import ImageFont

import zoo
from tests.support.toys import ALL, build_toy
from zoo.drawing import svg
from zoo.models.plain import plain
from zoo.models.without_values import without_values

SPACE = "{http://www.w3.org/2000/svg}"


def full_size(name: str) -> keras.Model:
    """Without the memory of its weights; of several heads the first."""
    with without_values():
        return plain(zoo.build(name), next(iter(zoo.describe(name).heads), None))


@functools.cache
def drawn(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg(full_size(name)))


def texts(root: ElementTree.Element) -> dict[str, tuple[float, float, float, float]]:
    """The rectangle of each text, as Pillow's font measures it."""
    found = {}
    for number, text in enumerate(root.iter(f"{SPACE}text")):
        x, y, size = (float(text.get(name)) for name in ("x", "y", "font-size"))
        width = ImageFont.load_default(size).getlength(text.text.replace("×", "x"))
        left = {"start": 0, "middle": -width / 2, "end": -width}[text.get("text-anchor")]
        box = (x + left, y - 0.75 * size, x + left + width, y + 0.2 * size)
        if text.get("transform"):  # turned by a quarter, so that it ends above
            box = (x - 0.75 * size, y, x + 0.2 * size, y + width)
        found[f"{number}: {text.text}"] = box
    return found


@pytest.mark.parametrize("name", ALL)
def test_no_text_lies_on_another_or_off_the_sheet(name):
    root = drawn(name)
    width, height = float(root.get("width")), float(root.get("height"))
    found = texts(root)
    stages = len({title.text for title in root.iter(f"{SPACE}title")})
    # The net at one resolution has its image, its convolutions in a row, and the scores.
    assert stages == 3 if name == "fullres" else stages > 9
    # The name and the size of each, the title, the note, and the kinds.
    assert len(found) > 2 * stages + 2
    for text, (left, top, right, bottom) in found.items():
        assert left >= 0, text
        assert top >= 0, text
        assert right <= width, text
        assert bottom <= height, text
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (one, other)


@pytest.mark.parametrize("name", ALL)
def test_it_says_what_the_card_says(name):
    words = [text.text for text in drawn(name).iter(f"{SPACE}text")]
    card = zoo.describe(name)
    title = f"{name}: {card.parameters:,} parameters, "
    if card.heads:  # the scores of the others are not drawn: 4096, 512 and 256 features and a bias
        scored = {32: 4097, 16: 4097 + 513, 8: 4097 + 513 + 257}[card.stride]
        title = f"{name}, the head semantic: {card.parameters - 3 * scored:,} parameters, "
    assert words[0].startswith(title)


def test_its_sizes_are_those_of_the_papers():
    names = "fcn8s", "deconvnet", "unet", "vgg16_heatmap"
    words = {name: [x.text for x in drawn(name).iter(f"{SPACE}text")] for name in names}
    assert "698 × 698 × 64" in words["fcn8s"]
    assert "score_pool4, score_pool4c 34 × 34 × 21" in words["fcn8s"]
    assert words["deconvnet"].count("1 × 1 × 4096") == 1
    assert sum(word.startswith("switches") for word in words["deconvnet"]) == 5
    assert "572 × 572 × 3" in words["unet"]
    assert "10 × 10 × 1000" in words["vgg16_heatmap"]


def test_boxes_are_as_tall_as_features_and_arrows_dashed_for_switches():
    root = drawn("deconvnet")
    boxes = {}
    for box in root.iter(f"{SPACE}rect"):
        title = box.find(f"{SPACE}title")
        if title is not None:
            boxes[title.text.partition(":")[0]] = float(box.get("height"))
    assert boxes["conv1_1, conv1_2"] == 2 * boxes["pool1"] == 4 * boxes["pool2"] == boxes["score"]
    arrows = list(root.iter(f"{SPACE}polyline"))
    assert sum("stroke-dasharray" in arrow.attrib for arrow in arrows) == 6  # and the legend's
    solid = list(drawn("unet").iter(f"{SPACE}polyline"))
    assert not any("stroke-dasharray" in arrow.attrib for arrow in solid)


def test_the_size_of_the_image_is_an_option():
    text = svg(build_toy("unet"), (100, 150))
    assert "drawn for an image of 100 × 150" in text
    assert re.search(">100 × 150 × 4<", text)
