"""Crops give the scores of the whole image at every cell, and only crops that are cut so."""

import keras
import numpy as np
import pytest

import zoo
from tests.support.toys import build_toy, difference, toy_images
from zoo.inference.scorers import scorer
from zoo.inference.windows import Field, classifier, windows

FIELDS = {"fcn32s": Field(404, -89, 32), "fcn_alexnet": Field(355, -64, 32)}
INSIDE = {"fcn32s": range(3, 13), "fcn_alexnet": range(2, 13)}  # of 500 × 500 pixels
EXACT = {"fcn32s": 411, "fcn_alexnet": 355}


def dense(model, image):
    inner = keras.Model(model.input, model.get_layer("score_fr").output)
    return inner(image[np.newaxis], training=False)[0].numpy()


@pytest.mark.parametrize("name", FIELDS)
def test_the_receptive_field_is_that_of_the_paper(name):
    parts = classifier(build_toy(name))
    assert parts.field == FIELDS[name]
    assert parts.cells((500, 500)) == (16, 16)
    inside = [
        cell
        for cell in range(16)
        if parts.field.first + 32 * cell >= 0
        and parts.field.first + 32 * cell + parts.field.side <= 700
    ]
    assert inside == list(INSIDE[name])
    for cell in inside:
        crop, _ = parts.field.crop(range(cell, cell + 1), 700)
        assert crop.stop - crop.start == EXACT[name]


@pytest.mark.parametrize("name", FIELDS)
def test_a_cell_depends_on_nothing_outside_its_field(name):
    model, field = build_toy(name), FIELDS[name]
    (image,) = toy_images(name, 1, (500, 500))
    low = field.first + 32 * 7 - 100  # in the image
    inside = slice(low, low + field.side)
    other = 255 - image
    other[inside, inside] = image[inside, inside]
    whole, changed = dense(model, image), dense(model, other)
    assert difference(changed[7, 7], whole[7, 7]) < 1e-5
    for beside in ((6, 7), (8, 7), (7, 6), (7, 8)):
        assert difference(changed[beside], whole[beside]) > 1e-4


@pytest.mark.parametrize("size", [(53, 70), (1, 1), (220, 60)])
@pytest.mark.parametrize("name", FIELDS)
def test_windows_give_what_the_model_gives(name, size):
    model = build_toy(name)
    images = toy_images(name, 2, size)
    expected = scorer(model).answer(images)
    found = windows(model, batch=3).answer(images)
    np.testing.assert_allclose(found, expected, atol=1e-4)  # 1e-5 of the scores
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))
    assert size == (1, 1) or len(np.unique(expected.argmax(-1))) > 1


@pytest.mark.parametrize("name", FIELDS)
def test_a_crop_is_exact_in_its_place_only(name):
    """At 500 × 500: cells of the corner, the border and the middle; crops that are not exact."""
    model = build_toy(name)
    parts, field = classifier(model), FIELDS[name]
    (image,) = toy_images(name, 1, (500, 500))
    padded, whole = parts.pad(image[np.newaxis]), dense(model, image)

    def error(rows, columns, place):
        found = parts.scores(padded[:, rows, columns], *place)[0].numpy()
        return difference(found[0, 0], whole[row, column])

    for row, column in ((0, 0), (1, 15), (7, 2), (8, 8), (12, 13)):
        (rows, its_row), (columns, its_column) = (
            field.crop(range(cell, cell + 1), 700) for cell in (row, column)
        )
        assert error(rows, columns, (its_row, its_column)) < 1e-5
    # Of the middle: a pixel later, and without the last 32 pixels that the cell sees.
    row = column = 8
    rows, its_row = field.crop(range(8, 9), 700)
    moved = slice(rows.start + 1, rows.stop + 1)
    assert error(moved, moved, (its_row, its_row)) > 1e-4
    shorter = slice(rows.start, rows.stop - 32)
    assert error(shorter, shorter, (its_row, its_row)) > 1e-4


@pytest.mark.parametrize("name", FIELDS)
def test_zeros_in_the_place_of_the_padding_of_a_layer_are_not_exact(name):
    model = build_toy(name)
    parts, field = classifier(model), FIELDS[name]
    (image,) = toy_images(name, 1, (300, 300))
    before = -(field.first // 32)  # cells that begin before the padded image
    assert before > 0
    filled = np.pad(parts.pad(image[np.newaxis]), [(0, 0), *[(32 * before, 0)] * 2, (0, 0)])
    place = slice(before, before + 1)
    crop = slice(0, EXACT[name])
    found = parts.scores(filled[:, crop, crop], place, place)[0, 0, 0].numpy()
    assert difference(found, dense(model, image)[0, 0]) > 1e-4


def test_neighbours_share_a_crop():
    parts = classifier(build_toy("fcn32s"))
    (image,) = toy_images("fcn32s", 1, (200, 200))
    whole, length = dense(build_toy("fcn32s"), image), 400
    rows, place = parts.field.crop(range(2, 5), length)
    found = parts.scores(parts.pad(image[np.newaxis])[:, rows, rows], place, place)[0]
    assert difference(found.numpy(), whole[2:5, 2:5]) < 1e-5


@pytest.mark.parametrize("name", ["fcn8s", "unet"])
def test_other_nets_have_no_windows(name):
    message = f"score_fr's, fcn32s or fcn_alexnet; received {name}. Pass one of them."
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        windows(build_toy(name))


def test_a_batch_has_a_crop():
    with pytest.raises(ValueError, match=r"received 0\. Pass batch=8"):
        windows(build_toy("fcn32s"), batch=0)


def test_the_parts_share_the_weights_of_the_model():
    model = zoo.build("fcn32s", classes=3, stages=(2,) * 5, fc_filters=4)
    parts = classifier(model)
    assert parts.trunk.get_layer("conv1_1") is model.get_layer("conv1_1")
    assert parts.head.get_layer("score_fr") is model.get_layer("score_fr")
