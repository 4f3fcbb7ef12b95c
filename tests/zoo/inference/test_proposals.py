"""Windows are joined as in a loop over boxes, and boxes are what they can be."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests.support.scorers import image_of, linear, numpy_scorer, softmax
from zoo.inference.proposals import PAPER, RELEASE, Rules, proposals
from zoo.inference.scorers import CLASSES, PROBABILITIES, SCORES

BOXES = np.array([(2, 3, 14, 15), (10, 0, 30, 20), (25, 10, 40, 19), (-9, 12, 6, 99)])
SMALL = Rules(size=16)


def scaled(array, width, height):
    bands = [
        Image.fromarray(np.ascontiguousarray(array[..., band], np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for band in range(array.shape[-1])
    ]
    return np.stack(bands, -1)


def by_loop(image, boxes, rules, of_crop):
    """A map for each window, on a canvas with room around the image, and zeros outside."""
    height, width, channels = image.shape
    room = max(height, width)
    canvas = np.broadcast_to(
        np.asarray(rules.fill, np.float32), (height + 2 * room, width + 2 * room, channels)
    ).copy()
    canvas[room : room + height, room : room + width] = image
    maps, holds = [], []
    for x0, y0, x1, y1 in boxes:
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if min(x1 - x0, y1 - y0) < rules.smallest_side or len(maps) == rules.most:
            continue
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        half_x, half_y = (x1 - x0) * rules.context / 2, (y1 - y0) * rules.context / 2
        x0, y0, x1, y1 = (round(one) for one in (x - half_x, y - half_y, x + half_x, y + half_y))
        rows, columns = slice(room + y0, room + y1), slice(room + x0, room + x1)
        scores = of_crop(scaled(canvas[rows, columns], rules.size, rules.size))
        one = np.zeros((*canvas.shape[:2], scores.shape[-1]))
        one[rows, columns] = scaled(scores, x1 - x0, y1 - y0)
        held = np.zeros((*canvas.shape[:2], 1))
        held[rows, columns] = 1
        maps.append(one[room : room + height, room : room + width])
        holds.append(held[room : room + height, room : room + width])
    if rules.how == "mean":
        found = np.sum(maps, 0) / np.maximum(np.sum(holds, 0), 1)
    else:
        found = np.max(maps, 0)
    return np.maximum(found, 0) if rules.zeros == "everywhere" else found


def scores_of(crop):
    return linear(crop[np.newaxis])[0]


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize(
    "rules",
    [
        SMALL,
        Rules(size=16, zeros="everywhere"),
        Rules(size=16, how="mean"),
        Rules(size=16, how="mean", zeros="everywhere"),
        Rules(size=9, context=1.4, fill=(100, 110, 120)),
        Rules(size=16, smallest_side=9, most=2),
    ],
)
def test_scores_are_those_of_a_loop_over_the_boxes(rules, batch):
    image = image_of(24, 36)
    expected = by_loop(image, BOXES, rules, scores_of)
    assert (expected == 0).any()
    assert rules.zeros == "everywhere" or rules.how == "maximum" or (expected < 0).any()
    found = proposals(numpy_scorer(gives=SCORES), BOXES, rules=rules, batch=batch)
    assert found.gives == SCORES
    np.testing.assert_allclose(found(image), expected, atol=2e-5)


def test_one_window_keeps_its_negative_scores_in_the_paper_only():
    image, whole = image_of(24, 36), np.array([(0, 0, 36, 24)])
    answer = numpy_scorer(gives=SCORES)
    assert proposals(answer, whole, rules=SMALL)(image).min() < 0
    everywhere = dataclasses.replace(SMALL, zeros="everywhere")
    assert proposals(answer, whole, rules=everywhere)(image).min() == 0


def test_joined_probabilities_add_up_to_one():
    image = image_of(24, 36)
    expected = by_loop(image, BOXES, SMALL, lambda crop: softmax(scores_of(crop)))
    sums = expected.sum(-1, keepdims=True)
    assert (sums == 0).any()
    expected = np.where(sums > 0, expected / np.where(sums > 0, sums, 1), 1 / 3)
    found = proposals(numpy_scorer(), BOXES, rules=SMALL)
    assert found.gives == PROBABILITIES
    np.testing.assert_allclose(found(image), expected, atol=1e-5)
    assert proposals(numpy_scorer(gives=CLASSES), BOXES).gives == PROBABILITIES


def test_the_rules_of_paper_and_release():
    assert (PAPER.most, PAPER.smallest_side, PAPER.context, PAPER.size) == (50, 1, 1.2, 224)
    assert (PAPER.how, PAPER.zeros, PAPER.fill) == ("maximum", "outside", 0)
    assert dataclasses.replace(PAPER, smallest_side=112, zeros="everywhere") == RELEASE


def test_an_image_without_a_box_is_answered_whole():
    image = image_of(24, 36)
    none = np.zeros((0, 4), np.int32)
    answer = numpy_scorer(gives=SCORES)
    with pytest.warns(UserWarning, match="none of the 0 boxes .*: the image is answered whole"):
        found = proposals(answer, none, rules=SMALL)(image)
    expected = scaled(scores_of(scaled(image, 16, 16)), 36, 24)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    rules = dataclasses.replace(SMALL, smallest_side=21)
    with pytest.warns(UserWarning, match="none of the 4 boxes has sides of 21 pixels or more"):
        np.testing.assert_array_equal(proposals(answer, BOXES, rules=rules)(image), found)


@pytest.mark.parametrize("box", [(40, 2, 50, 9), (5, 5, 5, 9), (9, 2, 3, 9), (0, -8, 9, 0)])
def test_a_box_has_pixels_of_its_image(box):
    message = rf"36 × 24 \(width × height\); received {', '.join(map(str, box))}\. Pass x0, y0, x1"
    with pytest.raises(ValueError, match=message):
        proposals(numpy_scorer(), np.array([BOXES[0], box]))(image_of(24, 36))


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1)])
def test_thin_images_have_an_answer(size):
    boxes = np.array([(0, 0, size[1], size[0])])
    assert proposals(numpy_scorer(), boxes, rules=SMALL)(image_of(*size)).shape == (*size, 3)


def test_boxes_are_those_of_each_image():
    seen = []

    def boxes(image):
        seen.append(image)
        return BOXES[:1]

    images = np.stack([image_of(24, 36), image_of(24, 36, seed=4)])
    found = proposals(numpy_scorer(), boxes, rules=SMALL).answer(images)
    assert found.shape == (2, 24, 36, 3)
    np.testing.assert_array_equal(seen, images)


def test_edge_boxes_are_the_default():
    pytest.importorskip("cv2.ximgproc")
    image = np.full((120, 160, 3), 30, np.uint8)
    image[30:100, 20:70] = 220
    rules = dataclasses.replace(SMALL, most=1, how="mean")
    found = proposals(numpy_scorer(gives=SCORES), rules=rules)(image)
    assert (found[32:98, 22:68] != 0).all()
    assert not found[:, 90:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": 0}, "received 0, 224 and 1. Pass such numbers"),
        ({"size": 0}, "received 50, 0 and 1. Pass such numbers"),
        ({"context": 0.5}, "from 1 to 4; received 0.5. Pass 1 for none"),
        ({"how": "max"}, "received 'max' and 'outside'. Pass such words"),
        ({"zeros": "no"}, "received 'maximum' and 'no'. Pass such words"),
    ],
)
def test_wrong_rules_are_refused(options, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        Rules(**options)


def test_a_batch_has_a_window():
    with pytest.raises(ValueError, match=r"received 0\. Pass batch=8"):
        proposals(numpy_scorer(), batch=0)
