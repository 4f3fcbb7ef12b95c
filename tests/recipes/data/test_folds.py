"""Folds: each name is held out once, whatever else there is; test images stay out of it."""

import dataclasses
import hashlib
import re

import numpy as np
import pytest
from PIL import Image

from recipes import data
from recipes.data.folds import read_fold
from tests.support import scene_files

NAMES = [f"n{number}" for number in range(30)]


def write(folder, names, *, ending="png", test=()):
    """A folder whose images and masks tell their names by their first pixels."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("ground\ncell\n")
    for name in names:
        image = np.full((8, 9), int(name[1:]), np.uint8)
        Image.fromarray(image).save(folder / f"images/{name}.{ending}")
        Image.fromarray(image % 2).save(folder / f"masks/{name}.png")
    if test:
        (folder / "test.txt").write_text("\n".join(test))
    return folder


def held_out(folder, fold):
    """The names of "val", and of "train", by what their images hold."""
    splits = data.load("folder", folder, fold=fold)
    return [
        [f"n{splits[split].example(index)[0][0, 0, 0]}" for index in range(len(splits[split]))]
        for split in ("val", "train")
    ]


def fold_of(name, count):
    """By the definition in `recipes.data.folds`."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) % count + 1


@pytest.mark.parametrize("count", [2, 5])
def test_each_name_is_held_out_once(tmp_path, count):
    folder = write(tmp_path, NAMES)
    folds = [held_out(folder, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(name for val, _ in folds for name in val) == sorted(NAMES)
    for number, (val, train) in enumerate(folds, 1):
        assert sorted(val + train) == sorted(NAMES)
        assert {fold_of(name, count) for name in val} == {number}


def test_a_new_file_or_another_ending_moves_no_name(tmp_path):
    before, _ = held_out(write(tmp_path / "few", NAMES), "2/5")
    more = write(tmp_path / "more", [*NAMES, "n77", "n78"], ending="bmp")
    (more / "val.txt").write_text("\n".join(reversed(NAMES[10:])))  # another order, another val
    after, _ = held_out(more, "2/5")
    assert set(after) - {"n77", "n78"} == set(before)


def test_the_files_are_those_of_the_examples(tmp_path):
    folder = write(tmp_path, NAMES)
    for dataset in data.load("folder", folder, fold="3/4").values():
        for index, (image, mask) in enumerate(dataset.files):
            value = dataset.example(index)[0][0, 0, 0]
            assert image == str(folder / f"images/n{value}.png")
            assert mask == str(folder / f"masks/n{value}.png")
            assert (dataset.example(index)[1] == value % 2).all()


def test_test_images_are_in_no_fold(tmp_path):
    folder = write(tmp_path, NAMES, test=NAMES[:4])
    for number in (1, 2, 3):
        splits = data.load("folder", folder, fold=f"{number}/3")
        assert [files[0] for files in splits["test"].files] == [
            str(folder / f"images/{name}.png") for name in NAMES[:4]
        ]
        assert not set(NAMES[:4]) & {x for part in held_out(folder, f"{number}/3") for x in part}
        assert {split: found.split for split, found in splits.items()} == {
            split: split for split in splits
        }


def test_objects_and_the_labels_of_other_heads_go_with_their_images(tmp_path):
    scene_files.write(tmp_path, "sift_flow")
    whole = data.load("sift_flow", tmp_path)
    parts = [(part, index) for part in whole.values() for index in range(len(part))]
    splits = data.load("sift_flow", tmp_path, fold="2/3")
    assert sum(map(len, splits.values())) == len(parts)
    for dataset in splits.values():
        assert dataset.unscored == ()
        other = dataset.other_heads["geometric"]
        assert [files[0] for files in other.files] == [files[0] for files in dataset.files]
        for index, files in enumerate(dataset.files):
            ((part, place),) = [(part, x) for part, x in parts if part.files[x] == files]
            expected = part.other_heads["geometric"].example(place)[1]
            np.testing.assert_array_equal(other.example(index)[1], expected)
    write(tmp_path / "mine", NAMES)
    (tmp_path / "mine/instances").mkdir()
    for name in NAMES:
        number = np.full((8, 9), int(name[1:]), np.uint8)
        Image.fromarray(number).save(tmp_path / f"mine/instances/{name}.png")
    for dataset in data.load("folder", tmp_path / "mine", fold="2/3").values():
        for index in range(len(dataset)):
            assert (dataset.instances(index) == dataset.example(index)[0][0, 0, 0]).all()


def test_an_empty_fold_is_an_error(tmp_path):
    names = NAMES[:2]
    folder = write(tmp_path, names)
    taken = {fold_of(name, 9) for name in names}
    number = next(number for number in range(1, 10) if number not in taken)
    with pytest.raises(data.DataError) as error:
        data.load("folder", folder, fold=f"{number}/9")
    assert str(error.value) == (
        f"--fold {number}/9: the fold and the rest have at least one example each; of the 2 names "
        "of folder the fold has none. Pass another fold, or another number of folds."
    )
    count = next(count for count in range(2, 99) if len({fold_of(x, count) for x in names}) == 1)
    with pytest.raises(data.DataError, match="of the 2 names of folder the rest has none"):
        data.load("folder", folder, fold=f"{fold_of(names[0], count)}/{count}")


@pytest.mark.parametrize(
    ("text", "better"),
    [("6/5", "5/5"), ("0/5", "1/5"), ("1/1", "1/2"), ("2", "1/5"), ("a/b", "1/5"), ("٣/٥", "1/5")],
)
def test_a_fold_that_is_none_is_an_error(text, better):
    message = (
        "--fold K/N holds out fold K of N, such as 2/5: N is at least 2, and K is 1 to N; received "
        f"{text!r}. Pass --fold {better}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_fold(text)
    read_fold(better)


def test_windows_of_images_have_no_folds(tmp_path, monkeypatch):
    from recipes.data.sets import sbd_objects

    splits = data.load("folder", write(tmp_path, NAMES))
    cut = {
        split: dataclasses.replace(one, cut_from=(one, np.zeros(1)))
        for split, one in splits.items()
    }
    monkeypatch.setattr(sbd_objects, "load", lambda folder: cut)
    with pytest.raises(data.DataError, match=r"folder are windows, several of an image\. Leave it"):
        data.load("sbd_objects", tmp_path, fold="1/5")
