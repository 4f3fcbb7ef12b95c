"""A folder of one's own images and masks: what is read, and what is said of what cannot be."""

import os
import subprocess

import numpy as np
import pytest
from PIL import Image

import zoo.pictures
from recipes import data
from recipes.data.verify import examine, verify
from tests.support.data_sets import assert_known
from zoo import image_files

NAMES = [f"field {number}" for number in range(10)]  # the last of them is held out


def mask():
    label = np.zeros((20, 30), np.uint8)
    label[5:15, 5:15] = 2
    label[5] = 255
    return label


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "classes.txt").write_text("ground\ncat\nred fox\n")
    for number, name in enumerate(NAMES):
        add(tmp_path, name, ending=(".jpg", ".jpeg", ".png", ".JPG")[number % 4])
    return tmp_path


def add(folder, name, *, ending=".png", shape=(20, 30, 3)):
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    Image.fromarray(image).save(folder / "images" / (name + ending))
    zoo.pictures.save_class_map(folder / "masks" / f"{name}.png", mask())


def names(dataset):
    return [image.rpartition("/")[2].rpartition(".")[0] for image, _ in dataset.files]


def problem(folder, split="train"):
    with pytest.raises(data.DataError) as error:
        examine(data.load("folder", folder)[split])
    return str(error.value)


def refusal(folder):
    with pytest.raises(data.DataError) as error:
        data.load("folder", folder)
    return str(error.value)


def test_images_masks_and_classes_are_read(folder):
    train = data.load("folder", folder)["train"]
    assert (train.name, train.split, train.channels) == ("folder", "train", 3)
    assert train.class_names == ("ground", "cat", "red fox")
    image, label = train.example(1)
    assert image.shape == (20, 30, 3)
    np.testing.assert_array_equal(label, mask())
    assert train.files[1] == (
        str(folder / "images/field 1.jpeg"),
        str(folder / "masks/field 1.png"),
    )
    np.testing.assert_array_equal(examine(train).pixels, [9 * 480, 0, 9 * 90])


def test_grey_masks_hold_indices_too(folder):
    (folder / "masks/field 0.png").unlink()
    Image.fromarray(mask()).save(folder / "masks/field 0.PNG")
    np.testing.assert_array_equal(data.load("folder", folder)["train"].example(0)[1], mask())


def test_a_file_that_is_added_moves_no_other(folder):
    before = data.load("folder", folder)
    assert names(before["val"]) == ["field 9"]
    for number in range(200):
        add(folder, f"new{number}")
    after = data.load("folder", folder)
    for split in ("train", "val"):
        assert set(names(before[split])) <= set(names(after[split]))
    assert len(after["train"]) + len(after["val"]) == 210
    assert 0.1 < len(after["val"]) / 210 < 0.3


def test_lists_decide_the_splits(folder):
    (folder / "val.txt").write_bytes(b"\xef\xbb\xbffield 3\r\n\r\nfield 0\r\n")  # by Notepad
    splits = data.load("folder", folder)
    assert names(splits["val"]) == ["field 3", "field 0"]
    assert names(splits["train"]) == [name for name in NAMES if name not in ("field 0", "field 3")]
    (folder / "train.txt").write_text("field 5\n")
    splits = data.load("folder", folder)
    assert [names(split) for split in splits.values()] == [["field 5"], ["field 3", "field 0"]]
    (folder / "val.txt").unlink()
    assert names(data.load("folder", folder)["val"]) == [n for n in NAMES if n != "field 5"]


def test_lists_that_break_a_rule_are_named(folder):
    (folder / "train.txt").write_text("field 1\nfield 2\n")
    (folder / "val.txt").write_text("field 2\n")
    assert refusal(folder) == (
        f"{folder}/images/field 2.png: an image is in one split; it is in train and in val. Take "
        "it off the list of one of them."
    )
    (folder / "val.txt").write_text("field 10\n")
    assert problem(folder, "val").endswith("Add it, or take it off the list.")
    (folder / "val.txt").write_text("field 0\nmasks/field 4.jpg\n")
    assert refusal(folder) == (
        f"{folder}/val.txt, line 2: an image is in images, and its mask has its name and is in "
        "masks; received 'masks/field 4.jpg'. Write 'field 4', and put both there."
    )
    (folder / "val.txt").write_text("\n")
    assert refusal(folder) == (
        f"{folder}/val.txt: a list has at least one line; it is empty. Write one name a "
        "line into it, or delete it."
    )
    (folder / "val.txt").write_bytes(b"\xff\xfe\x00")
    assert f"{folder}/val.txt: cannot be read as text" in refusal(folder)
    (folder / "val.txt").unlink()
    (folder / "train.txt").write_text("\n".join(NAMES))
    assert refusal(folder) == (
        f"{folder}: each split has at least one example; val has none of the 10 names in "
        "images and masks. Write some of the names into val.txt, one a line, and not into another "
        "list."
    )


def test_images_are_grey_where_all_are_stored_so(folder):
    for file in (folder / "images").iterdir():
        file.unlink()
    for name in NAMES:
        add(folder, name, shape=(20, 30))
    split = data.load("folder", folder)["train"]
    image, _ = split.example(0)
    assert split.channels == image.shape[-1] == 1
    with Image.open(split.files[0][0]) as stored:
        np.testing.assert_array_equal(image[..., 0], np.asarray(stored))
    examine(split)
    add(folder, "field 9")  # one in colour, even though it is held out
    split = data.load("folder", folder)["train"]
    assert split.channels == split.example(0)[0].shape[-1] == 3


def test_another_layout_is_named_with_what_lacks(folder):
    (folder / "classes.txt").rename(folder / "labels.txt")
    assert f"there is no {folder}/classes.txt. Write one class name a line" in refusal(folder)
    (folder / "classes.txt").write_text("only\n\n")
    assert refusal(folder) == (
        f"{folder}/classes.txt: 2 to 255 classes have different names; received 1. "
        "Write one class name a line into it, in the order of the indices."
    )
    (folder / "classes.txt").write_text("same\nsame\n")
    assert "received 2, with same twice. Write one class name a line" in refusal(folder)
    (folder / "classes.txt").write_text("one\nother\n")
    (folder / "masks").rename(folder / "labels")
    assert f"there is no folder {folder}/masks. Pass the folder that holds images" in refusal(
        folder
    )


def test_two_images_of_one_name_are_refused(folder):
    Image.new("RGB", (30, 20)).save(folder / "images/field 0.png")
    assert refusal(folder) == (
        f"{folder}/images/field 0.png: a name belongs to one file; there is field 0.jpg too. "
        "Rename one of them."
    )


def test_an_image_without_a_mask_and_a_mask_without_an_image_are_named(folder):
    (folder / "masks/field 0.png").unlink()
    (folder / "images/field 1.jpeg").rename(folder / "images/field 1.gif")
    (folder / "images/._name 1.jpg").write_bytes(b"of a Mac")
    (folder / "images/Thumbs.db").write_bytes(b"of Windows")
    endings = ".png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp"
    assert problem(folder) == (
        "2 of the 9 examples of folder (train) cannot be used:\n"
        f"  {folder}/images/field 0.jpg: each image has a mask; there is no "
        f"{folder}/masks/field 0.png. Add it, or take the image out of the folder.\n"
        f"  {folder}/masks/field 1.png: each mask has an image; there is no "
        f"{folder}/images/field 1 with one of the endings {endings}. Add it, or take the mask out "
        "of the folder."
    )


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[: len(content) // 2], "cannot be read as an image"),
        (lambda content: b"", "cannot be read as an image (it is empty). Replace it."),
        (lambda content: b"no image at all" * 9, "cannot be read as an image"),
    ],
    ids=["truncated", "empty", "text"],
)
@pytest.mark.parametrize("file", ["images/field 0.jpg", "images/field 2.png", "masks/field 3.png"])
def test_a_file_that_is_damaged_is_named(folder, file, damage, reason):
    path = folder / file
    path.write_bytes(damage(path.read_bytes()))
    text = problem(folder)
    assert "1 of the 9 examples" in text
    assert f"{path}: {reason}" in text


def test_masks_that_hold_no_indices_are_named(folder):
    masks = folder / "masks"
    Image.fromarray(zoo.pictures.voc_palette()[mask()]).save(masks / "field 0.png")
    Image.fromarray(mask()[:, 1:]).save(masks / "field 1.png")
    Image.fromarray(np.where(mask() == 2, 128, 0).astype(np.uint8)).save(masks / "field 2.png")
    Image.fromarray(mask().astype(np.uint16) + 255).save(masks / "field 3.png")
    text = problem(folder)
    assert "4 of the 9 examples" in text
    assert "field 0.png: a class map holds one number per pixel; this one is stored as 'R" in text
    assert "field 1.png: a label has its image's size; it is 20×29" in text
    assert "field 2.png: a label holds the classes 0 to 2 and 255; it holds 128 too" in text
    assert "field 3.png: a class map holds numbers from 0 to 255; it holds 510. Save" in text


def write_masks(folder, masks):
    for name, label in zip(NAMES, masks, strict=True):
        Image.fromarray(label.astype(np.uint8)).save(folder / "masks" / f"{name}.png")


def test_255_as_the_foreground_is_refused_in_each_file(folder):
    """Half of the masks say 1, the other half 255: its foreground would be void."""
    foreground = mask() == 2
    mixed = [foreground * (1, 255)[number % 2] for number in range(10)]
    write_masks(folder, mixed)
    text = problem(folder)
    assert text.startswith("4 of the 9 examples")
    assert (
        "masks/field 1.png: 255 is void; this label holds 0, 255 only, and no other has void "
        "beside a class above 0. If 255 means a class here, save it as that class, such as 1; else "
        "take the image out." in text
    )
    write_masks(folder, [np.where(label == 255, 1, label) for label in mixed])  # the remedy
    verify(data.load("folder", folder))


def test_a_split_that_holds_one_mask_of_255_is_compared_with_the_other(folder):
    masks = [mask() == 2] * 9 + [(mask() == 2) * 255]  # the last is "val"
    write_masks(folder, masks)
    with pytest.raises(data.DataError, match=r"folder \(val\) .*\n.*field 9.png: 255 is void;"):
        verify(data.load("folder", folder))


def test_void_beside_classes_makes_a_mask_of_void_and_background_sound(folder):
    write_masks(folder, [mask()] * 9 + [np.where(mask() == 2, 255, 0)])
    assert verify(data.load("folder", folder))["val"].ignored == 90


def test_a_split_to_score_may_be_background_only_and_one_to_train_not(folder):
    write_masks(folder, [mask()] * 9 + [np.zeros((20, 30))])
    found = verify(data.load("folder", folder))
    assert list(found["val"].pixels) == [600, 0, 0]
    write_masks(folder, [np.ones((20, 30))] * 9 + [mask()])
    assert problem(folder) == (
        "The labels of folder (train) hold at least two classes; these hold 1 only. Add labels "
        "with others to this split."
    )


def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(folder, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 599)
    text = problem(folder)
    assert "9 of the 9 examples" in text
    assert "field 0.jpg: an image has 599 pixels at most; this one has 600. Cut it into" in text


@pytest.mark.parametrize(
    ("classes", "background"),
    [("ground\ncat\nfox\n", None), ("background\ncat\nfox\n", 0), ("cat\nfox\nbackground\n", 2)],
)
def test_the_class_of_that_name_is_the_background(folder, classes, background):
    (folder / "classes.txt").write_text(classes)
    assert_known("folder", folder, background=background)


@pytest.mark.parametrize(
    ("name", "received"),
    [("ca\x1b[2Jt", r"received 7, beginning with 'ca\x1b[2Jt'"), ("c" * 129, "received 129")],
)
def test_a_class_name_that_no_model_can_have_is_named_with_its_line(folder, name, received):
    (folder / "classes.txt").write_text(f"ground\n\n{name}\n")
    text = refusal(folder)
    assert text.startswith(
        f"{folder}/classes.txt, line 3: a class name has at most 128 printable characters; "
    )
    assert received in text
    assert text.endswith("Rename the class.")


@pytest.mark.parametrize("given", [["im00", "im01", "im02"], ["photo0", "photo1"]])
def test_a_small_folder_has_both_splits(given, tmp_path):
    """No hash of these names is a multiple of 5."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "classes.txt").write_text("ground\ncat\nred fox\n")
    for name in given:
        add(tmp_path, name)
    splits = data.load("folder", tmp_path)
    assert len(splits["val"]) == 1
    assert sorted(names(splits["train"]) + names(splits["val"])) == given


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"\xff", r"$'\377.png'"),
        ("café".encode("latin1"), r"$'caf\351.png'"),
        ("写真".encode("shift_jis"), r"$'\216\312\220^.png'"),
        (b"two\nlines", r"$'two\012lines.png'"),
        (b"it's \x1b[2J", r"$'it\047s \033[2J.png'"),
        (b"a\\b", r"$'a\134b.png'"),
        (b"#1", r"$'#1.png'"),
    ],
)
def test_a_name_that_no_list_can_hold_is_shown_as_a_shell_takes_it(folder, part, name, shown):
    """The remedy, followed: the printed name is what the shell renames."""
    os.rename(folder / part / ("field 2.png"), os.fsencode(folder / part) + b"/" + name + b".png")
    with pytest.raises(data.DataError) as error:
        data.load("folder", folder)
    text = str(error.value)
    assert text.startswith(f"{folder}/{part}/{shown}: a name can stand on a list: it is UTF-8 ")
    assert text.isprintable()
    assert text.endswith("Rename the file; a shell takes the name as it is written here.")
    written = text.partition(": ")[0]
    subprocess.run(["bash", "-c", f"mv {written} '{folder}/{part}/field 2.png'"], check=True)
    verify(data.load("folder", folder))


def test_other_files_may_have_any_name(folder):
    for name in (b"\xff.txt", b".\xff.png", b"#.md"):
        (folder / "images" / os.fsdecode(name)).write_bytes(b"")
    verify(data.load("folder", folder))
