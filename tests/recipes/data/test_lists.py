"""Lists of names, as people, scripts and Windows write them."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

import zoo.pictures
from recipes import data
from recipes.data import lists
from recipes.data.sets import voc
from recipes.data.verify import verify

NAMES = ("2007_000032", "field 1", "a.b")


@pytest.fixture
def folder(tmp_path):
    """Three examples to train and one to score, in VOC's layout."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / part).mkdir(parents=True)
    for name in (*NAMES, "scored"):
        add(tmp_path, name)
    write(tmp_path, "val", "scored\n")
    return tmp_path


def add(folder, name, *, labels="SegmentationClass", ending=".jpg"):
    label = np.zeros((8, 9), np.uint8)
    label[2:5] = 2
    (folder / labels).mkdir(exist_ok=True)
    Image.new("RGB", (9, 8)).save(folder / "JPEGImages" / (name + ending))
    zoo.pictures.save_class_map(folder / labels / f"{name}.png", label)


def write(folder, split, text, encoding="utf-8"):
    (folder / f"ImageSets/Segmentation/{split}.txt").write_bytes(text.encode(encoding))


def files(folder):
    splits = voc.read(folder, name="things", class_names=("a", "b", "c"))
    verify(splits)  # all of them can be read
    return [
        tuple(file.removeprefix(f"{folder}/") for file in pair) for pair in splits["train"].files
    ]


def refusal(folder):
    with pytest.raises(data.DataError) as error:
        data.load("voc", folder)
    return str(error.value)


PLAIN = [(f"JPEGImages/{name}.jpg", f"SegmentationClass/{name}.png") for name in NAMES]


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "  {}\t",
        "{}.jpg",
        "{}.JPG",
        "./{}",
        "JPEGImages/{}.jpg",
        "/JPEGImages/{}.jpg",
        r"JPEGImages\{}.JPEG",
        "/JPEGImages/{0}.jpg /SegmentationClass/{0}.png",
        "JPEGImages/{0}.jpg\tSegmentationClass/{0}.png",
        r"JPEGImages\{0}.jpg, SegmentationClass\{0}.png",
    ],
)
def test_a_name_may_be_written_as_a_path_and_with_its_label(folder, line):
    write(folder, "train", "\n".join(line.format(name) for name in NAMES))
    assert files(folder) == PLAIN


def test_comments_do_not_count(folder):
    write(folder, "train", "# to train\n" + "\n".join(NAMES) + "\n  #2007_000033\n")
    assert files(folder) == PLAIN


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_lists_of_windows_are_read(folder, encoding):
    text = "\r\n\r\n".join(NAMES) + "\r\n"
    if encoding.endswith("-bom"):
        text, encoding = "\ufeff" + text, "utf-16-le"
    write(folder, "train", text, encoding)
    assert files(folder) == PLAIN


def test_two_lists_with_marks_that_were_joined_are_read(folder):
    write(folder, "train", "".join(f"\ufeff{name}\r\n" for name in NAMES))
    assert files(folder) == PLAIN


def test_the_second_column_says_which_label(folder):
    add(folder, NAMES[0], labels="SegmentationClassAug")
    write(folder, "train", f"/JPEGImages/{NAMES[0]}.jpg /SegmentationClassAug/{NAMES[0]}.png\n")
    assert files(folder) == [(f"JPEGImages/{NAMES[0]}.jpg", f"SegmentationClassAug/{NAMES[0]}.png")]


def test_an_image_with_another_ending_is_found_by_the_one_that_is_written(folder):
    add(folder, "x", ending=".JPG")
    write(folder, "train", "x.JPG\n")
    assert files(folder)[0][0] == "JPEGImages/x.JPG"


@pytest.mark.parametrize(("of_list", "of_file"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_written_in_either_way(folder, of_list, of_file):
    add(folder, unicodedata.normalize(of_file, "Käfer"))
    write(folder, "train", unicodedata.normalize(of_list, "Käfer"))
    assert unicodedata.normalize("NFC", files(folder)[0][0]) == "JPEGImages/Käfer.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a.b\n\nfield 1\na.b.jpg\n",
            "train.txt, line 4: a name is on a list once; 'a.b' is at {folder}/ImageSets/"
            "Segmentation/train.txt, line 1, too. Delete one of the lines.",
        ),
        (
            "a.b\n../JPEGImages/field 1.jpg\n",
            "train.txt, line 2: a name is that of a file in the folder of the data set; received "
            "'../JPEGImages/field 1.jpg'. Write 'field 1', and put the file there.",
        ),
        ("a.b\\..\\..\\x.jpg\n", "received 'a.b\\\\..\\\\..\\\\x.jpg'. Write 'x'"),
        ("C:\\photos\\field 1.jpg\n", "received 'C:\\\\photos\\\\field 1.jpg'. Write 'field 1'"),
        ("\\\\server\\x\\a.b.jpg\n", "Write 'a.b', and put the file there."),
        (
            "/home/me/field 1.jpg\n",
            "train.txt, line 1: the images are in {folder}/JPEGImages; received "
            "'/home/me/field 1.jpg'. Write 'field 1', and put the image there.",
        ),
    ],
)
def test_a_line_that_is_no_name_is_refused_with_its_number(folder, text, message):
    write(folder, "train", text)
    assert message.format(folder=folder) in refusal(folder)


def test_following_the_remedies_works(folder):
    write(folder, "train", "../a.b.jpg\nfield 1\nfield 1\n")
    remedy = refusal(folder).partition("Write '")[2].partition("'")[0]
    write(folder, "train", f"{remedy}\nfield 1\nfield 1\n")
    assert "Delete one of the lines" in refusal(folder)
    write(folder, "train", f"{remedy}\nfield 1\n")
    assert files(folder) == [PLAIN[2], PLAIN[1]]


def test_an_image_in_two_splits_is_refused(folder):
    write(folder, "train", "a.b\nscored\n")
    assert refusal(folder) == (
        f"{folder}/JPEGImages/scored.jpg: an image is in one split; it is in train and in val. "
        "Take it off the list of one of them."
    )


def test_text_in_another_encoding_is_told(folder):
    write(folder, "train", "a.b\n", "utf-16-le")  # without a mark
    assert "it holds zeros: UTF-16 without a byte order mark" in refusal(folder)
    write(folder, "train", "Käfer\n", "latin1")
    text = refusal(folder)
    assert "cannot be read as text ('utf-8' codec" in text
    assert "Save it as UTF-8. Pass the folder" in text


def test_all_endings_are_left_out_of_a_name_and_no_more():
    for ending in lists.ENDINGS:
        assert lists.without_ending(f"x.y{ending.upper()}") == "x.y"
    assert lists.without_ending("x.y") == "x.y"
