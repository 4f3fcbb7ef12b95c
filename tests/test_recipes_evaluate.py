"""Scores of runs and of exported files; every recipe and the demonstration, shrunk."""

import csv
import dataclasses
import importlib
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import exports.saved_model
import exports.tflite
from recipes import __main__ as listing
from recipes import coins_unet, data, demonstration, evaluate, scoring, shapes_fcn8s, train
from recipes.data import coins, shapes
from recipes.recipe import RecipeError

SMALL = {"steps": 30, "deterministic": False, "log_every": 10, "save_every": 30}
COINS = dataclasses.replace(
    coins_unet.RECIPE, options={"filters": 4, "depth": 2}, crop=64, batch_size=2, **SMALL
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run on the coins, and its model."""
    workdir = tmp_path_factory.mktemp("coins") / "run"
    return workdir, train.train(COINS, workdir)


@pytest.fixture(scope="module")
def expected(run):
    """The scores of the held-out coins, from the scores of the model itself."""
    image, label = coins.load(None)["val"].example(0)
    class_map = np.argmax(run[1](image[np.newaxis].astype("float32"))[0], -1)
    assert len(np.unique(class_map)) == 2
    hits = (class_map == label).mean()
    return f"pixel_accuracy            {hits:.4f}\n"


def evaluated(capsys, *words):
    assert evaluate.main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_a_run_is_scored_from_its_published_weights(run, expected, capsys):
    out = evaluated(capsys, "--workdir", run[0])
    assert "coins, split val, 1 images" in out
    assert expected in out
    assert "iou coin" in out
    assert expected not in evaluated(capsys, "--workdir", run[0], "--split", "train")


def test_scores_as_json_are_those_of_the_table(run, expected, capsys):
    found = json.loads(evaluated(capsys, "--workdir", run[0], "--json"))
    assert f"pixel_accuracy            {found['pixel_accuracy']:.4f}\n" == expected
    assert (found["data"], found["split"], found["images"]) == ("coins", "val", 1)
    assert list(found["iou_per_class"]) == ["background", "coin"]
    assert found["mean_iou"] == pytest.approx(np.mean(list(found["iou_per_class"].values())))


def test_a_saved_model_is_scored(run, expected, capsys, tmp_path):
    folder = exports.saved_model.export(run[1], tmp_path)
    assert expected in evaluated(capsys, "--saved-model", folder, "--data", "coins")


def test_a_tflite_file_is_scored(run, expected, capsys, tmp_path):
    file = exports.tflite.export(run[1], tmp_path, size=(78, 384))
    assert expected in evaluated(capsys, "--tflite", file, "--data", "coins")
    assert evaluate.main(["--tflite", str(file), "--data", "coins", "--split", "train"]) == 1
    message = capsys.readouterr().err
    assert "takes images of [78, 384, 1]; received one of [225, 384, 1]. Export it" in message


def test_a_row_is_recorded_on_request_only(run, capsys, tmp_path, monkeypatch):
    results = tmp_path / "results.csv"
    monkeypatch.setattr(evaluate, "RESULTS", results)
    evaluated(capsys, "--workdir", run[0])
    assert evaluate.main(["--workdir", str(run[0]), "--record"]) == 1
    assert "python -m recipes.coins_unet: it was started with --options" in capsys.readouterr().err
    assert not results.exists()
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    evaluated(capsys, "--workdir", run[0], "--record")
    evaluated(capsys, "--workdir", run[0], "--record", "--split", "train")
    with open(results, newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == evaluate.COLUMNS
    assert (first["recipe"], first["split"], second["split"]) == ("coins_unet", "val", "train")
    assert (first["steps"], float(first["mean_iou"]) > 0.4) == ("30", True)
    assert "tensorflow 2." in first["versions"]
    assert all(first.values())


def test_every_card_states_its_newest_recorded_result():
    with open(evaluate.RESULTS, newline="") as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    recipes = listing.recipes()
    assert {"coins_unet", "shapes_fcn8s"} <= rows.keys() <= recipes.keys()
    for row in rows.values():
        assert tuple(row) == evaluate.COLUMNS
        assert all(0 <= float(row[score]) <= 1 for score in evaluate.SCORES)
    for name in recipes:
        card = importlib.import_module(f"recipes.{name}").__doc__
        result = f"mean IU {rows[name]['mean_iou']} on" if name in rows else "not yet run"
        assert f"\nResult    {result}" in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workdir", "{}"], "is not the folder of a run: it holds no recipe.json. Pass what"),
        (["--saved-model", "{}"], "does not know its data set. Pass --data, one of coins"),
        (["--saved-model", "{}", "--data", "coins"], "holds no SavedModel with the signature"),
        (
            ["--tflite", "{}/x", "--data", "coins"],
            "{}/x cannot be read as a TFLite file (Could not open",
        ),
        (["--tflite", "{}", "--data", "coins", "--record"], "is of a run. Pass its folder as --w"),
    ],
)
def test_what_cannot_be_scored_is_an_error(tmp_path, capsys, words, message):
    assert evaluate.main([word.format(tmp_path) for word in words]) == 1
    assert message.format(tmp_path) in capsys.readouterr().err


def test_unfinished_and_damaged_runs_are_errors(run, tmp_path):
    dataset = data.load("coins", tmp_path)["val"]
    (tmp_path / "recipe.json").write_text((run[0] / "recipe.json").read_text())
    with pytest.raises(RecipeError, match=r"Run python -m recipes\.coins_unet --workdir .* to its"):
        evaluate.load_model(tmp_path, dataset)
    weights = (run[0] / "model.weights.h5").read_bytes()
    (tmp_path / "model.weights.h5").write_bytes(weights)
    (tmp_path / "model.weights.h5.sha256").write_text("0" * 64 + "  model.weights.h5\n")
    with pytest.raises(RecipeError, match=r"is not the file that model\.weights\.h5\.sha256 was"):
        evaluate.load_model(tmp_path, dataset)


def test_scores_are_of_one_matrix_and_not_a_mean_of_images(tmp_path):
    shapes.write(tmp_path / "shapes", train=1, val=3)
    dataset = shapes.load(tmp_path)["val"]
    scores = scoring.measure(lambda image: np.zeros(image.shape[:2], np.uint8), dataset)
    labels = np.stack([dataset.example(index)[1] for index in range(3)])
    assert scores["pixel_accuracy"] == pytest.approx((labels == 0).sum() / (labels != 255).sum())


def test_shapes_fcn8s_runs_shrunk(tmp_path, capsys):
    shapes.write(tmp_path / "data/shapes", train=4, val=2)
    recipe = dataclasses.replace(
        shapes_fcn8s.RECIPE,
        options={"stages": [4, 4, 4, 4, 4], "head": 4},
        crop=32,
        batch_size=2,
        **SMALL | {"steps": 2, "log_every": 1},
    )
    train.train(recipe, tmp_path)
    out = evaluated(capsys, "--workdir", tmp_path)
    assert "shapes, split val, 2 images" in out
    assert all(f"iou {name}" in out for name in shapes.CLASS_NAMES)


def test_the_demonstration_ends_in_files_and_runs_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demonstration, "RECIPE", COINS)
    files = demonstration.demonstrate(tmp_path)
    out = capsys.readouterr().out
    # The two simple answers, whatever the small model has learned.
    rows = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("mean_iou"))
    assert rows["mean_iou"].split()[1:] == ["0.3085", "0.9313"]
    assert all(file.exists() for file in files)
    names = ["model.weights.h5", "log.csv", "1", "unet-1.tflite", "mask.png", "overlay.png"]
    assert [file.name for file in files] == names
    class_map = np.asarray(Image.open(tmp_path / "mask.png"))
    model = train.train(COINS, tmp_path)
    scores = model(coins.photograph()[np.newaxis, ..., np.newaxis].astype("float32"))[0]
    assert np.mean(class_map == np.argmax(scores, -1)) > 0.999
    assert demonstration.main(["--workdir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "the training is complete: 30 steps" in out
    assert f"  {tmp_path}/served/unet/2" in out
    assert f"  {pathlib.Path(tmp_path, 'overlay.png')}" in out
