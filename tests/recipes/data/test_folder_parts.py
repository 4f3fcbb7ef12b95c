"""What a folder may have: lists of three splits, objects, any channels, endings and names."""

import unicodedata

import numpy as np
import pytest
import tifffile
from PIL import Image

from recipes import command, data
from recipes.data import pipeline
from recipes.data.verify import verify
from recipes.data.weight_map import weight_map
from recipes.training.recipe import Recipe
from recipes.training.rules import check_read

SIZE = (24, 30)
NAMES = [f"n{number}" for number in range(6)]


def label():
    found = np.zeros(SIZE, np.uint8)
    found[4:12, 3:20] = 1
    found[14:22, 3:20] = 1
    return found


def numbers():
    return np.where(label() > 0, np.arange(SIZE[0])[:, np.newaxis] // 13 + 1, 0)


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "classes.txt").write_text("background\ncell\n")
    for number, name in enumerate(NAMES):
        save_image(tmp_path, name, number)
        Image.fromarray(label()).save(tmp_path / "masks" / f"{name}.png")
    write(tmp_path, "val", "n5")
    return tmp_path


def save_image(folder, name, seed=0, channels=1, ending="png"):
    shape = SIZE if channels == 1 else (*SIZE, channels)
    pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    file = folder / "images" / f"{name}.{ending}"
    if ending == "tif":
        tifffile.imwrite(file, pixels, photometric="rgb" if channels > 2 else "minisblack")
    else:
        Image.fromarray(pixels).save(file)
    return pixels


def write(folder, split, *lines):
    (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")


def names(folder):
    splits = data.load("folder", folder)
    return {
        split: [file.rpartition("/")[2].partition(".")[0] for file, *_ in dataset.files]
        for split, dataset in splits.items()
    }


def refusal(folder, **options):
    with pytest.raises(data.DataError) as error:
        data.load("folder", folder, **options)
    return str(error.value)


def problem(folder):
    with pytest.raises(data.DataError) as error:
        verify(data.load("folder", folder))
    return str(error.value)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"test": ["n1"], "val": ["n5"]}, [["n0", "n2", "n3", "n4"], ["n5"], ["n1"]]),
        ({"test": ["n1"], "train": ["n5", "n0"]}, [["n5", "n0"], ["n2", "n3", "n4"], ["n1"]]),
        ({"test": ["n1"], "train": ["n2"], "val": ["n3"]}, [["n2"], ["n3"], ["n1"]]),
        ({"test": ["images/n1.PNG masks/n1.png"], "val": ["n5.png"]}, None),
    ],
)
def test_lists_decide_three_splits(folder, lists, expected):
    (folder / "val.txt").unlink()
    for split, lines in lists.items():
        write(folder, split, *lines)
    found = names(folder)
    assert list(found) == ["train", "val", "test"]
    assert [*found.values()] == (expected or [["n0", "n2", "n3", "n4"], ["n5"], ["n1"]])


def test_without_the_other_lists_the_rest_is_divided(folder):
    (folder / "val.txt").unlink()
    before = names(folder)
    write(folder, "test", "n3")
    after = names(folder)
    assert after["test"] == ["n3"]
    assert sorted(after["train"] + after["val"]) == ["n0", "n1", "n2", "n4", "n5"]
    assert "test" not in before


def test_an_image_in_test_and_train_is_refused(folder):
    write(folder, "test", "n1")
    write(folder, "train", "n1", "n2")
    assert "n1.png: an image is in one split; it is in train and in test." in refusal(folder)


def test_one_image_is_too_few_and_the_remedy_says_so(folder):
    for name in NAMES[1:]:
        for part in ("images", "masks"):
            (folder / part / f"{name}.png").unlink()
    (folder / "val.txt").unlink()
    assert refusal(folder).endswith(
        "train has none of the 1 names in images and masks. Add images and masks: here are their "
        "endings: .png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp."
    )


@pytest.mark.parametrize("kind", ["16 bits", "palette", "grey"])
def test_objects_are_numbered_in_files_beside_the_masks(folder, kind):
    (folder / "instances").mkdir()
    wanted = numbers() * (400 if kind == "16 bits" else 1)
    stored = wanted.astype(np.uint16 if kind == "16 bits" else np.uint8)
    if kind != "16 bits":
        stored[0] = 255  # void
    else:
        stored[0] = wanted[0] = 255
    image = Image.fromarray(stored)
    if kind == "palette":
        image.putpalette(np.arange(768, dtype=np.uint8).tobytes())
    for name in NAMES:
        image.save(folder / "instances" / f"{name}.png")
    found = verify(data.load("folder", folder))["train"].dataset
    np.testing.assert_array_equal(found.instances(0), wanted)
    assert found.instances(0).dtype == np.int32
    *_, weights = pipeline.draw(found, 0, seed=0, crop=0, augment=(), weight_map=True)
    np.testing.assert_array_equal(weights, weight_map(wanted))


def test_objects_that_are_missing_or_of_another_size_are_named(folder):
    (folder / "instances").mkdir()
    for name in NAMES[1:]:
        Image.fromarray(numbers().astype(np.uint8)[name == "n2" :]).save(
            folder / "instances" / f"{name}.png"
        )
    text = problem(folder)
    assert text.startswith("2 of the 5 examples")
    assert (
        "instances/n0.png: each image has a file in instances, if there is that folder; this one "
        "is missing. Add it, or remove the folder instances."
    ) in text
    assert "instances/n2.png: objects have their label's size; it is 23×30 and" in text


def test_a_weight_map_needs_the_objects(folder):
    recipe = Recipe(
        model="unet", data="folder", steps=1, batch_size=1, learning_rate=1.0, weight_map=True
    )
    with pytest.raises(ValueError, match=r"no folder instances beside masks\. Add it"):
        check_read(recipe, data.load("folder", folder)["train"])


@pytest.mark.parametrize(
    ("stored", "asked", "read"),
    [(1, 0, 1), (1, 3, 3), (3, 0, 3), (3, 1, 1), (4, 0, 4), (4, 3, 3), (4, 1, 1)],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_channels_follow_from_the_images_or_from_what_is_asked(folder, stored, asked, read, ending):
    for seed, name in enumerate(NAMES):
        (folder / "images" / f"{name}.png").unlink()
        pixels = save_image(folder, name, seed, channels=stored, ending=ending)
    splits = data.load("folder", folder, channels=asked)
    image, _ = splits["val"].example(0)
    assert image.shape == (*SIZE, read)
    assert splits["val"].channels == read
    if stored == read:
        np.testing.assert_array_equal(image, pixels.reshape(image.shape))
    elif stored == 1:
        np.testing.assert_array_equal(image, pixels[..., np.newaxis].repeat(3, 2))
    elif read == 3:
        np.testing.assert_array_equal(image, pixels[..., :3])
    verify(splits)


def test_grey_among_colours_is_read_in_colour(folder):
    (folder / "images/n0.png").unlink()
    save_image(folder, "n0", channels=3)
    splits = data.load("folder", folder)
    assert {dataset.example(0)[0].shape for dataset in splits.values()} == {(*SIZE, 3)}


@pytest.mark.parametrize("ending", ["bmp", "tif", "tiff", "webp", "PNG", "JPEG"])
def test_images_have_these_endings(folder, ending):
    (folder / "images/n5.png").rename(folder / f"images/n5.{ending}")
    Image.fromarray(np.full(SIZE, 9, np.uint8)).save(folder / f"images/n5.{ending}")
    assert names(folder)["val"] == ["n5"]
    verify(data.load("folder", folder))


@pytest.mark.parametrize(("of_images", "of_masks"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_may_be_written_in_two_ways(folder, of_images, of_masks):
    for part, form in (("images", of_images), ("masks", of_masks)):
        (folder / part / "n5.png").rename(
            folder / part / unicodedata.normalize(form, "Übergröße é.png")
        )
    write(folder, "val", unicodedata.normalize(of_masks, "Übergröße é"))
    splits = data.load("folder", folder)
    assert len(splits["val"]) == 1
    verify(splits)


def test_files_of_systems_are_no_images(folder):
    for name in ("._n0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg"):
        for part in ("images", "masks"):
            (folder / part / name).write_bytes(b"x")
    assert names(folder) == {"train": NAMES[:5], "val": ["n5"]}


def test_a_grey_folder_and_weights_for_colour_are_not_sent_in_a_circle(folder, tmp_path, capsys):
    words = ["folder_fcn8s", "--workdir", str(tmp_path / "run"), "--data-dir", str(folder)]
    assert command.train(words) == 2
    err = capsys.readouterr().err
    assert err == (
        "zoo train: --encoder-weights imagenet is for images with 3 channels; those of --data "
        "folder have 1. Pass --channels 3, which repeats grey and leaves out a channel behind RGB, "
        "or --encoder-weights none.\n"
    )
    assert command.train([*words, "--options", '{"channels": 3}']) == 2
    assert "--channels 3 reads a grey folder in colour." in capsys.readouterr().err
    short = ["--toy", "--steps", "1", "--validate-every", "1"]
    assert command.train([*words, *short, "--channels", "3"]) == 0
    assert command.train(["--workdir", str(tmp_path / "run"), "--channels", "1"]) == 2
    assert "was started with --channels 3" in capsys.readouterr().err


def test_channels_of_other_data_sets_are_their_own(tmp_path):
    with pytest.raises(
        ValueError, match=r"--channels is for --data folder; the images of --data c"
    ):
        Recipe(model="unet", data="coins", steps=1, batch_size=1, learning_rate=1, channels=3)
    with pytest.raises(data.DataError, match=r"the images of coins have 1, and it received 3"):
        data.load("coins", tmp_path, channels=3)
