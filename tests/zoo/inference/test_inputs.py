"""What is asked about: files by what a user names, and images in memory."""

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.images import ImageError
from zoo.inference import inputs

RGB, GREY = (zoo.Spec("unet", {"classes": 3, "channels": channels}) for channels in (3, 1))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "film.mp4", "inside/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def found(folder, *words):
    paths = inputs.find([folder / word for word in words])
    return [str(path.relative_to(folder)) for path in paths]


def test_a_folder_is_its_images_and_videos(folder):
    assert found(folder, "") == ["a.png", "b.JPG", "film.mp4"]


def test_a_pattern_is_what_it_matches(folder):
    assert found(folder, "*.p*") == ["a.png"]
    assert found(folder, "**/*.png") == ["a.png", "inside/c.png"]


def test_a_file_is_itself_and_only_once(folder):
    assert found(folder, "a.png", "inside/../a.png") == ["a.png"]
    assert found(folder, "notes.txt", "a.png", "") == ["notes.txt", "a.png", "b.JPG", "film.mp4"]


def test_a_file_with_a_bracket_in_its_name_is_no_pattern(folder):
    (folder / "scan[1].png").touch()
    assert found(folder, "scan[1].png") == ["scan[1].png"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x.png", r"there is none at .*x\.png\. Check the path\."),
        ("*.bmp", r"the pattern .*\*\.bmp matches none\. Check the path\."),
        ("empty", r"the folder .*empty holds none; the folders inside it are not searched\."),
    ],
)
def test_nothing_there_is_an_error(folder, word, message):
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        inputs.find([folder / word])


def test_answers_have_the_names_of_their_images(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "b.jpg")]
    assert list(inputs.names_of(paths).values()) == ["a", "b.png", "b.jpg"]
    with pytest.raises(ValueError, match=r"x/a\.png and .*A\.png would both be A\.png\. Answer th"):
        inputs.names_of([tmp_path / "x/a.png", tmp_path / "A.png", tmp_path / "a.jpg"])


def test_an_image_of_pillow_is_read_as_its_file_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    image = Image.fromarray(pixels).quantize(16)
    image.save(tmp_path / "palette.png")
    for spec in (RGB, GREY):
        expected = zoo.images.read_image(tmp_path / "palette.png", channels=spec.channels)
        np.testing.assert_array_equal(inputs.read(image, spec), expected)
        np.testing.assert_array_equal(inputs.read(tmp_path / "palette.png", spec), expected)


def test_a_grey_array_is_repeated_for_a_net_of_colours():
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert inputs.read(grey, GREY).shape == (4, 5, 1)
    found = inputs.read(grey, RGB)
    np.testing.assert_array_equal(found, np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 4, 5, 3), np.uint8), r"is \[h, w, 3\]; received \[2, 4, 5, 3\]\. Pass one"),
        (
            np.zeros((4, 5, 5), np.uint8),
            r"an image has the channels of its model, here 3; this",
        ),
        (np.zeros((4, 5, 4)), r"is \[h, w, 3\]; received \[4, 5, 4\]"),
        ([np.zeros((4, 5, 3))] * 2, r"at a time; received a list of 2\. Make a Scorer once, zoo"),
        (np.zeros((0, 5, 3), np.uint8), r"received \[0, 5, 3\]"),
        (np.full((4, 5, 3), 0.5), r"received 0\.5 to 0\.5\. Multiply it by 255\."),
        (np.full((4, 5, 3), 300), r"received 300 to 300\. Scale it to 0-255\."),
        (np.full((4, 5, 3), -1.0), r"received -1 to -1\. Scale it to 0-255\."),
        (
            np.full((4, 5, 3), np.nan),
            r"finite numbers; received NaN or infinity\. Pass uint8",
        ),
        (np.zeros((4, 5, 3), bool), r"received bool"),
    ],
)
def test_an_array_that_is_no_image_is_an_error(image, message):
    with pytest.raises(ValueError, match=message):
        inputs.read(image, RGB)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"x\.png: there is no such file"):
        inputs.read(tmp_path / "x.png", RGB)


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_an_image_of_any_channels_can_be_shown(channels, shown):
    image = inputs.shown(np.full((4, 5, channels), 99.6))
    assert (image.shape, image.dtype) == ((4, 5, shown), np.uint8)
    assert image.max() == 100


def test_shares_are_of_the_classes_that_occur_the_largest_first():
    found = inputs.shares(np.array([[2, 2, 0, 2]]), RGB)
    assert found == {"class 2": 0.75, "class 0": 0.25}
    assert list(found) == ["class 2", "class 0"]
