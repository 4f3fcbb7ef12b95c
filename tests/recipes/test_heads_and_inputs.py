"""Runs of nets with two heads and with two inputs, from their files to their scores."""

import csv
import dataclasses
import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

import zoo
from recipes import command, data, runs, scoring
from recipes.data import pipeline
from recipes.training import model as models
from recipes.training.recipe import toy
from recipes.training.step import make_step
from tests.support import scene_files
from zoo.models.plain import plain

TWO_HEADS = "sift_flow_fcn8s_two_heads"
EARLY, LATE = "nyudv2_color_depth_fcn32s_early_fusion", "nyudv2_color_hha_fcn32s_late_fusion"
# It learns something in a few steps, which a toy by the authors' solver does not.
SHORT = [
    *("--toy", "--steps", "4", "--save-every", "2", "--log-every", "2", "--validate-every", "4"),
    *("--optimizer", "adam", "--learning-rate", "0.01", "--biases", "undecayed"),
    *("--weight-decay", "0", "--reduction", "mean"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    for name in ("nyudv2", "sift_flow"):
        scene_files.write(folder / name, name)
    return folder


def words(name, folder, workdir):
    part = "sift_flow" if name.startswith("sift_flow") else "nyudv2"
    return [name, "--workdir", str(workdir), "--data-dir", str(folder / part), *SHORT]


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """The workdirs of runs that nothing stopped."""
    found = {name: tmp_path_factory.mktemp("runs") / name for name in (TWO_HEADS, LATE)}
    for name, workdir in found.items():
        assert command.train(words(name, folder, workdir)) == 0
    return found


def rows(file):
    with open(file, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def weights(workdir, **options):
    return [weight.numpy() for weight in zoo.load(workdir, **options).weights]


def evaluate(capsys, *given):
    assert command.evaluate([*map(str, given)]) == 0
    return capsys.readouterr()


@pytest.mark.parametrize("name", [TWO_HEADS, LATE])
def test_a_run_that_was_stopped_ends_in_the_same_bits(name, folder, trained, tmp_path):
    workdir = tmp_path / "run"
    assert command.train([*words(name, folder, workdir), "--limit-steps", "2"]) == 0
    assert command.train(["--workdir", str(workdir)]) == 0
    for one, other in zip(weights(workdir), weights(trained[name]), strict=True):
        np.testing.assert_array_equal(one, other)
    for table in ("log.csv", "scores.csv"):
        one, other = (
            [{**row, "seconds": 0} for row in rows(x / table)] for x in (workdir, trained[name])
        )
        assert one == other
    best = weights(workdir, checkpoint="best")
    assert all(map(np.array_equal, best, weights(trained[name])))  # scored once, at the last step


def test_both_heads_learn_and_are_scored(trained, folder, capsys):
    workdir = trained[TWO_HEADS]
    (row,) = rows(workdir / "scores.csv")
    printed = json.loads(evaluate(capsys, workdir, "--json").out)["heads"]
    assert list(printed) == ["semantic", "geometric"]
    model = zoo.load(workdir)
    splits = data.load("sift_flow", folder / "sift_flow")
    for head, prefix in (("semantic", ""), ("geometric", "geometric_")):
        dataset = splits["val"].other_heads.get(head, splits["val"])
        expected = scoring.measure(scoring.of_model(plain(model, head)), dataset)
        scores = printed[head]["scores"][str(workdir)]
        for name in scoring.SCORES:
            assert float(row[f"{prefix}{name}"]) == scores[name] == expected[name]
        assert (printed[head]["data"], printed[head]["split"]) == (dataset.name, "val")
        assert 0 < scores["pixel_accuracy"] < 1
    best = json.loads((workdir / "recipe.json").read_text())["best"]
    assert best["mean_iou"] == float(row["mean_iou"])  # of the first head
    start = models.build(toy(runs.find(TWO_HEADS)), splits["train"].with_heads(["geometric"]))
    for layer in ("score_fr_sem", "score_pool3_geo", "score_fr_geo"):
        assert np.abs(model.get_layer(layer).kernel - start.get_layer(layer).kernel).max() > 0


def test_a_head_is_a_table_of_its_own_or_is_chosen(trained, capsys):
    workdir = trained[TWO_HEADS]
    out, _ = evaluate(capsys, workdir)
    assert "sift_flow, split val, 1 image, head semantic\n" in out
    assert "sift_flow_geometric, split val, 1 image, head geometric\n" in out
    assert out.count("pixel_accuracy") == 2
    out, _ = evaluate(capsys, workdir, "--head", "geometric")
    assert out.count("pixel_accuracy") == 1
    assert "iou vertical" in out
    assert "iou awning" not in out
    named = json.loads(evaluate(capsys, workdir, "--head", "geometric", "--json").out)
    alone = json.loads(
        evaluate(
            *(capsys, workdir, "--head", "geometric", "--data", "sift_flow_geometric", "--json"),
        ).out
    )
    assert named == alone


def test_the_names_of_both_heads_are_in_the_weights(trained):
    spec = zoo.read_spec(trained[TWO_HEADS] / "model.weights.h5")
    assert spec.heads == ("semantic", "geometric")
    assert spec.class_names == zoo.class_names.CLASS_NAMES["sift_flow"]
    geometric = zoo.load(trained[TWO_HEADS], head="geometric")
    assert geometric.spec.class_names == ("sky", "horizontal", "vertical")
    assert geometric(np.zeros((1, 30, 40, 3))).shape == (1, 30, 40, 3)
    assert zoo.load(trained[LATE]).spec.class_names[:2] == ("wall", "floor")


def test_a_confusion_matrix_is_of_one_head(trained, capsys, tmp_path):
    file = tmp_path / "matrix.csv"
    given = [str(trained[TWO_HEADS]), "--confusion", str(file)]
    assert command.evaluate(given) == 2
    assert capsys.readouterr().err == (
        "zoo evaluate: --confusion writes a file for one head; "
        f"{trained[TWO_HEADS]} has semantic and geometric. Pass --head semantic too.\n"
    )
    assert command.evaluate([*given, "--head", "geometric"]) == 0
    assert rows(file)[0]["truth"] == "sky"


def test_a_head_that_there_is_not_is_an_error(trained, capsys):
    assert command.evaluate([str(trained[TWO_HEADS]), "--head", "depth"]) == 2
    assert capsys.readouterr().err == (
        "zoo evaluate: --head is one of geometric, semantic; received 'depth'. Pass one of them.\n"
    )
    assert command.evaluate([str(trained[LATE]), "--head", "semantic"]) == 2
    assert capsys.readouterr().err == (
        f"zoo evaluate: --head is for nets with several; {trained[LATE]} has one, and so has "
        "nyudv2_color_hha. Leave it out.\n"
    )
    assert command.evaluate([str(trained[TWO_HEADS]), str(trained[LATE])]) == 2
    assert capsys.readouterr().err == (
        f"zoo evaluate: Nets with the same heads are scored together; {trained[TWO_HEADS]} has "
        f"semantic and geometric; {trained[LATE]} has one. Pass the one to score as --head.\n"
    )


def test_an_ensemble_is_of_the_same_head(trained, capsys):
    workdir = trained[TWO_HEADS]
    one = json.loads(evaluate(capsys, workdir, "--json").out)["heads"]
    two = evaluate(capsys, workdir, "--ensemble", workdir / "best.weights.h5", "--json").out
    for head, found in json.loads(two)["heads"].items():
        assert found["scores"] == one[head]["scores"]


def test_the_loss_is_the_sum_of_those_of_the_heads(folder):
    recipe = toy(runs.find(TWO_HEADS))
    splits = data.load("sift_flow", folder / "sift_flow")
    dataset = splits["train"].with_heads(["geometric"])
    for reduction in ("sum", "mean"):
        chosen = dataclasses.replace(recipe, reduction=reduction)
        strategy = tf.distribute.get_strategy()
        state = models.make_state(chosen, dataset, strategy)
        rng = np.random.default_rng(0)
        for weight in state.model.trainable_variables:
            weight.assign(rng.normal(0, 0.05, weight.shape))
        for layer in state.model.layers:
            if layer.name.startswith("drop"):
                layer.rate = 0
        batches = pipeline.batches(dataset, batch_size=1, first=0, last=1, seed=0, crop=0)
        ((images, labels),) = batches
        step = make_step(chosen, state, strategy, batches.element_spec)
        loss, _, _ = step((images, labels), tf.constant(0), last=False)
        answers = state.model(tf.cast(images, tf.float32))
        expected = 0
        for place, scores in enumerate(answers.values()):
            truth, known = labels[..., place], labels[..., place] != 255
            logits = tf.nn.log_softmax(tf.cast(scores, tf.float64)).numpy()
            picked = np.take_along_axis(logits, np.where(known, truth, 0)[..., None], -1)[..., 0]
            part = -np.where(known, picked, 0).sum()
            expected += part if reduction == "sum" else part / np.count_nonzero(known)
        assert labels.shape[-1] == 2
        assert np.count_nonzero(labels[..., 0] == 255) < np.count_nonzero(labels[..., 1] == 255)
        np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_late_fusion_trains_on_both_images(trained, folder):
    model = zoo.load(trained[LATE])
    assert set(model.input) == {"color", "hha"}
    recipe = toy(runs.find(LATE))
    splits = data.load(recipe.data, folder / "nyudv2")
    start = models.build(recipe, splits["train"])
    for layer in ("score_frcolor", "score_frhha"):
        assert np.abs(model.get_layer(layer).kernel - start.get_layer(layer).kernel).max() > 0
    image, _ = splits["val"].example(0)
    parts = {"color": image[np.newaxis, ..., :3], "hha": image[np.newaxis, ..., 3:]}
    np.testing.assert_array_equal(
        model({name: tf.cast(part, tf.float32) for name, part in parts.items()}),
        plain(model)(tf.cast(image[np.newaxis], tf.float32)),
    )


def test_each_input_starts_from_weights_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    recipe = runs.find(LATE)
    given = {}
    monkeypatch.setattr(zoo, "build", lambda name, **options: given.update(options) or 1 / 0)
    dataset = data.Dataset("nyudv2_color_hha", "train", tuple("abc"), 6, (), None)
    with pytest.raises(ZeroDivisionError):
        models.build(recipe, dataset)
    assert given["encoder_weights"] == {
        "color": "runs/nyudv2_fcn32s",
        "hha": "runs/nyudv2_hha_fcn32s",
    }
    with pytest.raises(FileNotFoundError, match="there is none at runs/nyudv2_fcn32s"):
        models.check(recipe)
    for wrong in ("color=a", "color=a,hha=", "color=a,depth=b"):
        with pytest.raises(ValueError, match="names weights for each input of fcn32s_late_fusion"):
            models.check(dataclasses.replace(recipe, encoder_weights=wrong))
    models.check(dataclasses.replace(recipe, encoder_weights="color=imagenet,hha=imagenet"))
    mixed = dataclasses.replace(recipe, encoder_weights="color=imagenet,hha=runs/b")
    with pytest.raises(FileNotFoundError, match="there is none at runs/b"):
        models.check(mixed)
    path = str(pathlib.Path("a=b"))  # a name of a folder may hold one
    assert models.start_of(zoo.describe("fcn32s"), path) == path


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            TWO_HEADS,
            {"data": "sbd"},
            "fcn8s_two_heads learns labels for each of its heads, semantic and geometric; --data "
            "sbd has none for geometric. Pass --data sift_flow, or train a net with one head.",
        ),
        (
            TWO_HEADS,
            {"class_weights": (1.0,) * 33},
            "--class-weights are of the classes of one head; fcn8s_two_heads has semantic and "
            "geometric. Leave them out.",
        ),
        (
            LATE,
            {"data": "nyudv2"},
            "fcn32s_late_fusion takes color and hha, 6 channels in all; the images of --data "
            "nyudv2 have 3. Pass a data set with both, such as --data nyudv2_color_hha, or train a "
            "net with one input.",
        ),
    ],
)
def test_what_does_not_go_together_is_told_before_data_are_read(name, changes, message):
    recipe = dataclasses.replace(runs.find(name), **changes)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        models.check(recipe)


def test_imagenet_is_for_the_channels_that_a_net_has_kernels_for():
    early, late = runs.find(EARLY), dataclasses.replace(runs.find(LATE), encoder_weights="imagenet")
    assert (early.encoder_weights, late.data) == ("imagenet", "nyudv2_color_hha")
    with pytest.raises(
        ValueError, match="imagenet is for images with 4 channels; those of --data "
    ):
        dataclasses.replace(early, data="nyudv2")
    with pytest.raises(
        ValueError, match="imagenet is for images with 3 channels; those of --data "
    ):
        dataclasses.replace(early, model="fcn32s")
    with pytest.raises(ValueError, match="The hha_channels follow from --data nyudv2_color_hha"):
        dataclasses.replace(late, options={"hha_channels": 3})


def test_a_changed_label_of_another_head_is_another_run(folder, trained, tmp_path, capsys):
    moved = tmp_path / "sift_flow"
    scene_files.write(moved, "sift_flow")
    workdir = tmp_path / "run"
    given = [TWO_HEADS, "--workdir", str(workdir), "--data-dir", str(moved), *SHORT]
    assert command.train([*given, "--limit-steps", "1"]) == 0
    recorded = json.loads((workdir / "recipe.json").read_text())["data"]
    assert list(recorded) == ["train", "val", "train geometric", "val geometric"]
    assert len(set(recorded.values())) == 4
    file = next((moved / "GeoLabels").rglob("gre37.mat"))
    scene_files.write_label(file, "S", np.ones(scene_files.SIZE))
    capsys.readouterr()
    assert command.train(["--workdir", str(workdir)]) == 2
    assert "the split val geometric of --data sift_flow has changed" in capsys.readouterr().err
    file.unlink()
    assert command.train(["--workdir", str(workdir)]) == 2
    err = capsys.readouterr().err
    assert "1 of the 1 example of sift_flow_geometric (val) cannot be used" in err
    assert "gre37.mat: there is no such file" in err


def test_a_net_with_one_head_needs_no_other_labels(folder, tmp_path):
    moved = tmp_path / "sift_flow"
    scene_files.write(moved, "sift_flow")
    for file in (moved / "GeoLabels").rglob("*.mat"):
        file.unlink()
    given = ["sift_flow_fcn8s_two_heads", "--workdir", str(tmp_path / "run"), *SHORT]
    given += ["--data-dir", str(moved), "--model", "fcn8s", "--limit-steps", "1"]
    assert command.train(given) == 0
    recorded = json.loads((tmp_path / "run/recipe.json").read_text())
    assert list(recorded["data"]) == ["train", "val"]
    assert recorded["spec"]["options"]["classes"] == 33
    assert "head" not in recorded["spec"]


def test_late_fusion_starts_from_the_nets_of_both_images(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    learned = {}
    for input_, name in (("color", "nyudv2_fcn32s"), ("hha", "nyudv2_hha_fcn32s")):
        recipe = toy(runs.find(name))
        dataset = data.load(recipe.data, folder / "nyudv2")["train"]
        learned[input_] = models.build(recipe, dataset)
        rng = np.random.default_rng(len(input_))
        for weight in learned[input_].weights:
            weight.assign(rng.uniform(0.5, 1, weight.shape))
        workdir = pathlib.Path("runs", name)
        workdir.mkdir(parents=True)
        zoo.weights.save(learned[input_], workdir / "model.weights.h5")
        recorded = {"name": name, "model": recipe.model, "data": recipe.data}
        contents = {"recipe": recorded, "weights": {"step": 1}}
        (workdir / "recipe.json").write_text(json.dumps(contents))
    late = runs.find(LATE)
    started = dataclasses.replace(late, options=toy(late).options)
    models.check(started)
    model = models.build(started, data.load(late.data, folder / "nyudv2")["train"])
    for input_, one in learned.items():
        for layer in filter(lambda layer: layer.weights, one.layers):
            into = model.get_layer(f"{layer.name}{input_}").weights
            for weight, other in zip(layer.weights, into, strict=True):
                np.testing.assert_array_equal(weight, other)
