"""`--class-weights balanced`: numbers when the run begins, and the same ones when it goes on."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from recipes import command
from recipes.training import train
from recipes.training.recipe import Recipe
from tests.support import scene_files

RECIPE = Recipe(
    name="camvid_unet",
    model="unet",
    options={"filters": 2, "depth": 1},
    data="camvid",
    steps=4,
    batch_size=2,
    crop=32,
    class_weights="balanced",
    learning_rate=1e-2,
    log_every=1,
    save_every=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("camvid")
    scene_files.write(folder, "camvid")
    return folder


def losses(workdir):
    with open(workdir / "log.csv", newline="") as file:
        return [row["loss"] for row in csv.DictReader(file)]


def recorded(workdir):
    return json.loads((workdir / "recipe.json").read_text())


def test_a_run_trains_with_the_numbers_that_it_records(folder, tmp_path):
    train.train(RECIPE, tmp_path / "balanced", data_dir=folder)
    found = recorded(tmp_path / "balanced")
    assert found["recipe"]["class_weights"] == "balanced"
    weights = tuple(found["class_weights"])
    assert len(weights) == 11
    assert np.median([weight for weight in weights if weight]) == pytest.approx(1, abs=0.5)
    typed = dataclasses.replace(RECIPE, class_weights=weights)
    train.train(typed, tmp_path / "typed", data_dir=folder)
    assert losses(tmp_path / "typed") == losses(tmp_path / "balanced")
    assert recorded(tmp_path / "typed")["class_weights"] is None
    plain = dataclasses.replace(RECIPE, class_weights=())
    train.train(plain, tmp_path / "plain", data_dir=folder)
    assert losses(tmp_path / "plain") != losses(tmp_path / "balanced")


def test_a_run_goes_on_with_the_recorded_numbers(folder, tmp_path, monkeypatch):
    train.train(RECIPE, tmp_path / "whole", data_dir=folder)
    train.train(RECIPE, tmp_path / "run", data_dir=folder, limit_steps=2)
    before = recorded(tmp_path / "run")["class_weights"]
    monkeypatch.setattr(train, "median_frequency", lambda *counts: (9.0,) * 11)
    assert command.train(["--workdir", str(tmp_path / "run")]) == 0
    assert recorded(tmp_path / "run")["class_weights"] == before
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_damaged_record_is_told(folder, tmp_path, capsys):
    train.train(RECIPE, tmp_path, data_dir=folder, limit_steps=2)
    contents = recorded(tmp_path) | {"class_weights": ["much"]}
    (tmp_path / "recipe.json").write_text(json.dumps(contents))
    assert command.train(["--workdir", str(tmp_path)]) == 2
    assert "is damaged (class_weights is not a list of numbers)." in capsys.readouterr().err
