"""What TensorBoard is given."""

import numpy as np
import pytest
import tensorflow as tf

from recipes.data import Dataset
from recipes.data.sets import shapes
from recipes.training import board


def test_a_label_and_an_answer_of_other_classes_stand_side_by_side(tmp_path, monkeypatch):
    label = np.repeat(np.arange(4, dtype=np.uint8), 24)[:, np.newaxis].repeat(128, 1)
    image = np.zeros((*label.shape, 3), np.uint8)
    dataset = Dataset("any", "val", shapes.CLASS_NAMES, 3, (("", ""),), lambda i: (image, label))
    shown = []
    monkeypatch.setattr(tf.summary, "image", lambda name, pictures: shown.append(pictures))
    with board.opened(tmp_path) as events:
        for answer in (label, np.zeros_like(label)):  # the second has a shorter legend
            events.pictures(1, lambda image, answer=answer: answer, dataset)
    (same,), (other,) = shown
    width = same.shape[1] // 2
    np.testing.assert_array_equal(same[:, :width], same[:, width:])
    np.testing.assert_array_equal(other[:, :width], same[:, :width])
    assert (other[-1, width:] == 255).all()  # white below its legend
    assert (other[:, width:] != same[:, width:]).any()


def test_without_a_background_all_classes_are_tinted(tmp_path, monkeypatch):
    label = np.zeros((96, 128), np.uint8)
    image = np.full((*label.shape, 3), 100, np.uint8)
    shown = []
    monkeypatch.setattr(tf.summary, "image", lambda name, pictures: shown.append(pictures[0]))
    for background in (0, None):
        dataset = Dataset(
            *("any", "val", ("first", "second"), 3, (("", ""),), lambda i: (image, label)),
            background=background,
        )
        with board.opened(tmp_path) as events:
            events.pictures(1, lambda image: label, dataset)
    plain, tinted = (picture[40, 60] for picture in shown)
    np.testing.assert_array_equal(plain, [100, 100, 100])
    assert (tinted != 100).any()


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_images_of_any_channels_are_shown_in_the_colours_of_the_classes(
    kind, channels, tmp_path, monkeypatch
):
    label = np.ones((96, 400), np.uint8)
    image = np.linspace(-1, 1, label.size * channels, dtype=np.float32)
    image = image.reshape(*label.shape, channels) * (100 if kind == "uint8" else 5)
    image = (image + 120).astype(kind)
    dataset = Dataset(
        *("any", "val", ("first", "second"), channels, (("", ""),), lambda i: (image, label)),
        colours=((0, 0, 0), (10, 250, 30)),
        image_type=kind,
    )
    shown = []
    monkeypatch.setattr(tf.summary, "image", lambda name, pictures: shown.append(pictures[0]))
    with board.opened(tmp_path) as events:
        events.pictures(1, lambda image: label, dataset)
    red, green, blue = shown[0][:96, :400].reshape(-1, 3).mean(0)
    assert green > max(red, blue) + 50
    assert np.ptp(shown[0][:96, :400, 0].astype(int)) > 80  # what is below the tint is seen


@pytest.mark.parametrize("is_installed", [True, False])
def test_of_a_large_image_the_middle_is_scored_if_it_is_shown(tmp_path, monkeypatch, is_installed):
    label = np.zeros((1424, 3024), np.uint8)
    label[200:1224, 1000:2024] = 1
    image = label[..., np.newaxis].repeat(3, -1)
    dataset = Dataset("any", "val", ("first", "second"), 3, (("", ""),), lambda i: (image, label))
    scored = []
    find_spec = board.importlib.util.find_spec
    monkeypatch.setattr(
        board.importlib.util,
        "find_spec",
        lambda name: find_spec(name) if is_installed or name != "tensorboard" else None,
    )
    with board.opened(tmp_path) as events:
        events.pictures(1, lambda image: scored.append(image) or image[..., 0], dataset)
        events.scalars(1, {"loss": 1.0})
    assert [part.shape for part in scored] == [(1024, 1024, 3)] * is_installed
    assert all((part == 1).all() for part in scored)


def test_the_pictures_of_a_further_head_have_its_name(tmp_path, monkeypatch):
    label = np.zeros((96, 128), np.uint8)
    image = np.zeros((*label.shape, 3), np.uint8)
    dataset = Dataset("any", "val", ("first", "second"), 3, (("", ""),), lambda i: (image, label))
    shown = []
    monkeypatch.setattr(tf.summary, "image", lambda name, pictures: shown.append(name))
    with board.opened(tmp_path) as events:
        events.pictures(1, lambda image: label, dataset)
        events.pictures(1, lambda image: label, dataset, head="geometric")
    assert shown == ["label and answer 0", "geometric label and answer 0"]
