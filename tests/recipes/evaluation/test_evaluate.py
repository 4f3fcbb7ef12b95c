"""`zoo evaluate`: the scores of runs, weights and exported files; the demonstration, shrunk."""

import csv
import dataclasses
import json
import pathlib
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

import exports
import zoo
from benchmarks import quoted
from recipes import command, demonstration, runs, scoring
from recipes.data.sets import coins, shapes
from recipes.evaluation import gallery, predictors, results
from recipes.runs import coins_unet
from recipes.training import environment, train
from tests.parity.caffe import definitions, messages
from zoo import workdir

SMALL = {"steps": 30, "deterministic": False, "log_every": 10, "save_every": 30}
COINS = dataclasses.replace(
    runs.find("coins_unet"), options={"filters": 4, "depth": 2}, crop=64, batch_size=2, **SMALL
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
    written = exports.export(run[1], folder, ("saved_model", "tflite"), size=(78, 384))
    return written["saved_model"], written["tflite"]


@pytest.fixture(scope="module")
def expected(run):
    """The scores of the held-out coins, from the scores of the model itself."""
    class_map, (_, label) = answered(run[1]), coins.load(None)["val"].example(0)
    assert len(np.unique(class_map)) == 2
    hits = (class_map == label).mean()
    return f"pixel_accuracy            {hits:.4f}\n"


def answered(model):
    image, _ = coins.load(None)["val"].example(0)
    return np.argmax(model(image[np.newaxis].astype("float32"))[0], -1)


def evaluated(capsys, *words):
    assert command.evaluate([str(word) for word in words]) == 0
    return capsys.readouterr().out


def lines(out):
    return [line.split() for line in out.splitlines()]


def refused(capsys, *words):
    assert command.evaluate([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    return out + err


def test_a_run_is_scored_from_its_published_weights(run, expected, capsys):
    out = evaluated(capsys, run[0])
    assert f"{run[0]}: {run[0]}/model.weights.h5, step {COINS.steps} of {COINS.steps}\n" in out
    assert "coins, split val, 1 image\n" in out
    assert expected.split() in lines(out)
    for name in ("iou", "precision", "recall", "dice"):
        assert f"{name} coin" in out
    assert expected.split() not in lines(evaluated(capsys, run[0], "--split", "train"))


def test_scores_as_json_are_those_of_the_table(run, expected, capsys):
    assert command.evaluate([str(run[0]), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert list(found) == ["data", "split", "images", "left_out", "method", "scores"]
    assert (found["data"], found["split"], found["images"]) == ("coins", "val", 1)
    assert err == f"{run[0]}: {run[0]}/model.weights.h5, step {COINS.steps} of {COINS.steps}\n"
    assert list(found["scores"]) == [str(run[0])]
    scores = found["scores"][str(run[0])]
    per_class = [f"{name}_per_class" for name in ("iou", "precision", "recall", "dice")]
    assert list(scores) == ["file", *scoring.SCORES, *per_class]
    assert scores["file"] == f"{run[0]}/model.weights.h5"
    assert f"pixel_accuracy            {scores['pixel_accuracy']:.4f}\n" == expected
    assert list(scores["iou_per_class"]) == ["background", "coin"]
    assert scores["mean_iou"] == pytest.approx(np.mean(list(scores["iou_per_class"].values())))


def test_the_boundary_iou_is_scored_on_request(run, capsys):
    class_map, (_, label) = answered(run[1]), coins.load(None)["val"].example(0)
    counts = zoo.metrics.boundary_counts(label, class_map, classes=2, distance=2)
    expected = zoo.metrics.boundary_scores(counts)
    scores = json.loads(evaluated(capsys, run[0], "--boundary", "2", "--json"))
    (scores,) = scores["scores"].values()
    assert list(scores)[5] == "mean_boundary_iou"
    assert scores["mean_boundary_iou"] == pytest.approx(expected["mean_boundary_iou"])
    assert list(scores["boundary_iou_per_class"].values()) == pytest.approx(
        expected["boundary_iou_per_class"]
    )
    out = lines(evaluated(capsys, run[0], "--boundary", "2"))
    assert ["mean_boundary_iou", f"{expected['mean_boundary_iou']:.4f}"] in out
    assert ["boundary_iou", "coin", f"{expected['boundary_iou_per_class'][1]:.4f}"] in out
    wide = json.loads(evaluated(capsys, run[0], "--boundary", "9", "--json"))["scores"]
    assert wide[str(run[0])]["mean_boundary_iou"] > scores["mean_boundary_iou"]


def test_the_membranes_of_isbi_are_scored_without_being_asked_for(run, capsys, monkeypatch):
    part = dataclasses.replace(coins.load(None)["val"], name="isbi")
    for names in (("membrane", "cell"), ("background", "cell")):
        named = dataclasses.replace(part, class_names=names)
        monkeypatch.setattr(coins, "load", lambda folder, named=named: {"val": named})
        (scores,) = json.loads(evaluated(capsys, run[0], "--json"))["scores"].values()
        assert ("v_rand_thin" in scores) == (names[0] == "membrane")


def test_the_confusion_matrix_is_written_in_each_form(run, capsys, tmp_path):
    files = [tmp_path / name for name in ("m.csv", "m.md", "m.png")]
    words = [word for file in files for word in ("--confusion", file)]
    scores = json.loads(evaluated(capsys, run[0], "--json", *words))["scores"][str(run[0])]
    with open(files[0], newline="") as stream:
        rows = list(csv.DictReader(stream))
    matrix = np.array([[int(row[name]) for name in ("background", "coin")] for row in rows])
    assert [row["path"] for row in rows] == [str(run[0])] * 2
    assert np.trace(matrix) / matrix.sum() == pytest.approx(scores["pixel_accuracy"])
    assert matrix[1, 1] / matrix[1].sum() == pytest.approx(scores["recall_per_class"]["coin"])
    assert f"| coin | {matrix[1, 0]:,} | {matrix[1, 1]:,} |" in files[1].read_text()
    with Image.open(files[2]) as picture:
        assert picture.mode == "RGB"
    wrong = refused(capsys, run[0], "--confusion", tmp_path / "m.txt")
    assert wrong.startswith("zoo evaluate: A confusion matrix is written as .png, .csv or .md; ")


def test_the_gallery_shows_the_answers_of_all_paths(run, exported, capsys, tmp_path):
    file = tmp_path / "answers.png"
    evaluated(capsys, run[0], *exported, "--gallery", file)
    with Image.open(file) as picture:
        width = picture.width
    assert width // gallery.WIDTH == 2 + 3
    assert "is not overwritten" in refused(capsys, run[0], "--gallery", file)


def test_a_score_without_pixels_is_null_in_json(run, capsys, monkeypatch):
    image, label = coins.load(None)["val"].example(0)
    unlabelled = dataclasses.replace(
        coins.load(None)["val"], example=lambda index: (image, np.full_like(label, 255))
    )
    monkeypatch.setattr(coins, "load", lambda folder: {"val": unlabelled})
    scores = json.loads(evaluated(capsys, run[0], "--json"))["scores"][str(run[0])]
    assert scores["iou_per_class"] == {"background": None, "coin": None}
    assert [scores[name] for name in scoring.SCORES] == [None] * 4


def test_what_progress_tells_is_not_in_the_json(run, capsys, monkeypatch):
    def told(items, text, total):
        print(text)
        return items

    monkeypatch.setattr(scoring, "told", told)
    assert command.evaluate([str(run[0]), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 1
    assert "scoring the images" in err


def test_a_run_and_its_exports_are_scored_side_by_side(run, exported, expected, capsys, tmp_path):
    # A file that another program wrote, without a Spec: its model and options are typed.
    bare = tmp_path / "bare.weights.h5"
    run[1].save_weights(bare)
    paths = [run[0], *exported, run[0] / "model.weights.h5", bare]
    words = ["--model", "unet", "--options", json.dumps(COINS.options)]
    out = evaluated(capsys, *paths, *words)
    assert f"{exported[0]}: {exported[0]}\n{exported[1]}: {exported[1]}\n" in out
    assert [str(path) for path in paths] in lines(out)
    assert ["pixel_accuracy", *[expected.split()[1]] * 5] in lines(out)


@pytest.mark.parametrize("which", [0, 1])
def test_an_export_is_scored_alone(which, exported, expected, capsys):
    out = evaluated(capsys, exported[which], "--data", "coins")
    assert expected.split() in lines(out)


def test_a_tflite_file_of_any_size_takes_images_as_they_are(run, expected, capsys, tmp_path):
    written = exports.export(run[1], tmp_path, ["tflite"])
    out = evaluated(capsys, written["tflite"], "--data", "coins")
    assert expected.split() in lines(out)
    assert "scaled" not in out


@pytest.mark.filterwarnings("default:.*takes images of")
def test_images_of_another_size_are_scaled_to_a_tflite_file(run, capsys, tmp_path):
    file = exports.export(run[1], tmp_path, ["tflite"], size=(78, 192))["tflite"]
    words = [file, "--data", "coins"]
    assert command.evaluate([*map(str, words), "--split", "train"]) == 0
    assert (
        f"zoo evaluate: {file} takes images of 78×192 (height × width): others are scaled to it, "
        "and their answers back\n" in capsys.readouterr().err
    )
    image, label = coins.load(None)["train"].example(0)
    # Pillow rounds some pixels to their neighbour; a wrong filter moves the score by 0.1 and more.
    small = np.asarray(Image.fromarray(image[..., 0]).resize((192, 78), Image.Resampling.BILINEAR))
    class_map = np.argmax(run[1](small[np.newaxis, ..., np.newaxis].astype("float32"))[0], -1)
    rows, columns = (np.arange(n) * m // n for n, m in zip((225, 384), (78, 192), strict=True))
    hits = (class_map[np.ix_(rows, columns)] == label).mean()
    found = json.loads(evaluated(capsys, *words, "--split", "train", "--json"))
    assert found["scores"][str(file)]["pixel_accuracy"] == pytest.approx(hits, abs=1e-2)


@pytest.fixture
def results_file(tmp_path, monkeypatch):
    """A clone's docs/results.csv that may be written."""
    (tmp_path / "clone/docs").mkdir(parents=True)
    monkeypatch.setattr(environment, "checkout", lambda: tmp_path / "clone")
    return tmp_path / "clone/docs/results.csv"


def test_a_row_is_recorded_on_request_only(run, capsys, results_file, monkeypatch):
    evaluated(capsys, run[0])
    message = refused(capsys, run[0], "--record")
    assert f"{run[0]} is not that of zoo train coins_unet: it was started with --options" in message
    assert not results_file.exists()
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    evaluated(capsys, run[0], "--record")
    parts = coins.load(None)
    parts["test"] = dataclasses.replace(parts["train"], split="test", files=(("a.png", "b.png"),))
    monkeypatch.setattr(coins, "load", lambda folder: parts)
    evaluated(capsys, run[0], "--record", "--split", "test")
    with open(results_file, newline="") as stream:
        first, second = csv.DictReader(stream)
    assert tuple(first) == results.COLUMNS
    assert (first["recipe"], first["split"], second["split"]) == ("coins_unet", "val", "test")
    assert first["mean_iou"] != second["mean_iou"]
    assert (first["steps"], float(first["mean_iou"]) > 0.4) == ("30", True)
    assert "tensorflow 2." in first["versions"]
    assert all(first.values())
    background, coin = first["class_ious"].split("; ")
    assert background.startswith("background 0.")
    assert coin.startswith("coin 0.")
    assert 0.1 < float(first["memory_gb"]) < 20


def test_a_row_may_be_of_another_seed(run, capsys, results_file, tmp_path, monkeypatch):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    other = shutil.copytree(run[0], tmp_path / "other")
    recorded = workdir.read_recipe(other)
    recorded["recipe"]["seed"] = 3
    (other / "recipe.json").write_text(json.dumps(recorded))
    for one in (run[0], other):
        evaluated(capsys, one, "--record")
    with open(results_file, newline="") as stream:
        assert [row["seed"] for row in csv.DictReader(stream)] == ["0", "3"]


def test_baselines_are_scored_and_recorded_once(run, capsys, results_file, monkeypatch):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    for _ in range(2):
        shown = evaluated(capsys, run[0], "--baselines", "--record")
    assert "most frequent class  class of each place" in shown
    with open(results_file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["recipe"] for row in rows) == [
        *("class of each place", "coins_unet", "coins_unet", "most frequent class")
    ]
    for row in rows:
        assert (row["model"] == "") == (row["recipe"] != "coins_unet") == (row["steps"] == "")
    (frequent,) = [row for row in rows if row["recipe"] == "most frequent class"]
    label = coins.load(None)["val"].example(0)[1]
    assert float(frequent["pixel_accuracy"]) == pytest.approx((label == 0).mean(), abs=1e-3)
    assert frequent["class_ious"].endswith("; coin 0.0000")
    found = json.loads(evaluated(capsys, run[0], "--baselines", "--json"))["scores"]
    assert found["class of each place"]["file"] is None


def test_a_row_is_of_a_finished_run(run, exported, capsys, tmp_path, monkeypatch, results_file):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    for weights, step in (({"step": 7, "minutes": 1}, 7), (None, 0)):
        recorded = workdir.read_recipe(run[0]) | {"weights": weights}
        (tmp_path / "recipe.json").write_text(json.dumps(recorded))
        assert refused(capsys, tmp_path, "--record") == (
            f"zoo evaluate: A row of results.csv is that of a finished run; {tmp_path} has weights "
            f"of step {step} of 30. Run zoo train --workdir {tmp_path} first.\n"
        )
    for words in ([run[0], "--checkpoint", "newest"], [exported[1], run[0]]):
        message = refused(capsys, *words, "--record")
        assert "of the trained weights of a run. Give its workdir as the first path" in message
    assert not results_file.exists()


@pytest.mark.parametrize(
    "lacking", ["seed", "hardware", "keras", "minutes", "memory_gb", "environments"]
)
def test_a_record_that_lacks_what_a_row_tells(
    run, capsys, results_file, tmp_path, monkeypatch, lacking
):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    recorded = workdir.read_recipe(run[0])
    records = (recorded["environments"][0], recorded["weights"], recorded["recipe"], recorded)
    for entry in records:
        entry.pop(lacking, None)
    (tmp_path / "recipe.json").write_text(json.dumps(recorded))
    message = refused(capsys, tmp_path, "--record")
    assert f"{tmp_path}/recipe.json has no " in message
    assert ("hardware, tensorflow" if lacking == "environments" else lacking) in message
    assert not results_file.exists()


def test_a_row_is_recorded_in_a_clone_only(run, capsys, monkeypatch):
    monkeypatch.setattr(environment, "checkout", lambda: None)
    message = refused(capsys, run[0], "--record")
    assert "this package is installed without one. Run the command in a clone, or leave" in message


def test_a_stopped_run_is_scored_exported_and_resumed_by_its_workdir_only(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
    words = ["--workdir", str(tmp_path / "run")]
    assert command.train(["coins_unet", *words, "--limit-steps", "6", "--validate-every", "4"]) == 0
    capsys.readouterr()
    found = {
        which: json.loads(evaluated(capsys, tmp_path / "run", "--json", "--checkpoint", which))
        for which in ("newest", "best", "6", "0")
    }
    assert f", step 4 of {COINS.steps}\n" in evaluated(
        capsys, tmp_path / "run", "--checkpoint", "best"
    )
    assert f"ckpt-6, step 6 of {COINS.steps}\n" in evaluated(
        capsys, tmp_path / "run", "--checkpoint", "6"
    )
    files = [pathlib.Path(x["scores"][str(tmp_path / "run")]["file"]).name for x in found.values()]
    assert files == ["model.weights.h5", "best.weights.h5", "ckpt-6", "ckpt-0"]
    best = workdir.read_recipe(tmp_path / "run")["best"]
    mean_iou = found["best"]["scores"][str(tmp_path / "run")]["mean_iou"]
    assert (best["step"], best["mean_iou"]) == (4, pytest.approx(mean_iou))
    model = zoo.load(tmp_path / "run")
    assert model.spec.class_names == ("background", "coin")
    assert model.spec.background == 0
    version = exports.export(model, tmp_path / "served")["saved_model"]
    assert exports.read_spec(version) == model.spec
    out = evaluated(capsys, tmp_path / "run", version)
    (row,) = [line for line in lines(out) if line[0] == "pixel_accuracy"]
    assert row[1] == row[2]
    assert command.train(words) == 0
    assert "going on from step 6" in capsys.readouterr().out
    assert workdir.read_recipe(tmp_path / "run")["weights"]["step"] == 30


def test_every_card_states_its_newest_recorded_result():
    every, own = quoted.results(other_seeds=True), quoted.results()
    assert all(tuple(row) == results.COLUMNS for row in every)
    assert {row["recipe"] for row in every} == {row["recipe"] for row in own}
    rows = {row["recipe"]: row for row in own if row["model"]}
    for row in rows.values():
        assert all(0 <= float(row[score]) <= 1 for score in scoring.SCORES)
    for name in runs.names():
        result = f"mean IoU {rows[name]['mean_iou']} on" if name in rows else "not yet run"
        assert f"\nResult    {result}" in runs.card(name)
    assert {"coins_unet", "shapes_fcn8s"} <= rows.keys() <= set(runs.names())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/x.tflite"], "one data set; files do not name theirs. Pass --data, one of camvid, c"),
        (["{}"], "with a recipe.json; {} is another folder. Give the workdir or the weights file."),
        (["{}", "--data", "coins"], "with a recipe.json; {} is another folder. Give the workdir"),
        (
            ["{}/empty", "--data", "coins"],
            "{}/empty cannot be read as a SavedModel whose signature serving_default takes an im",
        ),
        (
            ["{}/x.tflite", "--data", "coins"],
            "{}/x.tflite cannot be read as a file that takes an image and gives a class_map (mmap",
        ),
        (["{}/x.h5", "--data", "coins"], "there is none at {}/x.h5. Check the path."),
        (["{}/bare.h5", "--data", "coins"], "does not say which model its weights are of."),
        (["{}/bare.h5", "--data", "coins", "--model", "unnet"], "Did you mean 'unet'?"),
        (["{}/bare.h5", "--data", "cats"], "A data set is one of camvid, coins, folder"),
        (["{}/bare.h5", "--data", "coins", "--split", "test"], "received test. Pass --split val."),
        (["{}/x.tflite", "--checkpoint", "best"], "--checkpoint is for a workdir; received none."),
    ],
)
def test_what_cannot_be_scored_is_an_error(tmp_path, capsys, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/saved_model.pb").touch()
    h5py.File(tmp_path / "bare.h5", "w").close()
    (tmp_path / "x.tflite").touch()
    assert message.format(tmp_path) in refused(capsys, *(word.format(tmp_path) for word in words))


def test_runs_on_two_data_sets_need_a_choice(run, tmp_path, capsys):
    other = shutil.copytree(run[0], tmp_path / "other")
    recorded = workdir.read_recipe(other)
    recorded["recipe"]["data"] = "shapes"
    (other / "recipe.json").write_text(json.dumps(recorded))
    message = refused(capsys, run[0], other)
    assert "one data set; the runs have coins, shapes. Pass --data, one of" in message


def test_a_model_that_answers_a_smaller_image_is_scored_with_a_border(run, capsys, tmp_path):
    model = zoo.build("unet", **run[1].spec.options | {"border": "valid"})
    model.set_weights(run[1].get_weights())
    file = zoo.weights.save(model, tmp_path / "valid.weights.h5")
    found, alike = (evaluated(capsys, path, "--data", "coins") for path in (file, run[0]))
    assert lines(found)[3:] == lines(alike)[3:]


def test_the_authors_files_are_scored(tmp_path, capsys):
    shapes.write(tmp_path / "data/shapes", train=1, val=1)
    options = {"stages": [4, 6, 8, 8, 8], "fc_filters": 12}
    net = definitions.fcn_vgg("fcn8s", classes=5, **options)
    rng = np.random.default_rng(3)
    blobs = {n: [rng.normal(size=s).astype("float32") for s in x] for n, x in net.shapes.items()}
    blobs |= {name: list(arrays) for name, arrays in net.fixed.items()}
    file = messages.write_caffemodel(tmp_path / "net.caffemodel", blobs)
    words = [file, "--model", "fcn8s", "--options", json.dumps(options)]
    out = evaluated(capsys, *words, "--data", "shapes", "--data-dir", tmp_path / "data")
    image, label = shapes.load(tmp_path / "data")["val"].example(0)
    model = zoo.build("fcn8s", classes=5, weights=file, **options)
    found = np.argmax(model(image[np.newaxis].astype("float32"))[0], -1)
    assert ["pixel_accuracy", f"{(found == label)[label != 255].mean():.4f}"] in lines(out)
    message = refused(capsys, *words, "--data", "coins")
    assert "trained with classes=5" in message


def test_weights_for_other_classes_are_refused_with_both_numbers(run, capsys, tmp_path):
    shapes.write(tmp_path / "shapes", train=1, val=1)
    words = ["--data", "shapes", "--data-dir", tmp_path]
    assert f"{run[0]} is made for channels=1; shapes has channels=3." in refused(
        capsys, run[0], *words
    )


def test_options_are_a_json_object(capsys):
    for text in ("depth=2", "[2]"):
        with pytest.raises(SystemExit):
            command.evaluate(["path", "--options", text])
        assert (
            f"takes a JSON object; received '{text}'. Pass, for example, '{{\"filters\": 16}}'."
            in (capsys.readouterr().err)
        )


def test_damaged_exports_are_errors(exported, capsys, tmp_path):
    file = tmp_path / "cut.tflite"
    file.write_bytes(exported[1].read_bytes()[:-1000])
    message = refused(capsys, file, "--data", "coins")
    assert f"{file} cannot be read as a file that takes an image and gives" in message
    assert "Pass a file that zoo export wrote." in message
    folder = shutil.copytree(exported[0], tmp_path / "cut")
    weights = folder / "variables/variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:100])
    message = refused(capsys, folder, "--data", "coins")
    assert f"{folder} cannot be read as a SavedModel" in message
    assert "Pass the folder of an exported version, which holds saved_model.pb." in message


@pytest.mark.parametrize("which", [0, 1])
def test_exports_for_other_channels_are_errors(which, exported, capsys, tmp_path):
    shapes.write(tmp_path / "shapes", train=1, val=1)
    words = [exported[which], "--data", "shapes", "--data-dir", tmp_path]
    assert (
        f"{exported[which]} is made for channels=1; shapes has channels=3. Pass the data set that "
        "it was trained on as --data, and its folder as --data-dir." in refused(capsys, *words)
    )


@pytest.mark.parametrize("names", [("background",), ("background", "coin", "hole")])
def test_exports_for_other_classes_are_errors(names, exported, capsys, monkeypatch):
    image, label = coins.load(None)["val"].example(0)
    other = dataclasses.replace(
        coins.load(None)["val"], class_names=names, example=lambda index: (image, 0 * label)
    )
    monkeypatch.setattr(coins, "load", lambda folder: {"val": other})
    message = refused(capsys, exported[0], "--data", "coins")
    assert f"{exported[0]} is made for classes=2; coins has classes={len(names)}. Pass" in message
    message = refused(capsys, exported[1], "--data", "coins")
    assert f"{exported[1]} is made for classes=2; coins has classes={len(names)}. Pass" in message


def test_an_image_that_does_not_fit_into_the_memory_is_told(run, capsys, monkeypatch):
    def no_memory(*whatever):
        raise MemoryError("The memory does not suffice. Answer in smaller tiles.")

    monkeypatch.setattr(predictors, "class_maps", lambda *whatever: no_memory)
    assert command.evaluate([str(run[0])]) == 1
    assert "coins() (val): The memory does not suffice. Answer in" in capsys.readouterr().err


def test_an_interrupt_ends_in_a_line(run, capsys, monkeypatch):
    def interrupted(predict, dataset, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "confusion_matrix", interrupted)
    assert command.evaluate([str(run[0])]) == 130
    assert capsys.readouterr().err == "zoo evaluate: stopped\n"


def test_scores_are_of_one_matrix_and_not_a_mean_of_images(tmp_path):
    shapes.write(tmp_path / "shapes", train=1, val=3)
    dataset = shapes.load(tmp_path)["val"]
    scores = scoring.measure(lambda image: np.zeros(image.shape[:2], np.uint8), dataset)
    labels = np.stack([dataset.example(index)[1] for index in range(3)])
    assert scores["pixel_accuracy"] == pytest.approx((labels == 0).sum() / (labels != 255).sum())


def test_shapes_fcn8s_runs_shrunk(tmp_path, capsys):
    shapes.write(tmp_path / "data/shapes", train=4, val=2)
    recipe = dataclasses.replace(
        runs.find("shapes_fcn8s"),
        options={"stages": [4, 4, 4, 4, 4], "fc_filters": 4},
        crop=32,
        batch_size=2,
        **SMALL | {"steps": 2, "log_every": 1},
    )
    train.train(recipe, tmp_path)
    out = evaluated(capsys, tmp_path)
    assert "shapes, split val, 2 images" in out
    assert all(f"iou {name}" in out for name in shapes.CLASS_NAMES)


def test_the_demonstration_ends_in_files_and_runs_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(coins_unet, "RECIPE", COINS)
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
