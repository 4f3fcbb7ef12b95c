"""PASCAL-Context in its own layout: 459 numbers become 59 classes and background."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from recipes import data
from recipes.data.verify import examine
from tests.support.data_sets import assert_known

# The numbers of the 59 classes in labels.txt, in the order of the classes: 1 is aeroplane.
NUMBERS = (
    *(2, 23, 25, 31, 34, 45, 59, 65, 72, 98, 397, 113, 207, 258, 284, 308, 347, 368, 416, 427),
    *(9, 18, 22, 33, 44, 46, 68, 80, 85, 104, 115, 144, 158, 159, 162, 187, 189, 220, 232, 259),
    *(260, 105, 296, 355, 295, 324, 326, 349, 354, 360, 366, 19, 415, 420, 424, 440, 445, 454),
    458,
)
# As labels.txt has them; three have another name there.
NAMED = """aeroplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person
    pottedplant sheep sofa train tvmonitor bag bed bench book building cabinet ceiling cloth
    computer cup door fence floor flower food grass ground keyboard light mountain mouse curtain
    platform sign plate road rock shelves sidewalk sky snow bedclothes track tree truck wall water
    window wood"""
TRAIN, VAL = ("2008_000002", "2008_000003", "2010_006086"), ("2008_000007",)
SIZE = (375, 500)


def numbers():
    """A label with every number of the file."""
    return (np.arange(np.prod(SIZE)) % 460).reshape(SIZE).astype(np.uint16)


def lines():
    """As in labels.txt, where names have spaces."""
    named = dict(zip(NUMBERS, NAMED.split(), strict=True)) | {3: "air conditioner", 431: "unknown"}
    return [f"{number}: {named.get(number, f'other {number}')}" for number in range(1, 460)]


@pytest.fixture
def folder(tmp_path):
    for part in ("JPEGImages", "ImageSets/Main", "trainval"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "labels.txt").write_text("\n".join(lines()) + "\n")
    for split, names in (("train", TRAIN), ("val", VAL)):
        (tmp_path / f"ImageSets/Main/{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / f"JPEGImages/{name}.jpg")
            save(tmp_path, name, numbers())
    return tmp_path


def save(folder, name, label, variable="LabelMap"):
    file = folder / "trainval" / f"{name}.mat"
    scipy.io.savemat(file, {variable: label}, do_compression=True)
    return file


def problem(folder):
    with pytest.raises(data.DataError) as error:
        examine(data.load("pascal_context", folder)["train"])
    return str(error.value)


def test_each_class_has_its_number_and_all_others_are_background(folder):
    splits = data.load("pascal_context", folder)
    assert {split: len(dataset) for split, dataset in splits.items()} == {"train": 3, "val": 1}
    val = splits["val"]
    assert val.files == (
        (str(folder / "JPEGImages/2008_000007.jpg"), str(folder / "trainval/2008_000007.mat")),
    )
    image, label = val.example(0)
    assert image.shape == (*SIZE, 3)
    assert image.dtype == label.dtype == np.uint8
    assert set(np.unique(label)) == set(range(60))
    for index, number in enumerate(NUMBERS, 1):
        np.testing.assert_array_equal(label == index, numbers() == number)
    assert val.class_names[11] == "diningtable"
    assert val.class_names[28] == "clothes"
    assert val.class_names[52] == "bedcloth"
    pixels = examine(val).pixels
    assert pixels.sum() == label.size
    assert pixels[0] == np.isin(numbers(), NUMBERS, invert=True).sum()


def test_the_numbers_are_those_of_labels_txt(folder):
    """Another order of the same names moves the classes with it."""
    names = [line.split(": ")[1] for line in reversed(lines())]
    text = [f"{number}: {name}" for number, name in enumerate(names, 1)]
    (folder / "labels.txt").write_text("\n".join(text))
    _, label = data.load("pascal_context", folder)["val"].example(0)
    np.testing.assert_array_equal(label == 1, numbers() == 460 - 2)


def test_each_bad_file_is_named_with_its_reason(folder):
    label = numbers()
    label[0, 0] = 460
    outside = save(folder, TRAIN[0], label)
    missing = folder / "trainval" / f"{TRAIN[1]}.mat"
    missing.unlink()
    short = folder / "trainval" / f"{TRAIN[2]}.mat"
    short.write_bytes(short.read_bytes()[:500])
    text = problem(folder)
    assert text.startswith("3 of the 3 examples of pascal_context (train) cannot be used:")
    assert f"{outside}: a label holds the numbers 0 to 459; it holds 460 too. Replace it." in text
    assert f"{missing}: there is no such file. Add it, or take it off the list." in text
    assert f"{short}: cannot be read as a MATLAB file (" in text


def test_images_and_sizes_and_empty_files(folder):
    (folder / "JPEGImages" / f"{TRAIN[0]}.jpg").unlink()
    smaller = save(folder, TRAIN[1], numbers()[1:])
    other = save(folder, TRAIN[2], numbers(), variable="S")
    text = problem(folder)
    assert f"{TRAIN[0]}.jpg: there is no such file." in text
    assert f"{smaller}: a label has its image's size; it is 374×500 and" in text
    assert f"{other}: a label is the matrix 'LabelMap', of whole numbers; it holds 'S'" in text
    smaller.write_bytes(b"")
    (folder / "JPEGImages" / f"{TRAIN[0]}.jpg").write_bytes(b"")
    text = problem(folder)
    assert f"{smaller}: cannot be read as a MATLAB file (it is empty)" in text
    assert f"{TRAIN[0]}.jpg: cannot be read as an image" in text


def test_the_lists_of_numbers_and_names_are_checked(folder):
    labels = folder / "labels.txt"
    labels.write_text("\n".join(line for line in lines() if "bedclothes" not in line))
    with pytest.raises(data.DataError, match=r"labels\.txt: a line is a number, a colon and a"):
        data.load("pascal_context", folder)
    labels.write_text("\n".join(lines()).replace("bedclothes", "bedcloth"))
    with pytest.raises(data.DataError, match="each class has a line; 'bedclothes' has none"):
        data.load("pascal_context", folder)
    labels.write_text("aeroplane\nbird\n")
    with pytest.raises(
        data.DataError, match="a line is a number, a colon and a name, and the numbers"
    ):
        data.load("pascal_context", folder)
    labels.unlink()
    with pytest.raises(data.DataError) as error:
        data.load("pascal_context", folder)
    assert str(error.value) == (
        f"{labels}: there is no such file. Pass VOC 2010's folder, which holds JPEGImages, "
        "ImageSets/Main, and PASCAL-Context's trainval and labels.txt, as the data folder."
    )


def test_it_is_what_is_known_before_it_is_read(folder):
    assert_known("pascal_context", folder, background=0)
