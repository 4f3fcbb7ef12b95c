"""NYUDv2 in the layout of the FCN authors' copy, in colour and as HHA; each bad file is named."""

import math

import numpy as np
import pytest
import scipy.io
from PIL import Image

from recipes import data
from recipes.data.sets import nyudv2
from recipes.data.verify import examine
from tests.support.data_sets import assert_known

LISTS = {"train": ("5449", "6140"), "val": ("5010",), "test": ("5001", "5002")}
SIZE = (425, 560)


def labels():
    label = np.zeros(SIZE, np.uint8)
    label[10:20], label[20:], label[-1] = 1, 20, 40
    return label


@pytest.fixture
def folder(tmp_path):
    for part in ("data/images", "data/hha", "segmentation"):
        (tmp_path / part).mkdir(parents=True)
    for split, numbers in LISTS.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(numbers) + "\n")
        for number in numbers:
            picture(tmp_path, "images", number, int(number) % 256)
            picture(tmp_path, "hha", number, (131, 94, 118))
            save(tmp_path, number, labels())
    return tmp_path


def picture(folder, images, number, colour, size=SIZE):
    pixels = np.broadcast_to(np.uint8(colour), (*size, 3))
    Image.fromarray(pixels).save(folder / "data" / images / f"img_{number}.png")


def save(folder, number, label):
    file = folder / "segmentation" / f"img_{number}.mat"
    scipy.io.savemat(file, {"segmentation": label}, do_compression=True)
    return file


def problem(folder, name="nyudv2"):
    with pytest.raises(data.DataError) as error:
        examine(data.load(name, folder)["train"])
    return str(error.value)


def test_numbers_are_one_more_than_the_classes_and_the_splits_are_the_papers(folder):
    splits = data.load("nyudv2", folder)
    assert [image for image, _ in splits["train"].files] == [
        str(folder / f"data/images/img_{number}.png") for number in ("5449", "6140", "5010")
    ]
    assert [label for _, label in splits["val"].files] == [
        str(folder / f"segmentation/img_{number}.mat") for number in ("5001", "5002")
    ]
    image, label = splits["val"].example(1)
    assert image.shape == (*SIZE, 3)
    assert image.dtype == label.dtype == np.uint8
    assert (image == 5002 % 256).all()
    np.testing.assert_array_equal(label, labels() - np.uint8(1))  # 0 becomes 255
    pixels = dict(zip(splits["val"].class_names, examine(splits["val"]).pixels, strict=True))
    assert len(pixels) == 40
    assert {name: count for name, count in pixels.items() if count} == {
        "wall": 2 * 5600,  # 1
        "floor mat": 2 * 404 * 560,  # 20
        "otherprop": 2 * 560,  # 40
    }


def test_other_lists_keep_the_test_images_out(folder):
    splits = nyudv2.read(folder, name="nyudv2", images="images", train=("train",), val=("val",))
    assert [len(dataset) for dataset in splits.values()] == [2, 1]
    assert splits["val"].files[0][0].endswith("img_5010.png")


def test_hha_images_keep_the_order_of_their_channels(folder):
    splits = data.load("nyudv2_hha", folder)
    assert splits["train"].name == "nyudv2_hha"
    image, label = splits["train"].example(0)
    np.testing.assert_array_equal(image[0, 0], [131, 94, 118])
    assert label.shape == image.shape[:2]
    assert examine(splits["train"]).pixels[0] == 3 * 5600


def test_depth_is_a_logarithm_in_one_channel(folder):
    (folder / "data/depth").mkdir()
    depth = np.full(SIZE, 2550, np.uint16)
    depth[0, :6] = 0, 1, 500, 506, 10_000, 65_535
    for numbers in LISTS.values():
        for number in numbers:
            Image.fromarray(depth).save(folder / f"data/depth/img_{number}.png")
    splits = data.load("nyudv2_depth", folder)
    assert (splits["train"].name, splits["train"].channels) == ("nyudv2_depth", 1)
    image, label = splits["train"].example(0)
    assert image.shape == (*label.shape, 1)
    assert image.dtype.name == splits["train"].image_type == "float32"
    logarithms = [7.844, 0, *map(math.log, (500, 506, 10_000, 65_535))]  # 7.844: not measured
    np.testing.assert_allclose(image[0, :6, 0], logarithms, rtol=1e-6)
    np.testing.assert_allclose(np.exp(image[9, 9, 0]), 2550, rtol=1e-5)
    examine(splits["train"])
    picture(folder, "depth", "5449", 7)
    assert "img_5449.png: a depth has one channel, in millimetres; this one has 3. Take" in (
        problem(folder, "nyudv2_depth")
    )


def test_each_bad_file_is_named_with_its_reason(folder):
    label = labels()
    label[0, 0] = 41
    outside = save(folder, "5449", label)
    short = save(folder, "6140", labels())
    short.write_bytes(short.read_bytes()[:150])
    smaller = save(folder, "5010", labels()[:, 1:])
    text = problem(folder)
    assert text.startswith("3 of the 3 examples of nyudv2 (train) cannot be used:")
    assert f"{outside}: a label holds the numbers 0 to 40; it holds 41 too. Replace it." in text
    assert f"{short}: cannot be read as a MATLAB file (" in text
    assert f"{smaller}: a label has its image's size; it is 425×559 and" in text


def test_missing_and_empty_files_are_named(folder):
    (folder / "data/hha/img_5449.png").unlink()
    (folder / "data/hha/img_6140.png").write_bytes(b"")
    (folder / "segmentation/img_5010.mat").unlink()
    text = problem(folder, "nyudv2_hha")
    assert f"{folder}/data/hha/img_5449.png: there is no such file. Add it, or" in text
    assert f"{folder}/data/hha/img_6140.png: cannot be read as an image" in text
    assert f"{folder}/segmentation/img_5010.mat: there is no such file." in text
    (folder / "segmentation/img_5010.mat").write_bytes(b"")
    assert "img_5010.mat: cannot be read as a MATLAB file (it is empty)" in problem(folder)


def test_depth_of_16_bits_is_not_taken_for_an_image(folder):
    depth = Image.fromarray(np.full(SIZE, 2500, np.uint16))
    depth.save(folder / "data/hha/img_5449.png")
    assert "img_5449.png: an HHA image has 3 channels; this one has 1. Take the file" in (
        problem(folder, "nyudv2_hha")
    )


def test_a_missing_list_is_named_with_the_folder_it_wants(folder):
    (folder / "test.txt").unlink()
    with pytest.raises(data.DataError) as error:
        data.load("nyudv2", folder)
    assert str(error.value) == (
        f"{folder}/test.txt: there is no such file. Pass the folder that holds data/images, "
        "data/hha, segmentation, train.txt, val.txt and test.txt as the data folder."
    )


def depths(folder, depth):
    (folder / "data/depth").mkdir(exist_ok=True)
    for numbers in LISTS.values():
        for number in numbers:
            Image.fromarray(depth).save(folder / f"data/depth/img_{number}.png")


def test_the_logarithm_of_the_depth_is_behind_rgb(folder):
    depth = np.full(SIZE, 2550, np.uint16)
    depth[0, 0] = 0
    depths(folder, depth)
    splits = data.load("nyudv2_color_depth", folder)
    train = splits["train"]
    assert (train.name, train.channels, train.image_type) == ("nyudv2_color_depth", 4, "float32")
    image, label = train.example(0)
    colour, labels = data.load("nyudv2", folder)["train"].example(0)
    logarithm, _ = data.load("nyudv2_depth", folder)["train"].example(0)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[..., :3], colour)
    np.testing.assert_array_equal(image[..., 3:], logarithm)
    np.testing.assert_array_equal(label, labels)
    assert examine(train).pixels[0] == 3 * 5600


def test_hha_is_behind_rgb(folder):
    train = data.load("nyudv2_color_hha", folder)["train"]
    assert (train.channels, train.image_type) == (6, "uint8")
    assert train.files[0] == tuple(
        str(folder / part)
        for part in (
            *("data/images/img_5449.png", "segmentation/img_5449.mat", "data/hha/img_5449.png"),
        )
    )
    image, _ = train.example(0)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[9, 9], [5449 % 256] * 3 + [131, 94, 118])


def test_the_second_image_has_the_size_of_the_first_and_is_watched(folder):
    picture(folder, "hha", "6140", (1, 2, 3), size=(425, 559))
    other = folder / "data/hha/img_6140.png"
    assert (
        f"{other}: both images of an example have one size; it is 425×559 and "
        f"{folder}/data/images/img_6140.png is 425×560 (height × width). Replace one of them."
    ) in problem(folder, "nyudv2_color_hha")
    picture(folder, "hha", "6140", (1, 2, 3))
    watched = examine(data.load("nyudv2_color_hha", folder)["train"]).dataset
    watched.example(1)
    picture(folder, "hha", "6140", (1, 2, 4))
    with pytest.raises(data.DataError, match=r"hha/img_6140\.png: the examples of a run stay as"):
        watched.example(1)
    other.unlink()
    assert f"{other}: there is no such file." in problem(folder, "nyudv2_color_hha")


@pytest.mark.parametrize(
    "name", ["nyudv2", "nyudv2_color_depth", "nyudv2_color_hha", "nyudv2_depth", "nyudv2_hha"]
)
def test_it_is_what_is_known_before_it_is_read(folder, name):
    assert_known(name, folder, background=None)
