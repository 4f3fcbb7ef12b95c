"""Scores of runs and of exported files; every recipe and the demonstration, shrunk."""

import csv
import dataclasses
import importlib
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import exports.formats.saved_model
import exports.formats.tflite
from recipes import __main__ as listing
from recipes import demonstration, scoring
from recipes.data.sets import coins, shapes
from recipes.evaluation import evaluate, results
from recipes.runs import coins_unet, shapes_fcn8s
from recipes.training import train

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
def exported(run, tmp_path_factory):
    """A SavedModel, and a TFLite file for images of the size of the held-out coins."""
    folder = tmp_path_factory.mktemp("exported")
    return (
        exports.formats.saved_model.export(run[1], folder),
        exports.formats.tflite.export(run[1], folder, size=(78, 384)),
    )


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


def refused(capsys, *words):
    assert evaluate.main([str(word) for word in words]) == 1
    out, err = capsys.readouterr()
    return out + err


def test_a_run_is_scored_from_its_published_weights(run, expected, capsys):
    out = evaluated(capsys, "--workdir", run[0])
    assert "coins, split val, 1 images" in out
    assert expected in out
    assert "iou coin" in out
    assert expected not in evaluated(capsys, "--workdir", run[0], "--split", "train")


def test_scores_as_json_are_those_of_the_table(run, expected, capsys):
    assert evaluate.main(["--workdir", str(run[0]), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert list(found) == ["data", "split", "images", "scores"]
    assert (found["data"], found["split"], found["images"]) == ("coins", "val", 1)
    assert err == f"workdir: {run[0]}/model.weights.h5\n"
    assert list(found["scores"]) == ["workdir"]
    scores = found["scores"]["workdir"]
    assert list(scores) == ["file", *scoring.SCORES, "iou_per_class"]
    assert scores["file"] == f"{run[0]}/model.weights.h5"
    assert f"pixel_accuracy            {scores['pixel_accuracy']:.4f}\n" == expected
    assert list(scores["iou_per_class"]) == ["background", "coin"]
    assert scores["mean_iou"] == pytest.approx(np.mean(list(scores["iou_per_class"].values())))


def test_a_score_without_pixels_is_null_in_json(run, capsys, monkeypatch):
    image, label = coins.load(None)["val"].example(0)
    unlabelled = dataclasses.replace(
        coins.load(None)["val"], example=lambda index: (image, np.full_like(label, 255))
    )
    monkeypatch.setattr(coins, "load", lambda folder: {"val": unlabelled})
    scores = json.loads(evaluated(capsys, "--workdir", run[0], "--json"))["scores"]["workdir"]
    assert scores["iou_per_class"] == {"background": None, "coin": None}
    assert [scores[name] for name in scoring.SCORES] == [None] * 4


def test_what_progress_tells_is_not_in_the_json(run, capsys, monkeypatch):
    def told(items, text, total):
        print(text)
        return items

    monkeypatch.setattr(scoring, "told", told)
    assert evaluate.main(["--workdir", str(run[0]), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 1
    assert "scoring the images" in err


def test_a_run_and_its_exports_are_scored_side_by_side(run, exported, expected, capsys):
    words = ["--workdir", run[0], "--saved-model", exported[0], "--tflite", exported[1]]
    words += ["--model", "unet", "--weights", run[0] / "model.weights.h5"]
    out = evaluated(capsys, *words, "--options", json.dumps(COINS.options))
    assert f"saved_model: {exported[0]}\ntflite: {exported[1]}\n" in out
    assert "workdir   weights  saved_model    tflite\n" in out
    hits = expected.split()[1]
    assert f"pixel_accuracy            {hits}    {hits}       {hits}    {hits}\n" in out


@pytest.mark.parametrize(("option", "which"), [("--saved-model", 0), ("--tflite", 1)])
def test_an_export_is_scored_alone(option, which, exported, expected, capsys):
    out = evaluated(capsys, option, exported[which], "--data", "coins")
    assert expected.split() in [line.split() for line in out.splitlines()]


def test_a_tflite_file_of_any_size_takes_images_as_they_are(run, expected, capsys, tmp_path):
    out = evaluated(
        capsys, "--tflite", exports.formats.tflite.export(run[1], tmp_path), "--data", "coins"
    )
    assert expected.split() in [line.split() for line in out.splitlines()]
    assert "scaled" not in out


def test_images_of_another_size_are_scaled_to_a_tflite_file(run, capsys, tmp_path):
    file = exports.formats.tflite.export(run[1], tmp_path, size=(78, 192))
    words = ["--tflite", file, "--data", "coins"]
    out = evaluated(capsys, *words, "--split", "train")
    assert (
        f"{file} takes images of 78×192 (height × width): others are scaled to it, and their class "
        "maps back to the size of the label\n" in out
    )
    image, label = coins.load(None)["train"].example(0)
    # Pillow's filter is another program for the same: a pixel may be rounded to its neighbour.
    small = np.asarray(Image.fromarray(image[..., 0]).resize((192, 78), Image.Resampling.BILINEAR))
    class_map = np.argmax(run[1](small[np.newaxis, ..., np.newaxis].astype("float32"))[0], -1)
    rows, columns = (np.arange(n) * m // n for n, m in zip((225, 384), (78, 192), strict=True))
    hits = (class_map[np.ix_(rows, columns)] == label).mean()
    found = json.loads(evaluated(capsys, *words, "--split", "train", "--json"))
    assert found["scores"]["tflite"]["pixel_accuracy"] == pytest.approx(hits, abs=2e-3)


def test_a_row_is_recorded_on_request_only(run, capsys, tmp_path, monkeypatch):
    file = tmp_path / "results.csv"
    monkeypatch.setattr(results, "RESULTS", file)
    evaluated(capsys, "--workdir", run[0])
    message = refused(capsys, "--workdir", run[0], "--record")
    assert "python -m recipes.runs.coins_unet: it was started with --options" in message
    assert not file.exists()
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    evaluated(capsys, "--workdir", run[0], "--record")
    evaluated(capsys, "--workdir", run[0], "--record", "--split", "train")
    with open(file, newline="") as stream:
        first, second = csv.DictReader(stream)
    assert tuple(first) == results.COLUMNS
    assert (first["recipe"], first["split"], second["split"]) == ("coins_unet", "val", "train")
    assert (first["steps"], float(first["mean_iou"]) > 0.4) == ("30", True)
    assert "tensorflow 2." in first["versions"]
    assert all(first.values())


def test_a_row_is_of_a_run_at_its_end(run, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    recorded = json.loads((run[0] / "recipe.json").read_text()) | {"weights": None}
    (tmp_path / "recipe.json").write_text(json.dumps(recorded))
    message = refused(capsys, "--workdir", tmp_path, "--record")
    assert (
        "is of a run that is at its end. Run python -m recipes.runs.coins_unet until it" in message
    )
    message = refused(capsys, "--workdir", run[0], "--checkpoint", "newest", "--record")
    assert "is of the trained weights of a run. Pass its folder as --workdir, without" in message


def test_every_card_states_its_newest_recorded_result():
    with open(results.RESULTS, newline="") as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    recipes = listing.recipes()
    assert {"coins_unet", "shapes_fcn8s"} <= rows.keys() <= recipes.keys()
    for row in rows.values():
        assert tuple(row) == results.COLUMNS
        assert all(0 <= float(row[score]) <= 1 for score in scoring.SCORES)
    for name in recipes:
        card = importlib.import_module(f"recipes.runs.{name}").__doc__
        result = f"mean IU {rows[name]['mean_iou']} on" if name in rows else "not yet run"
        assert f"\nResult    {result}" in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workdir", "{}"], "is not the folder of a run: it holds no recipe.json. Pass what"),
        (["--saved-model", "{}"], "do not tell their data set. Pass --data, one of coins"),
        (
            ["--saved-model", "{}", "--data", "coins"],
            "{} cannot be read as a SavedModel whose signature serving_default takes an image and",
        ),
        (
            ["--tflite", "{}/x", "--data", "coins"],
            "{}/x cannot be read as a TFLite file that takes an image and gives a class_map (Could",
        ),
        (["--tflite", "{}", "--data", "coins", "--record"], "of a run. Pass its folder as --work"),
        ([], "There is nothing to score. Pass --workdir, --weights with --model, --saved-model or"),
        (["--weights", "{}", "--data", "coins"], "received one of the two. Pass both."),
        (["--tflite", "{}", "--model", "unet"], "one of deconvnet, fcn16s, fcn32s, fcn8s, fcn8s_"),
        (
            ["--tflite", "{}", "--options", '{{"depth": 2}}'],
            "--options are those of --model; there is none. Leave them out.",
        ),
        (["--tflite", "{}", "--checkpoint", "newest"], "one of a run. Pass the folder of the run"),
    ],
)
def test_what_cannot_be_scored_is_an_error(tmp_path, capsys, words, message):
    assert message.format(tmp_path) in refused(capsys, *(word.format(tmp_path) for word in words))


def test_options_are_a_json_object(capsys):
    for text in ("depth=2", "[2]"):
        with pytest.raises(SystemExit):
            evaluate.main(["--options", text])
        assert (
            f"a JSON object of options and values, such as '{{\"filters\": 16}}'; received '{text}'"
            in (capsys.readouterr().err)
        )


def test_damaged_exports_are_errors(exported, capsys, tmp_path):
    file = tmp_path / "cut.tflite"
    file.write_bytes(exported[1].read_bytes()[:-1000])
    message = refused(capsys, "--tflite", file, "--data", "coins")
    assert f"{file} cannot be read as a TFLite file that takes an image and gives" in message
    assert "Pass one that was exported." in message
    folder = shutil.copytree(exported[0], tmp_path / "cut")
    weights = folder / "variables/variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:100])
    message = refused(capsys, "--saved-model", folder, "--data", "coins")
    assert f"{folder} cannot be read as a SavedModel" in message
    assert "Pass the folder of an exported version, in which saved_model.pb lies." in message


@pytest.mark.parametrize(("option", "which"), [("--saved-model", 0), ("--tflite", 1)])
def test_exports_for_other_channels_are_errors(option, which, exported, capsys, tmp_path):
    shapes.write(tmp_path / "shapes", train=1, val=1)
    words = [option, exported[which], "--data", "shapes", "--data-dir", tmp_path]
    assert (
        f"{exported[which]} is made for channels=1; shapes has channels=3. Pass the data set that "
        "it was trained on as --data." in refused(capsys, *words)
    )


@pytest.mark.parametrize("names", [("background",), ("background", "coin", "hole")])
def test_exports_for_other_classes_are_errors(names, exported, capsys, monkeypatch):
    other = dataclasses.replace(coins.load(None)["val"], class_names=names)
    monkeypatch.setattr(coins, "load", lambda folder: {"val": other})
    message = refused(capsys, "--saved-model", exported[0], "--data", "coins")
    assert f"{exported[0]} is made for classes=2; coins has classes={len(names)}. Pass" in message
    if len(names) == 1:  # a TFLite file does not say how many it has: only by its answers
        message = refused(capsys, "--tflite", exported[1], "--data", "coins")
        assert "coins has the classes 0 to 0; received a class map with 1. Pass the da" in message


def test_an_interrupt_ends_in_a_line(run, capsys, monkeypatch):
    def interrupted(predict, dataset):
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "measure", interrupted)
    assert evaluate.main(["--workdir", str(run[0])]) == 130
    assert capsys.readouterr().err == "stopped: nothing was written\n"


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
