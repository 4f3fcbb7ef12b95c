"""The authors' runs as recipes: a tiny model of each trains on data in the originals' layouts."""

import csv
import importlib
import math
import shlex

import numpy as np
import pytest
import tifffile
from recipes.training.command import parse

import zoo
from recipes import __main__ as listing
from recipes.training import train
from recipes.training.recipe import toy
from tests.support import sbd_files

RUNS = [name for name in listing.recipes() if name.startswith(("voc_", "isbi_"))]
STAGES = [
    ("voc_fcn32s", "voc_fcn16s"),
    ("voc_fcn16s", "voc_fcn8s"),
    ("voc_deconvnet_objects", "voc_deconvnet_proposals"),
]


def module(name):
    return importlib.import_module(f"recipes.runs.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three bright objects on dark images of VOC and SBD; pages of membranes."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    sbd_files.make_folders(folder)
    train, val = ("2008_000002", "2008_000003"), ("2009_000013",)
    sbd_files.write_lists(folder, train, val)
    objects = np.zeros((80, 90), np.uint8)
    objects[5:40, 10:50], objects[45:78, 8:48], objects[20:70, 55:88] = 1, 2, 3
    label = np.array([0, 15, 8, 12], np.uint8)[objects]
    for name in (*train, *val):
        image = rng.integers(0, 40, (80, 90, 3)) + 60 * objects[..., np.newaxis]
        write = sbd_files.write_train if name in train else sbd_files.write_val
        write(folder, name, image.astype(np.uint8), label, objects)
    pages = np.full((6, 48, 56), 255, np.uint8)
    pages[:, ::16], pages[:, :, ::14] = 0, 0
    tifffile.imwrite(folder / "train-labels.tif", pages, imagej=True)
    noise = rng.integers(0, 40, pages.shape, np.uint8)
    tifffile.imwrite(folder / "train-volume.tif", pages // 2 + noise, imagej=True)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_a_toy_of_each_run_trains(name, folder, tmp_path):
    words = ["--workdir", str(tmp_path / "run"), "--data-dir", str(folder), "--toy"]
    status = train.main(module(name).RECIPE, "", [*words, "--limit-steps", "2", "--log-every", "1"])
    assert status == 0
    with open(tmp_path / "run/log.csv", encoding="utf-8") as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == 2
    assert all(0 < loss < math.inf for loss in losses)


@pytest.mark.parametrize("name", RUNS)
def test_the_command_in_a_card_is_whole(name):
    recipe, card = module(name).RECIPE, module(name).__doc__
    command = card.partition("Command ")[2].partition("\nTime ")[0].replace("\\\n", " ")
    python, flag, program, *words = shlex.split(command)
    assert [python, flag, program] == ["python", "-m", f"recipes.runs.{name}"]
    parsed = parse(recipe, card, words)
    assert parsed.recipe == recipe
    assert str(parsed.workdir) == f"runs/{name}"
    assert parsed.data_dir is not None


@pytest.mark.parametrize(("first", "second"), STAGES)
def test_a_stage_starts_from_all_that_the_one_before_learned(first, second, tmp_path, monkeypatch):
    before, after = (module(name).RECIPE for name in (first, second))
    tiny = toy(before)
    learned = zoo.build(before.model, **tiny.options)
    rng = np.random.default_rng(0)
    for weight in learned.weights:
        weight.assign(rng.uniform(0.5, 1, weight.shape))
    monkeypatch.chdir(tmp_path)
    workdir = parse(before, "", ["--workdir", f"runs/{first}"]).workdir
    workdir.mkdir(parents=True)
    zoo.weights.save(learned, workdir / "model.weights.h5")
    model = zoo.build(after.model, encoder_weights=after.encoder_weights, **tiny.options)
    for layer in filter(lambda layer: layer.weights, learned.layers):
        for weight, started in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(weight, started)
    if after.model == before.model:
        assert len(model.weights) == len(learned.weights)


def test_a_run_from_an_authors_file_starts_from_one_that_is_catalogued():
    for name in RUNS:
        recipe = module(name).RECIPE
        if recipe.encoder_weights.endswith(".caffemodel"):
            (record,) = zoo.weights.catalog.records(recipe.encoder_weights)
            assert recipe.model in record.encoder_of
            assert recipe.encoder_weights in module(name).__doc__
