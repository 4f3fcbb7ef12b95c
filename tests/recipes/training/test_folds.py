"""`--fold` and `--epochs`: what a run records, goes on with, and is scored on."""

import dataclasses
import json

import pytest

from recipes import command, data
from recipes.evaluation.evaluate import evaluate
from recipes.training import train
from recipes.training.recipe import Recipe
from tests.support import scene_files

RECIPE = Recipe(
    name="camvid_unet",
    model="unet",
    options={"filters": 2, "depth": 1},
    data="camvid",
    fold="1/2",
    steps=2,
    batch_size=1,
    crop=16,
    learning_rate=1e-2,
    log_every=1,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("camvid")
    scene_files.write(folder, "camvid")
    return folder


def recorded(workdir):
    return json.loads((workdir / "recipe.json").read_text())


def test_a_run_is_scored_on_the_fold_that_it_held_out(folder, tmp_path, capsys):
    runs = {}
    for fold in ("1/2", "2/2", ""):
        runs[fold] = tmp_path / fold.replace("/", "of")
        train.train(dataclasses.replace(RECIPE, fold=fold), runs[fold] / "run", data_dir=folder)
    files = {}
    for fold, workdir in runs.items():
        dataset, _ = evaluate([workdir / "run"])
        assert dataset.files == data.load("camvid", folder, fold=fold)["val"].files
        assert recorded(workdir / "run")["recipe"]["fold"] == fold
        files[fold] = set(dataset.files)
    assert not files["1/2"] & files["2/2"]
    assert "camvid: the split val is fold 2/2, as in training\n" in capsys.readouterr().out
    assert evaluate([runs["1/2"] / "run"], split="test")[0].files == (
        data.load("camvid", folder)["test"].files
    )
    message = f"{runs['1/2']}/run has --fold 1/2; {runs['']}/run has --fold none. Score each alone."
    with pytest.raises(ValueError, match=message):
        evaluate([runs["1/2"] / "run", runs[""] / "run"])


def test_another_fold_is_another_run(folder, tmp_path, capsys):
    words = ["--workdir", str(tmp_path / "run")]
    train.train(RECIPE, tmp_path / "run", data_dir=folder, limit_steps=1)
    assert command.train([*words, "--fold", "2/2"]) == 2
    assert "it was started with --fold 1/2, and this command has --fold 2/2." in (
        capsys.readouterr().err
    )
    assert command.train([*words, "--fold", "1/2"]) == 0
    assert recorded(tmp_path / "run")["weights"]["step"] == 2


def test_a_run_goes_on_for_as_many_epochs(folder, tmp_path, capsys):
    whole = dataclasses.replace(RECIPE, fold="")
    train.train(whole, tmp_path, data_dir=folder, limit_steps=1)
    assert command.train(["--workdir", str(tmp_path), "--epochs", "1"]) == 0
    assert "1 epoch of 3 examples, 1 image a step: 3 steps" in capsys.readouterr().out
    assert recorded(tmp_path)["recipe"]["steps"] == 3
    assert recorded(tmp_path)["weights"]["step"] == 3
