"""The data of DeconvNet's two stages: crops around objects, and windows that may hold one."""

import sys

import numpy as np
import pytest

import zoo.pictures
from recipes import data
from recipes.data.sets import sbd, sbd_objects
from recipes.data.sets.sbd_proposals import matched
from recipes.data.verify import verify
from tests.support.data_sets import assert_known
from tests.support.sbd_files import (
    SBD,
    VOC,
    make_folders,
    write_inst,
    write_lists,
    write_train,
    write_val,
)
from zoo.inference.edge_boxes import edge_boxes

TRAIN, VAL = ("2008_000002", "2008_000003", "2010_001425"), ("2007_000033", "2009_000013")
SIZE = (120, 160)
DOG, CAT = (20, 30, 70, 100), (90, 20, 140, 80)  # x0, y0, x1, y1; classes 12 and 8
NEAR = 6  # pixels by which the best of the EdgeBoxes, which go in steps, miss an edge


def scene(*placed):
    """A bright rectangle for each (box, class) on a dark, noisy ground: image, label, objects."""
    image = np.random.default_rng(0).integers(20, 40, (*SIZE, 3)).astype(np.uint8)
    label, objects = np.zeros((2, *SIZE), np.uint8)
    for number, ((x0, y0, x1, y1), kind) in enumerate(placed, 1):
        image[y0:y1, x0:x1] += np.uint8(150)
        label[y0:y1, x0:x1], objects[y0:y1, x0:x1] = kind, number
    return image, label, objects


@pytest.fixture
def folder(tmp_path):
    """Three images to train, of which the last has no object, and two to score."""
    make_folders(tmp_path)
    write_lists(tmp_path, TRAIN, VAL)
    write_train(tmp_path, TRAIN[0], *scene((DOG, 12), (CAT, 12)))
    write_train(tmp_path, TRAIN[1], *scene((CAT, 8)))
    write_train(tmp_path, TRAIN[2], *scene())
    for name in VAL:
        image, label, objects = scene((DOG, 12), (CAT, 8))
        label[28:32, 20:70] = 255
        write_val(tmp_path, name, image, label, objects)
    return tmp_path


OBJECTS = f"""\
{TRAIN[0]},20,30,70,100,1,12
{TRAIN[0]},90,20,140,80,2,12
{TRAIN[1]},90,20,140,80,1,8
{TRAIN[2]}
{VAL[0]},20,32,70,100,1,12
{VAL[0]},90,20,140,80,2,8
{VAL[1]},20,32,70,100,1,12
{VAL[1]},90,20,140,80,2,8
"""


def test_each_object_is_an_example_with_its_class_alone(folder):
    splits = data.load("sbd_objects", folder)
    assert (folder / "objects.csv").read_text() == OBJECTS
    train, val = splits["train"], splits["val"]
    mat = f"{folder / SBD}/cls/{TRAIN[1]}.mat (box 90,20,140,80)"
    assert [label for _, label in train.files[2:]] == [mat, mat]  # as many as of dogs
    assert (len(train), len(val)) == (4, 4)
    assert train.class_names[12] == "dog"
    image, label = train.example(1)
    assert image.shape == (250, 250, 3)
    assert set(np.unique(label)) == {0, 12}
    inside = label[21:229, 21:229] == 12  # a twelfth on each side is context
    assert inside.all()
    assert np.count_nonzero(label) == pytest.approx(250**2 / 1.2**2, rel=0.02)
    image, label = val.example(0)
    assert image.shape == (224, 224, 3)
    assert set(np.unique(label)) == {0, 12, 255}
    verify(splits)


def test_the_neighbour_of_the_same_class_is_background(folder):
    wide = scene(((20, 30, 80, 90), 12), ((80, 30, 140, 90), 12))
    write_train(folder, TRAIN[0], *wide)
    train = data.load("sbd_objects", folder)["train"]
    for index, ours in ((0, np.s_[:, 21:229]), (1, np.s_[:, 21:229])):
        _, label = train.example(index)
        assert (label[21:229][ours] == 12).all()
        assert not label[:, :20].any()
        assert not label[:, 231:].any()


def test_a_second_run_reads_the_list(folder, monkeypatch):
    first = data.load("sbd_objects", folder)["train"]

    def forbidden(*of):
        raise AssertionError("the objects are looked for again")

    monkeypatch.setattr(sbd_objects, "_objects", forbidden)
    again = data.load("sbd_objects", folder)["train"]
    assert again.files == first.files
    np.testing.assert_array_equal(again.example(3)[0], first.example(3)[0])


def test_an_object_without_a_class_is_left_out(folder):
    image, label, objects = scene((DOG, 12), (CAT, 8))
    label[label == 12] = 0
    label[60:70, 30:40] = 3  # a few of its pixels
    label[objects == 0] = 3  # what has a class and is no object
    write_train(folder, TRAIN[0], image, label, objects)
    _, void, _ = scene((DOG, 255), (CAT, 8))
    zoo.pictures.save_class_map(folder / VOC / f"SegmentationClass/{VAL[0]}.png", void)
    data.load("sbd_objects", folder)
    text = (folder / "objects.csv").read_text()
    for name in (TRAIN[0], VAL[0]):
        assert text.count(name) == 1
        assert f"{name},90,20,140,80,2,8\n" in text


def test_objects_of_another_size_and_missing_ones_are_named(folder):
    file = folder / SBD / f"inst/{TRAIN[1]}.mat"
    write_inst(file, *(plane.T for plane in scene((CAT, 8))[1:]))
    with pytest.raises(data.DataError) as error:
        data.load("sbd_objects", folder)
    assert str(error.value) == (
        f"{folder / SBD}/cls/{TRAIN[1]}.mat: the objects have the label's size; they are 160×120 "
        "and it is 120×160 (height × width). Replace one of them."
    )
    file.unlink()
    with pytest.raises(data.DataError, match=rf"inst/{TRAIN[1]}\.mat: there is no such file"):
        data.load("sbd_objects", folder)
    assert not (folder / "objects.csv").exists()


def test_windows_overlap_an_object_by_half_and_belong_to_the_nearest():
    objects = np.array([(0, 0, 10, 10, 4, 12), (20, 0, 30, 10, 7, 8)], np.int32)
    proposed = [
        (0, 0, 10, 20),  # half of it is the first object
        (0, 0, 10, 21),
        (3, 0, 13, 10),  # 70 of 130 pixels
        (4, 0, 14, 10),  # 60 of 140
        (18, 0, 30, 10),
        (0, 0, 20, 10),
        (40, 0, 50, 10),
        (19, 19, 29, 29),  # beside and below
    ]
    rows = matched(np.array(proposed, np.int32), objects)
    kept = [(*proposed[index], 4, 12) for index in (0, 2, 5)]
    kept.insert(2, (*proposed[4], 7, 8))
    np.testing.assert_array_equal(rows, kept)
    assert matched(np.array(proposed, np.int32), objects[:0]).shape == (0, 6)
    assert matched(np.zeros((0, 4), np.int32), objects).shape == (0, 6)
    huge = np.array([[-(10**9 - 1), -(10**9 - 1), 10**9 - 1, 10**9 - 1]], np.int32)
    assert len(matched(huge, objects)) == 0


def test_windows_come_from_a_list_with_all_classes_labelled(folder):
    dog, cat = "20,30,70,100", "90,20,140,80"
    both = "15,20,158,100"
    (folder / "proposals.csv").write_text(
        f"{TRAIN[0]},{both}\n{TRAIN[0]},22,30,70,100\n{TRAIN[0]},0,0,160,120\n{TRAIN[1]},{cat}\n"
        f"{TRAIN[2]},{dog}\n{VAL[0]},{both}\n{VAL[0]},{cat}\n{VAL[0]},{dog}\n{VAL[0]},90,22,140,80\n"
        f"{VAL[1]}\n"
    )
    write_train(folder, TRAIN[0], *scene((DOG, 12), ((75, 20, 150, 100), 8)))
    splits = data.load("sbd_proposals", folder)
    train, val = splits["train"], splits["val"]
    boxes_of = [label.rpartition("(box ")[2] for _, label in train.files]
    assert boxes_of == [f"{both})", "22,30,70,100)", "22,30,70,100)", f"{cat})"]
    image, label = train.example(0)
    assert image.shape == (250, 250, 3)
    assert set(np.unique(label)) == {0, 8, 12, 255}  # its context reaches out of the image
    # Each object has its first window.
    assert [label.rpartition("(box ")[2] for _, label in val.files] == [f"{dog})", f"{cat})"]
    assert val.example(0)[1].shape == (224, 224)


def test_edge_boxes_are_looked_for_once(folder, monkeypatch, capsys):
    monkeypatch.setattr("zoo.progress._EVERY", 0)
    first = data.load("sbd_proposals", folder)
    assert "searching windows that may hold an object: 4 of 5" in capsys.readouterr().out
    lines = (folder / "proposals.csv").read_text().splitlines()
    assert TRAIN[2] in lines  # it has no object
    assert {line.split(",")[0] for line in lines} == {*TRAIN, *VAL}
    objects = sbd_objects.objects(sbd.load(folder), folder)
    for line in lines:
        name, *box = line.split(",")
        boxes = np.array([box] if box else [], np.int32).reshape(-1, 4)
        assert len(matched(boxes, objects[name])) == len(boxes)
    assert len(first["val"]) == 4
    monkeypatch.setattr("recipes.data.sets.sbd_proposals.edge_boxes", None)
    again = data.load("sbd_proposals", folder)
    assert again["train"].files == first["train"].files
    verify(again)


def test_edge_boxes_find_what_is_bright():
    image = scene((DOG, 12), (CAT, 8))[0]
    found = edge_boxes(image)
    assert found.dtype == np.int32
    assert 2 < len(found) <= 2000
    for box in (DOG, CAT):
        rows = matched(found[:10], np.array([(*box, 1, 1)], np.int32))
        assert len(rows)
        assert np.abs(rows[:, :4] - box).max(1).min() <= NEAR
    assert len(edge_boxes(image, most=5)) == 5
    assert (found[:, :2] < found[:, 2:]).all()
    assert (found[:, 2:] <= (160, 120)).all()


def test_opencv_is_asked_for_where_it_is_missing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2.ximgproc", None)
    with pytest.raises(data.DataError, match=r"Install them: pip install .*\[proposals\]"):
        data.load("sbd_proposals", folder)


@pytest.mark.parametrize("name", ["sbd_objects", "sbd_proposals"])
def test_it_is_what_is_known_before_it_is_read(folder, name):
    assert_known(name, folder, background=0)
