"""Classes with colours: classes.txt and CVAT's labelmap.txt, and masks that store the colours."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from recipes import command, data
from recipes.data.classes import read_classes, text_of
from recipes.data.verify import verify
from recipes.training import model as models
from recipes.training.recipe import Recipe

COLOURS = {0: (0, 0, 0), 1: (128, 64, 128), 2: (220, 20, 60), 255: (224, 224, 192)}
CLASSES = "background 0 0 0\nroad 128 64 128\nred fox 220 20 60\n"
CVAT = """\
# label:color_rgb:parts:actions
background:0,0,0::
road:128,64,128::
red fox:220,20,60:tail,nose:run
"""


def indices(seed):
    return np.random.default_rng(seed).choice(np.array([*COLOURS], np.uint8), (12, 16))


def painted(label):
    image = np.zeros((*label.shape, 3), np.uint8)
    for index, colour in COLOURS.items():
        image[label == index] = colour
    return image


@pytest.fixture
def folder(tmp_path):
    """Four images with masks of colours."""
    folder = tmp_path / "photographs"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(4):
        ending = (".jpg", ".bmp", ".tif", ".webp")[number]
        Image.fromarray(painted(indices(number))).save(folder / "images" / f"p{number}{ending}")
        Image.fromarray(painted(indices(number))).save(folder / "masks" / f"p{number}.png")
    (folder / "classes.txt").write_text(CLASSES)
    (folder / "val.txt").write_text("p3\n")
    (folder / "test.txt").write_text("p2\n")
    return folder


def labels(folder):
    splits = data.load("folder", folder)
    verify(splits)
    return {
        pathlib.Path(files[0]).stem: split.example(index)[1]
        for split in splits.values()
        for index, files in enumerate(split.files)
    }


def assert_read(folder):
    found = labels(folder)
    assert sorted(found) == ["p0", "p1", "p2", "p3"]
    for name, label in found.items():
        np.testing.assert_array_equal(label, indices(int(name[1])))


def refusal(folder):
    with pytest.raises(data.DataError) as error:
        data.load("folder", folder)
    return str(error.value)


def test_colours_become_indices(folder):
    assert_read(folder)
    dataset = data.load("folder", folder)["train"]
    assert dataset.class_names == ("background", "road", "red fox")
    assert dataset.colours == (COLOURS[0], COLOURS[1], COLOURS[2])


def test_a_trained_model_knows_the_colours(folder):
    dataset = data.load("folder", folder)["train"]
    options = {"filters": 2, "depth": 1}
    recipe = Recipe(
        model="unet", data="folder", steps=1, batch_size=1, learning_rate=1.0, options=options
    )
    assert models.build(recipe, dataset).spec.colours == dataset.colours


def test_cvats_labelmap_is_understood(folder):
    (folder / "classes.txt").unlink()
    (folder / "labelmap.txt").write_text(CVAT)
    assert read_classes(folder).names == ("background", "road", "red fox")
    assert_read(folder)


@pytest.mark.parametrize("separator", ["\t", ", ", ";", "   "])
def test_colours_may_be_separated_in_other_ways(folder, separator):
    (folder / "classes.txt").write_text(
        "".join(separator.join((*line.rsplit(" ", 3),)) + "\r\n" for line in CLASSES.splitlines()),
        encoding="utf-16",
    )
    assert_read(folder)


def test_void_has_another_colour_in_a_last_line(folder):
    mask = painted(indices(0))
    mask[indices(0) == 255] = 1, 2, 3
    Image.fromarray(mask).save(folder / "masks/p0.png")
    with pytest.raises(data.DataError, match=r"\(1, 2, 3\)"):
        labels(folder)
    for number in range(1, 4):
        mask = painted(indices(number))
        mask[indices(number) == 255] = 1, 2, 3
        Image.fromarray(mask).save(folder / f"masks/p{number}.png")
    (folder / "classes.txt").write_text(CLASSES + "Void 1 2 3\n")
    assert len(data.load("folder", folder)["val"].class_names) == 3
    assert_read(folder)
    (folder / "classes.txt").write_text("void 1 2 3\n" + CLASSES)
    assert refusal(folder).endswith(
        "line 2: a line 'void' with a colour is the last one, since it counts as no class; "
        "'background' follows it. Move it to the end."
    )


def test_an_unknown_colour_is_named_with_a_pixel(folder):
    mask = painted(indices(1))
    mask[3, 5], mask[7, 0], mask[8, 1] = (9, 8, 7), (9, 8, 7), (1, 1, 1)
    Image.fromarray(mask).save(folder / "masks/p1.png")
    with pytest.raises(data.DataError) as error:
        labels(folder)
    assert str(error.value).endswith(
        f"{folder}/masks/p1.png: a pixel has the colour of a class, or void's (224, 224, 192); the "
        "one in row 3, column 5 has (9, 8, 7), and 1 more unknown occur. Correct the "
        "mask, or add the colour to classes.txt: as that of a class, or in a last line void R G B."
    )


def test_masks_of_indices_go_with_classes_that_have_colours(folder):
    for number in range(4):
        Image.fromarray(indices(number)).save(folder / "masks" / f"p{number}.png")
    assert_read(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ground 0 0 0\ncat\n",
            "line 2: each class has a colour of three numbers from 0 to 255, or none has one; "
            "'cat' has none. Write NAME R G B.",
        ),
        ("ground 0 0 0\ncat 0 300 0\n", "line 2: each class has a colour of three numbers"),
        (
            "ground\nred fox # the animal\n",
            "line 2: a comment has a line of its own that begins with #, and a colour is R G B or "
            "#RRGGBB; received 'red fox # the animal'. Move the comment, or write the colour so.",
        ),
        ("ground #000\ncat #f00\n", "line 1: a comment has a line of its own"),
        ("ground #000000\ncat #ff0000ff\n", "line 2: a comment has a line of its own"),
        (
            "__ignore__\n_background_\nred fox\n",
            "line 1: void is 255 and no class; received '__ignore__'. Delete the line; in masks "
            "its pixels are 255.",
        ),
        ("ground 1 2 3\ncat 1 2 3\n", "classes have different colours; received 2, with (1, 2, 3)"),
        ("cat 1 2 3\ncat 3 2 1\n", "classes have different names; received 2, with cat twice"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(folder, text, message):
    (folder / "classes.txt").write_text(text)
    assert message in refusal(folder)


def test_a_line_of_a_labelmap_that_breaks_a_rule_is_named(folder):
    (folder / "classes.txt").unlink()
    (folder / "labelmap.txt").write_text("background:0,0,0::\nroad:128,64::\n")
    assert refusal(folder).endswith(
        "labelmap.txt, line 2: a line is label:color_rgb:parts:actions, such as "
        "road:128,64,128::; received 'road:128,64::'. Correct it, or write the classes into a "
        "classes.txt."
    )


@pytest.mark.parametrize(
    "text",
    [
        "# index order\n" + CLASSES,
        "#classes\n" + CLASSES + "# void is 224 224 192\n",
        "background #000000\n\n#road:\nroad #804080\nred fox,  #DC143C\n",
        "background 0 0 0\nroad #804080\nred fox 220 20 60\nvoid #e0e0c0\n",
    ],
)
def test_comments_and_hexadecimal_colours_are_understood(folder, text):
    (folder / "classes.txt").write_text(text)
    assert read_classes(folder).names == ("background", "road", "red fox")
    assert_read(folder)


def test_names_may_end_with_numbers(folder):
    """Only three of them are a colour."""
    (folder / "classes.txt").write_text("lane 1\nroute 66 1\nvehicle #1\nC#\n")
    assert read_classes(folder).names == ("lane 1", "route 66 1", "vehicle #1", "C#")


def test_masks_of_colours_without_colours_are_told_the_whole_way(folder, capsys, tmp_path):
    """The remedy, followed: colours into classes.txt, --write-indices, and the new folder."""
    (folder / "classes.txt").write_text("background\nroad\nred fox\n")
    assert command.verify(["folder", str(folder)]) == 1
    assert (
        "p0.png: a class map holds one number per pixel; this one is stored as 'RGB'. Save the "
        "numbers as a palette (P) or 8-bit grey (L) PNG. Or give each class its colour in "
        "classes.txt, as NAME R G B; zoo verify folder DIR --write-indices NEW then writes the "
        "indices.\n" in capsys.readouterr().err
    )
    (folder / "classes.txt").write_text(CLASSES)
    new = tmp_path / "new"
    assert command.verify(["folder", str(folder), "--write-indices", str(new)]) == 0
    assert capsys.readouterr().out.endswith(f"written: {new}\n")
    before, after = (data.load("folder", one) for one in (folder, new))
    for split, dataset in after.items():
        assert dataset.colours == before[split].colours
        for index in range(len(dataset)):
            with Image.open(dataset.files[index][1]) as mask:
                assert mask.mode == "P"
                shown = np.asarray(mask.convert("RGB"))
            label = dataset.example(index)[1]
            np.testing.assert_array_equal(shown, painted(label))
            for one, other in zip(
                dataset.example(index), before[split].example(index), strict=True
            ):
                np.testing.assert_array_equal(one, other)
    assert_read(new)
    assert list(after) == ["train", "val", "test"]


def test_a_name_with_spaces_at_its_ends_is_written_so_that_it_is_found(folder, tmp_path):
    for part in ("images", "masks"):
        (file,) = (folder / part).glob("p1.*")
        file.rename(folder / part / f" p1\u202f{file.suffix}")  # as in a Mac's screenshots
    new = tmp_path / "new"
    assert command.verify(["folder", str(folder), "--write-indices", str(new)]) == 0
    assert sorted(labels(new)) == [" p1\u202f", "p0", "p2", "p3"]


def test_nothing_is_written_over(folder, tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kept").write_text("x")
    assert command.verify(["folder", str(folder), "--write-indices", str(mine)]) == 2
    assert capsys.readouterr().err == f"zoo verify: {mine} exists already. Choose another name.\n"
    (folder / "masks/p0.png").write_bytes(b"")
    assert command.verify(["folder", str(folder), "--write-indices", str(tmp_path / "new")]) == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine", "photographs"]
    assert [one.name for one in mine.iterdir()] == ["kept"]


@pytest.mark.parametrize("place", ["classes.txt/new", "n" * 300, "full/new"])
def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(folder, place, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "x")

    if place == "full/new":
        monkeypatch.setattr("shutil.copyfile", full)
    new = folder / place
    assert command.verify(["folder", str(folder), "--write-indices", str(new)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"zoo verify: {new}: the new folder cannot be written ([Errno ")
    assert said.endswith("Choose another place, which you may write to and which has room.")
    assert not (folder / "full").exists()


def test_a_link_to_nothing_is_not_written_over(folder, capsys):
    (folder / "new").symlink_to(folder / "nothing")
    command.verify(["folder", str(folder), "--write-indices", str(folder / "new")])
    assert "exists already. Choose another name." in capsys.readouterr().err


def test_only_a_folder_is_written_anew(capsys):
    with pytest.raises(SystemExit):
        command.verify(["coins", ".", "--write-indices", "new"])
    assert "zoo verify folder DIR --write-indices NEW" in capsys.readouterr().err


def test_jpeg_masks_are_refused_as_lossy(folder):
    for number in range(4):
        (folder / f"masks/p{number}.png").unlink()
        Image.fromarray(painted(indices(number))).save(folder / f"masks/p{number}.jpg")
    for text in (CLASSES, "background\nroad\nred fox\n"):
        (folder / "classes.txt").write_text(text)
        with pytest.raises(data.DataError) as error:
            labels(folder)
        assert "p0.jpg: a class map is stored without loss; this one is a lossy JPEG" in str(
            error.value
        )
        assert "NAME R G B" not in str(error.value)


def test_the_text_of_classes_is_read_as_it_was(folder):
    for colours in (None, ((1, 2, 3), (4, 5, 6))):
        (folder / "classes.txt").write_text(text_of(("red fox", "road"), colours))
        assert read_classes(folder)[:2] == (("red fox", "road"), colours)
