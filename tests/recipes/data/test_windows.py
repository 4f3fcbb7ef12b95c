"""Windows of images and the lists of their boxes, by numbers that are worked out by hand."""

import time

import numpy as np
import pytest

from recipes.data import DataError, Dataset, boxes, windows
from recipes.data.verify import examine

REMEDY = "Correct it, or delete the file: it is then written again."


def ramp(height=20, width=30):
    """An image whose pixels tell their place: red is x, green is y."""
    y, x = np.indices((height, width))
    return np.stack([x, y, 0 * x + 200], -1).astype(np.uint8)


def source(names="ab", split="train"):
    """Images a, b, … with two objects: 1 of class 5 at the left, 2 of class 7 at the right."""
    numbers = np.zeros((20, 30), np.int32)
    numbers[5:15, 5:15], numbers[5:15, 15:25] = 1, 2
    label = np.array([0, 5, 7], np.uint8)[numbers]
    label[5] = 255
    files = tuple((f"img/{name}.jpg", f"cls/{name}.mat") for name in names)
    read = []

    def example(index):
        read.append(index)
        return ramp() + np.uint8(index), label

    class_names = tuple(map(str, range(8)))
    return Dataset("s", split, class_names, 3, files, example, lambda index: numbers), read


def test_a_window_is_the_box_with_a_tenth_more_on_each_side():
    image, label = windows.cut(ramp(), ramp()[..., 0], (10, 5, 20, 15), size=12)
    np.testing.assert_array_equal(image[..., 0], np.tile(np.arange(9, 21), (12, 1)))
    np.testing.assert_array_equal(image[..., 1], np.tile(np.arange(4, 16), (12, 1)).T)
    np.testing.assert_array_equal(label, image[..., 0])
    assert image.dtype == label.dtype == np.uint8
    image, _ = windows.cut(ramp(), ramp()[..., 0], (10, 5, 19, 14), size=11)  # 9.1 to 19.9
    np.testing.assert_array_equal(image[0, :, 0], np.arange(9, 20))


def test_outside_of_the_image_is_black_and_not_labelled():
    label = np.full((20, 30), 3, np.uint8)
    label[:, 1] = 255
    image, label = windows.cut(ramp(), label, (0, 0, 10, 10), size=12)
    np.testing.assert_array_equal(image[0], 0)
    np.testing.assert_array_equal(image[:, 0], 0)
    np.testing.assert_array_equal(image[1:, 1:, 2], 200)
    outside = np.zeros((12, 12), bool)
    outside[0], outside[:, 0], outside[:, 2] = True, True, True
    np.testing.assert_array_equal(label, np.where(outside, 255, 3))
    image, label = windows.cut(ramp(), label, (-50, -50, -30, -30), size=4)
    assert not image.any()
    assert (label == 255).all()


def test_a_window_of_any_shape_becomes_a_square_whose_label_is_not_blurred():
    label = np.array([0, 7, 255], np.uint8)[np.random.default_rng(0).integers(0, 3, (20, 30))]
    for box in ((3, 4, 28, 7), (10, 2, 11, 19), (14, 9, 15, 10)):
        for size in (5, 250):
            image, of_label = windows.cut(ramp(), label, box, size=size)
            assert image.shape == (size, size, 3)
            assert of_label.shape == (size, size)
            assert set(np.unique(of_label)) <= {0, 7, 255}
    image, _ = windows.cut(20 * ramp(8, 8), label, (2, 2, 3, 3), size=9)
    assert len(np.unique(image[0, :, 0])) == 1  # the context of one pixel is no other pixel
    image, _ = windows.cut(20 * ramp(8, 8), label, (2, 2, 4, 4), size=9)
    np.testing.assert_array_equal(np.unique(image[0, :, 0]), [40, 41, 46, 50, 54, 59, 60])


def test_each_class_gets_as_many_as_the_largest():
    order = windows.balanced(np.array([3, 1, 3, 9, 3, 3, 1, 3]))
    np.testing.assert_array_equal(order, [0, 1, 1, 1, 2, 3, 3, 3, 3, 3, 4, 5, 6, 6, 7])
    np.testing.assert_array_equal(windows.balanced(np.array([4, 4])), [0, 1])


LEFT, RIGHT = (5, 5, 15, 15, 1, 5), (15, 5, 25, 15, 2, 7)


def found(**of_image):
    return {name: np.array(rows, np.int32).reshape(-1, 6) for name, rows in of_image.items()}


def test_training_repeats_the_rarer_class_and_scoring_does_not():
    rows = found(a=[LEFT, RIGHT], b=[LEFT], c=[], d=[LEFT])
    train, read = source("abcd")
    split = windows.dataset("w", train, rows, one_object=True)
    left, right = "cls/a.mat (box 5,5,15,15)", "cls/a.mat (box 15,5,25,15)"
    assert [label for _, label in split.files] == [
        *(left, right, right, right, "cls/b.mat (box 5,5,15,15)", "cls/d.mat (box 5,5,15,15)")
    ]
    assert split.files[4][0] == "img/b.jpg"
    assert (split.name, split.split, split.channels) == ("w", "train", 3)
    val = windows.dataset("w", source("abcd", "val")[0], rows, one_object=True)
    assert [label for _, label in val.files][:3] == [left, right, "cls/b.mat (box 5,5,15,15)"]
    assert len(val) == 4
    assert not read  # nothing is read before it is asked for
    assert [one.example(0)[1].shape for one in (split, val)] == [(250, 250), (224, 224)]


def test_the_images_are_verified_and_not_each_window():
    train, read = source("ab")
    examined = [
        examine(windows.dataset("w", train, rows, one_object=True))
        for rows in (found(a=[LEFT] * 9, b=[RIGHT]), found(a=[LEFT] * 8, b=[RIGHT]))
    ]
    assert sorted(read) == [0, 0, 1, 1]
    assert examined[0].sizes == {(20, 30): 2}
    assert len({one.sha256 for one in (*examined, examine(train))}) == 3


def test_neighbours_of_one_image_read_it_once():
    train, read = source("abcd")
    split = windows.dataset(
        "w", train, found(a=[LEFT] * 9, b=[RIGHT] * 9, c=[], d=[]), one_object=0
    )
    for index in range(18):
        split.example(index)
    assert read == [0, 1]
    assert split.example(9)[0].max() == 201  # the second image, and not the first again


def test_one_object_is_labelled_or_all():
    train, _ = source("a")
    rows = found(a=[LEFT, RIGHT])
    for one_object, expected in ((True, {0, 255, 7}), (False, {0, 255, 5, 7})):
        image, label = windows.dataset("w", train, rows, one_object=one_object).example(1)
        assert set(np.unique(label)) == expected
        assert image.dtype == label.dtype == np.uint8
        assert image[125, 125, 0] in (19, 20)
    # Of the window's 12 pixels the first is the neighbour's, and one row of the object is void.
    assert np.mean(label == 5) == pytest.approx(9 / 12 / 12, abs=0.01)
    assert np.mean(label == 7) == pytest.approx(10 * 9 / 12 / 12, abs=0.01)


def test_a_split_without_windows_is_refused():
    with pytest.raises(DataError) as error:
        windows.dataset("w", source()[0], found(a=[], b=[]), one_object=True)
    assert str(error.value) == (
        "w (train): a split has at least one window; none of its 2 images has a box. Add "
        "images with objects, or boxes."
    )


def kept(folder, find=None, columns=boxes.BOX, images="ab"):
    splits = {"train": source(images)[0]}
    return boxes.kept(folder / "boxes.csv", splits, find, columns=columns, text="looking")


def test_a_list_is_written_once_and_read_as_it_was(tmp_path):
    asked = []

    def find(of, index):
        asked.append(index)
        return np.array([(1, 2, 30, 40), (-5, 0, 1, 1)][: 2 * index], np.int32)

    first = kept(tmp_path, find)
    assert (tmp_path / "boxes.csv").read_text() == "a\nb,1,2,30,40\nb,-5,0,1,1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["boxes.csv"]
    again = kept(tmp_path, find)
    assert sorted(asked) == [0, 1]
    for one in (first, again):
        assert list(one) == ["a", "b"]
        assert one["a"].shape == (0, 4)
        np.testing.assert_array_equal(one["b"], [(1, 2, 30, 40), (-5, 0, 1, 1)])
        assert one["b"].dtype == np.int32


def test_a_list_of_ones_own_may_name_other_images_and_be_in_any_order(tmp_path):
    (tmp_path / "boxes.csv").write_text("b,1,2,3,4,5,6\nother,1,1,2,2,3,3\na\n\nb,0,0,9,9,1,1\n")
    read = kept(tmp_path, columns=boxes.OBJECT)
    np.testing.assert_array_equal(read["b"], [(1, 2, 3, 4, 5, 6), (0, 0, 9, 9, 1, 1)])
    assert list(read) == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [
        "a,1,2,3",
        "a,1,2,3,4,5",
        "a,1,2,3,x",
        "a,3,2,3,4",
        "a,1,4,3,2",
        "a,1,2,3,1e9",
        "a,1,2,3,9999999999",
        ",1,2,3,4",
    ],
)
def test_a_line_that_is_no_box_is_shown(tmp_path, line):
    (tmp_path / "boxes.csv").write_text(f"b\n{line}\n")
    with pytest.raises(DataError) as error:
        kept(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/boxes.csv: a line is NAME,X0,Y0,X1,Y1 with X0 below X1 and Y0 below Y1, or "
        f"NAME only; received {line!r}. {REMEDY}"
    )


def test_an_image_without_a_line_is_named(tmp_path):
    (tmp_path / "boxes.csv").write_text("b,1,2,3,4\n")
    with pytest.raises(DataError) as error:
        kept(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/boxes.csv: each image has a line; 1 of 2 images have none, such as a. {REMEDY}"
    )


def test_a_list_that_cannot_be_finished_is_not_there(tmp_path):
    def find(of, index):
        if index:
            raise DataError("b.jpg: damaged.")
        return np.zeros((0, 4), np.int32)

    with pytest.raises(DataError, match="damaged"):
        kept(tmp_path, find)
    assert not list(tmp_path.iterdir())
    asked = []

    def slowly(of, index):
        asked.append(index)
        time.sleep(0.002)
        return find(of, 1)

    with pytest.raises(DataError, match="damaged"):
        kept(tmp_path, slowly, images="abcdefghij" * 20)
    assert len(asked) < 100
    with pytest.raises(DataError) as error:
        kept(tmp_path / "absent", lambda of, index: np.zeros((0, 4), np.int32))
    assert f"{tmp_path}/absent/boxes.csv: the list of boxes is written to this file (" in str(
        error.value
    )
    assert str(error.value).endswith("Make its folder writable.")
