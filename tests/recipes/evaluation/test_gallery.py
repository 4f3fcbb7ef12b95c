"""The picture of the best, the median and the worst answers."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

import zoo.pictures
from recipes.data import Dataset
from recipes.evaluation import gallery
from recipes.evaluation.evaluate import Result
from recipes.evaluation.predictors import Scored

HEIGHT, WIDTH = 20, 40
PANEL = gallery.WIDTH * HEIGHT // WIDTH  # the height of an image in the picture
LINE = 26  # of text, above each column and above each row


def dataset(**changes):
    """Five grey images, which differ in brightness; class 1 is the right half of each."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:, WIDTH // 2 :] = 1
    label[0] = 255
    return Dataset(
        **{
            **{"name": "made", "split": "val", "class_names": ("left", "right"), "channels": 3},
            "files": tuple((f"{index}.png", f"{index}.png") for index in range(5)),
            "example": lambda index: (np.full((HEIGHT, WIDTH, 3), 40 * index, np.uint8), label),
            **changes,
        }
    )


def result(ious, answer):
    """Something scored that answers one class everywhere."""
    scored = Scored(
        pathlib.Path("w"), lambda image: np.full(image.shape[:2], answer), lambda image: None
    )
    return Result(scored, np.zeros((2, 2)), {}, np.array(ious))


RESULTS = {
    "runs/a": result([0.3, 0.9, 0.5, 0.1, 0.4], answer=1),
    "runs/b": result([0.8, 0.1, 0.1, 0.1, 0.2], answer=0),
}


def middle(sheet, row, column, *, across=0.5):
    """The colour at the middle of a panel's height."""
    x = column * (gallery.WIDTH + 6) + int(across * gallery.WIDTH)
    return tuple(np.asarray(sheet)[LINE + row * (LINE + PANEL) + LINE + PANEL // 2, x])


@pytest.mark.parametrize(
    ("ious", "expected"),
    [
        ([0.3, 0.9, 0.5, 0.1, 0.4], {1: "best", 4: "median", 3: "worst"}),
        ([0.3, 0.9, np.nan, 0.1, 0.4], {1: "best", 4: "median", 3: "worst"}),
        ([0.5, 0.5, 0.5], {0: "best", 1: "median", 2: "worst"}),
        ([0.2, 0.3], {1: "best", 0: "worst"}),
        ([np.nan, 0.0], {1: "best"}),
    ],
)
def test_images_are_picked_by_their_scores(ious, expected):
    assert list(gallery.picked(np.array(ious)).items()) == list(expected.items())


def test_without_a_labelled_pixel_there_is_nothing_to_show():
    with pytest.raises(ValueError, match="this split has none"):
        gallery.picked(np.full(3, np.nan))


def test_a_row_has_the_image_its_label_and_each_answer():
    sheet = gallery.draw(dataset(), RESULTS)
    assert sheet.width == 4 * gallery.WIDTH + 3 * 6
    assert sheet.height > LINE + 3 * (LINE + PANEL)  # the legend is below
    assert [middle(sheet, row, 0)[0] for row in range(3)] == [40, 160, 120]  # by the first path

    def tinted(grey, number):
        colour = zoo.pictures.bright_palette()[number]
        return grey + gallery.OPACITY * (colour.astype(float) - grey)

    assert middle(sheet, 1, 1, across=0.25) == pytest.approx(tinted(160, 0), abs=1)
    assert middle(sheet, 1, 1, across=0.75) == pytest.approx(tinted(160, 1), abs=1)
    assert middle(sheet, 1, 2) == pytest.approx(tinted(160, 1), abs=1)
    assert middle(sheet, 1, 3) == pytest.approx(tinted(160, 0), abs=1)


def test_the_background_is_as_it_is_and_colours_are_those_of_the_data():
    plain = dataset(background=0, colours=((9, 9, 9), (250, 0, 0)))
    sheet = gallery.draw(plain, RESULTS)
    assert middle(sheet, 0, 3) == (40, 40, 40)
    assert middle(sheet, 0, 2)[0] > middle(sheet, 0, 2)[1] + 100


@pytest.mark.parametrize(("channels", "kind"), [(1, "uint8"), (4, "uint8"), (3, "float32")])
def test_images_of_other_kinds_are_shown(channels, kind):
    image = np.zeros((HEIGHT, WIDTH, channels), kind)
    image[:, WIDTH // 2 :] = 100
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    sheet = gallery.draw(dataset(channels=channels, example=lambda index: (image, label)), RESULTS)
    dark, bright = (middle(sheet, 0, 0, across=x) for x in (0.25, 0.75))
    assert bright[0] - dark[0] == (255 if kind == "float32" else 100)


def test_a_large_image_is_shown_in_the_size_of_the_others():
    label = np.zeros((1600, 3200), np.uint8)
    label[:, 1600:] = 1
    image = np.repeat(label[..., np.newaxis], 3, -1) * np.uint8(100)
    sheet = gallery.draw(dataset(example=lambda index: (image, label)), RESULTS)
    assert sheet.size == gallery.draw(dataset(), RESULTS).size
    assert middle(sheet, 0, 0, across=0.25) == (0, 0, 0)
    assert middle(sheet, 0, 0, across=0.75) == (100, 100, 100)


def test_a_long_name_is_cut_at_its_beginning_and_paths_of_one_name_are_told_apart(tmp_path):
    two = {f"runs/{'x' * 80}/unet": RESULTS["runs/a"], "other/unet": RESULTS["runs/b"]}
    gallery.write(tmp_path / "new" / "g.jpg", dataset(), two)
    with Image.open(tmp_path / "new" / "g.jpg") as picture:
        assert picture.format == "JPEG"
        gap = np.asarray(picture)[:LINE, 3 * (gallery.WIDTH + 6) - 6 : 3 * (gallery.WIDTH + 6)]
    assert gap.min() > 240  # no title runs into the next column


def test_where_it_cannot_be_written(tmp_path):
    text = "A gallery is written as .png, .jpg or .jpeg; received 'g.gif'. Name it g.png"
    with pytest.raises(ValueError, match=re.escape(text)):
        gallery.check(tmp_path / "g.gif")
    (tmp_path / "g.png").write_text("mine")
    with pytest.raises(FileExistsError, match="is not overwritten"):
        gallery.write(tmp_path / "g.png", dataset(), RESULTS)
    assert (tmp_path / "g.png").read_text() == "mine"
