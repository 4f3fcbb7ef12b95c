"""Scores on the split "test" of a folder, and on images that are read with other channels."""

import json

import numpy as np
import pytest
from PIL import Image

import zoo
from recipes import command
from recipes.evaluation.evaluate import evaluate


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "model.weights.h5"
    model = zoo.build("unet", classes=2, channels=3, filters=2, depth=1)
    return zoo.weights.save(model, file)


@pytest.fixture
def folder(tmp_path):
    """Grey images; only the one of "test" is all of class 1."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    for number in range(4):
        rng = np.random.default_rng(number)
        image = rng.integers(0, 255, (16, 20), np.uint8)
        Image.fromarray(image).save(tmp_path / f"images/n{number}.png")
        label = np.ones_like(image) if number == 3 else image // 128
        Image.fromarray(label).save(tmp_path / f"masks/n{number}.png")
    (tmp_path / "val.txt").write_text("n2\n")
    (tmp_path / "test.txt").write_text("n3\n")
    return tmp_path


def words(weights, folder, *more):
    return [str(weights), "--data", "folder", "--data-dir", str(folder), *more]


def test_the_test_split_is_scored(weights, folder, capsys):
    assert (
        command.evaluate(words(weights, folder, "--split", "test", "--channels", "3", "--json"))
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["split"], found["images"]) == ("test", 1)
    (scores,) = found["scores"].values()
    _, results = evaluate([weights], data_name="folder", data_dir=folder, split="test", channels=3)
    confusion = results[str(weights)].scores
    assert scores["pixel_accuracy"] == pytest.approx(confusion["pixel_accuracy"])
    assert scores["iou_per_class"]["cell"] == pytest.approx(scores["pixel_accuracy"])


def test_the_remedy_for_other_channels_works(weights, folder, capsys):
    assert command.evaluate(words(weights, folder)) == 2
    err = capsys.readouterr().err
    assert "is made for channels=3; folder has channels=1." in err
    remedy = err.strip().rpartition("read its images with ")[2].rstrip(".").split()
    assert remedy == ["--channels", "3"]
    assert command.evaluate(words(weights, folder, *remedy)) == 0


def test_a_folder_without_a_test_split_says_how_to_make_one(weights, folder, capsys):
    (folder / "test.txt").unlink()
    more = ("--split", "test", "--channels", "3")
    assert command.evaluate(words(weights, folder, *more)) == 2
    assert capsys.readouterr().err == (
        "zoo evaluate: --split is one of train, val; received test. Write the names of the test "
        "images into a test.txt of the folder, or pass --split val.\n"
    )
    (folder / "test.txt").write_text("n1\n")
    assert command.evaluate(words(weights, folder, *more)) == 0


def test_a_label_that_cannot_be_scored_is_named(weights, folder, capsys):
    Image.fromarray(np.full((16, 20), 9, np.uint8)).save(folder / "masks/n2.png")
    assert command.evaluate(words(weights, folder, "--channels", "3")) == 2
    assert capsys.readouterr().err == (
        f"zoo evaluate: {folder}/masks/n2.png: a label holds the classes 0 to 1 and 255; it holds "
        "9 too. Give these pixels a class, or 255 for void.\n"
    )
    Image.fromarray(np.zeros((16, 19), np.uint8)).save(folder / "masks/n2.png")
    assert command.evaluate(words(weights, folder, "--channels", "3")) == 2
    assert "masks/n2.png: a label has its image's size; it is 16×19" in capsys.readouterr().err


def test_nets_of_other_channels_are_scored_alone(weights, folder, capsys):
    grey = folder / "grey\x1b.weights.h5"
    zoo.weights.save(zoo.build("unet", classes=2, channels=1, filters=2, depth=1), grey)
    assert command.evaluate([str(grey), *words(weights, folder)]) == 2
    assert capsys.readouterr().err.endswith(
        "; or score it alone, and read its images with --channels 3.\n"
    )
    assert command.evaluate(words(weights, folder, "--channels", "3")) == 0
    assert command.evaluate(words(grey, folder)) == 0
    assert "grey\\x1b.weights.h5" in (out := capsys.readouterr().out)
    assert "\x1b" not in out
