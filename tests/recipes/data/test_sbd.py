"""SBD's MATLAB labels beside VOC's PNG ones, and the splits of FCN's authors."""

import numpy as np
import pytest
import scipy.io

from recipes import data
from recipes.data.sets import sbd
from recipes.data.verify import examine
from tests.support.data_sets import assert_known
from tests.support.sbd_files import (
    SBD,
    make_folders,
    write_cls,
    write_lists,
    write_train,
    write_val,
)

TRAIN = ("2008_000002", "2008_000003", "2010_001425")
VAL2011 = ("2007_000033", "2008_000003", "2009_000013")  # the second is in SBD's train, too


def labels(size=(20, 30)):
    label = np.zeros(size, np.uint8)
    label[5:15, 5:15] = 20
    return label


def objects():
    numbers = np.zeros((20, 30), np.uint8)
    numbers[5:15, 5:9], numbers[5:15, 9:15] = 1, 2
    return numbers


@pytest.fixture
def folder(tmp_path):
    make_folders(tmp_path)
    write_lists(tmp_path, TRAIN, VAL2011)
    (tmp_path / SBD / "val.txt").write_text("2009_000013\n")
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    for name in TRAIN:
        write_train(tmp_path, name, image, labels(), objects())
    void = labels()
    void[5] = 255
    for name in VAL2011:
        write_val(tmp_path, name, image, void, objects())
    return tmp_path


def problem(folder, split="train"):
    with pytest.raises(data.DataError) as error:
        examine(data.load("sbd", folder)[split])
    return str(error.value)


def refusal(folder):
    with pytest.raises(data.DataError) as error:
        data.load("sbd", folder)
    return str(error.value)


def test_train_is_sbds_and_val_is_vocs_without_it(folder):
    splits = data.load("sbd", folder)
    of_sbd, of_voc = folder / "benchmark_RELEASE/dataset", folder / "VOCdevkit/VOC2011"
    assert splits["train"].files == tuple(
        (f"{of_sbd}/img/{name}.jpg", f"{of_sbd}/cls/{name}.mat", f"{of_sbd}/inst/{name}.mat")
        for name in TRAIN
    )
    assert splits["val"].files == tuple(
        tuple(
            f"{of_voc}/{part}/{name}.{ending}"
            for part, ending in (
                ("JPEGImages", "jpg"),
                ("SegmentationClass", "png"),
                ("SegmentationObject", "png"),
            )
        )
        for name in (VAL2011[0], VAL2011[2])
    )
    assert splits["train"].class_names[20] == "tvmonitor"


def test_labels_come_from_each_data_sets_own_files(folder):
    splits = data.load("sbd", folder)
    image, label = splits["train"].example(2)
    assert image.shape == (20, 30, 3)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, labels())
    np.testing.assert_array_equal(examine(splits["train"]).pixels[[0, 20]], [3 * 500, 3 * 100])
    np.testing.assert_array_equal(
        examine(splits["val"]).pixels[[0, 20]], [2 * 480, 2 * 90]
    )  # without void


def test_objects_are_told_apart_in_each_data_sets_own_files(folder):
    splits = data.load("sbd", folder)
    numbers = splits["train"].instances(2)
    assert numbers.dtype == np.int32
    np.testing.assert_array_equal(numbers, objects())
    without_void = objects()
    without_void[5] = 0
    np.testing.assert_array_equal(splits["val"].instances(1), without_void)
    assert splits["val"].instances(1).dtype == np.int32
    (folder / SBD / f"inst/{TRAIN[0]}.mat").unlink()
    with pytest.raises(data.DataError, match=rf"inst/{TRAIN[0]}\.mat: there is no such file"):
        splits["train"].instances(0)
    examine(splits["train"], instances=False)
    with pytest.raises(
        data.DataError, match=rf"cannot be used:\n  .*inst/{TRAIN[0]}\.mat: there is"
    ):
        examine(splits["train"])


def test_vocs_archive_is_read_as_it_unpacks(folder):
    (folder / "TrainVal").mkdir()
    (folder / "VOCdevkit").rename(folder / "TrainVal/VOCdevkit")
    val = data.load("sbd", folder)["val"]
    assert val.files[0][0].startswith(f"{folder}/TrainVal/VOCdevkit/VOC2011/JPEGImages/")
    examine(val)


def test_the_whole_lists_give_the_authors_numbers(folder):
    train = [f"2008_{number:06}" for number in range(sbd.TRAIN)]
    left = [f"2007_{number:06}" for number in range(sbd.VAL)]
    write_lists(folder, train, train[:375] + left)
    assert [len(split) for split in data.load("sbd", folder).values()] == [8498, 736]
    write_lists(folder, train, [*train[:375], *left, "2011_000003"])  # as VOC2012's would
    assert refusal(folder) == (
        f"{folder}/VOCdevkit/VOC2011/ImageSets/Segmentation/val.txt: without SBD's training "
        "images, 736 of VOC2011's remain to be scored; here 737 remain. Put VOC2011's own list "
        "there."
    )
    write_lists(folder, train[:10], train[:5])
    assert "here 0 remain" in refusal(folder)


def test_a_data_set_that_is_not_there_is_named(folder):
    (folder / "benchmark_RELEASE").rename(folder / "sbd")
    missing = f"{folder}/benchmark_RELEASE/dataset/train.txt: there is no such file."
    assert refusal(folder) == f"{missing} {sbd._REMEDY}"
    (folder / "sbd").rename(folder / "benchmark_RELEASE")
    (folder / "VOCdevkit/VOC2011").rename(folder / "VOCdevkit/VOC2012")
    assert "VOCdevkit/VOC2011/ImageSets/Segmentation/val.txt: there is no" in refusal(folder)
    assert "Pass the folder that holds benchmark_RELEASE and VOCdevkit as" in refusal(folder)


def test_files_that_are_missing_or_damaged_are_all_named(folder):
    images, classes = (folder / "benchmark_RELEASE/dataset" / part for part in ("img", "cls"))
    (images / f"{TRAIN[0]}.jpg").write_bytes(b"")
    (classes / f"{TRAIN[1]}.mat").unlink()
    whole = (classes / f"{TRAIN[2]}.mat").read_bytes()
    (classes / f"{TRAIN[2]}.mat").write_bytes(whole[: len(whole) // 2])
    text = problem(folder)
    assert "3 of the 3 examples of sbd (train) cannot be used" in text
    assert f"{images}/{TRAIN[0]}.jpg: cannot be read as an image" in text
    assert f"{classes}/{TRAIN[1]}.mat: there is no such file. Add it" in text
    assert f"{classes}/{TRAIN[2]}.mat: cannot be read as a MATLAB file" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is empty"), (b"not of MATLAB" * 20, "it has no header")],
    ids=["empty", "text"],
)
def test_a_label_that_is_no_matlab_file_is_named(folder, content, reason):
    file = folder / f"benchmark_RELEASE/dataset/cls/{TRAIN[0]}.mat"
    file.write_bytes(content)
    assert f"{file}: cannot be read as a MATLAB file ({reason}" in problem(folder)


def test_labels_of_another_size_class_or_content_are_named(folder):
    classes = folder / "benchmark_RELEASE/dataset/cls"
    outside = labels()
    outside[0, :2] = 21, 255
    write_cls(classes / f"{TRAIN[0]}.mat", outside)
    write_cls(classes / f"{TRAIN[1]}.mat", labels((30, 20)))
    scipy.io.savemat(classes / f"{TRAIN[2]}.mat", {"GTinst": {"Segmentation": labels()}})
    text = problem(folder)
    assert "3 of the 3 examples" in text
    assert f"{TRAIN[0]}.mat: a label holds the numbers 0 to 20; it holds 21, 255 too." in text
    assert f"{TRAIN[1]}.mat: a label has its image's size; it is 30×20 and" in text
    assert f"{TRAIN[2]}.mat: a label is the matrix 'GTcls.Segmentation', of whole" in text


def test_vocs_pairs_are_named_too(folder):
    lost = folder / "VOCdevkit/VOC2011/SegmentationClass" / f"{VAL2011[0]}.png"
    lost.unlink()
    assert f"{lost}: there is no such file" in problem(folder, "val")


def test_it_is_what_is_known_before_it_is_read(folder):
    assert_known("sbd", folder, background=0)
