"""The runs: found by their names; toys of the authors' train on data in the originals' layouts."""

import csv
import dataclasses
import json
import math
import pathlib
import re
import shlex

import numpy as np
import pytest
import tifffile

import zoo
from recipes import command, options, runs
from recipes.data import Dataset
from recipes.training import model as models
from recipes.training.recipe import toy
from tests.support import sbd_files, scene_files
from tests.support.toys import TOYS
from zoo.class_names import CLASS_NAMES

SCENES = [name for name in runs.names() if name.startswith(scene_files.ALL)]
RUNS = [*SCENES, *(name for name in runs.names() if name.startswith(("voc_", "isbi_")))]
STAGES = [
    ("pascal_context_fcn32s", "pascal_context_fcn16s"),
    ("pascal_context_fcn16s", "pascal_context_fcn8s"),
    ("sift_flow_fcn32s_two_heads", "sift_flow_fcn16s_two_heads"),
    ("sift_flow_fcn16s_two_heads", "sift_flow_fcn8s_two_heads"),
    ("voc_fcn32s", "voc_fcn16s"),
    ("voc_fcn16s", "voc_fcn8s"),
    ("voc_deconvnet_objects", "voc_deconvnet_proposals"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three bright objects on dark images of VOC and SBD; pages of membranes; folders of scenes."""
    folder = tmp_path_factory.mktemp("data")
    for name in scene_files.ALL:
        scene_files.write(folder / name, name)
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


def data_dir(name, folder):
    """The folder of the data of a run."""
    return next((folder / one for one in scene_files.ALL if name.startswith(one)), folder)


@pytest.mark.parametrize("name", RUNS)
def test_a_toy_of_each_run_trains(name, folder, tmp_path):
    data = str(data_dir(name, folder))
    words = [name, "--workdir", str(tmp_path / "run"), "--data-dir", data, "--toy"]
    assert command.train([*words, "--limit-steps", "2", "--log-every", "1"]) == 0
    with open(tmp_path / "run/log.csv", encoding="utf-8") as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == 2
    assert all(0 < loss < math.inf for loss in losses)


@pytest.mark.parametrize("name", runs.names())
def test_the_command_in_a_card_is_whole(name):
    recipe, card = runs.find(name), runs.card(name)
    line = card.partition("Command ")[2].partition("\nTime ")[0].replace("\\\n", " ")
    *verb, run = shlex.split(line)[:3]
    assert [*verb, run] == ["zoo", "train", name]
    words = shlex.split(line)[2:]
    parsed = options.command(options.parse(words))
    assert parsed.recipe == recipe
    assert (parsed.data_dir is None) == name.startswith(("coins_", "shapes_"))
    if name in RUNS:  # the next stage looks for it there
        assert str(parsed.workdir) == f"runs/{name}"


def unread(recipe):
    """The data set of a run, as it is without its files."""
    names = {"pascal_context": "pascal_context", "sift_flow": "sift_flow"}.get(recipe.data, "voc")
    heads = {head: f"{names}_{head}" for head in zoo.describe(recipe.model).heads[1:]}
    sets = [
        Dataset(one, "train", CLASS_NAMES[one], 3, (), None) for one in [names, *heads.values()]
    ]
    return dataclasses.replace(sets[0], other_heads=dict(zip(heads, sets[1:], strict=True)))


@pytest.mark.parametrize(("first", "second"), STAGES)
def test_a_stage_starts_from_all_that_the_one_before_learned(first, second, tmp_path, monkeypatch):
    before, after = (runs.find(name) for name in (first, second))
    tiny = toy(before)
    learned = models.build(tiny, unread(before))
    rng = np.random.default_rng(0)
    for weight in learned.weights:
        weight.assign(rng.uniform(0.5, 1, weight.shape))
    monkeypatch.chdir(tmp_path)
    workdir = pathlib.Path("runs", first)
    workdir.mkdir(parents=True)
    zoo.weights.save(learned, workdir / "model.weights.h5")
    named = {"name": first, "model": before.model, "data": before.data}
    contents = {"recipe": named, "weights": {"step": 1}}
    (workdir / "recipe.json").write_text(json.dumps(contents))
    started = dataclasses.replace(after, options=tiny.options)
    models.check(started)
    model = models.build(started, unread(after))
    for layer in filter(lambda layer: layer.weights, learned.layers):
        for weight, started in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(weight, started)
    if after.model == before.model:
        assert len(model.weights) == len(learned.weights)


def test_a_run_from_an_authors_file_starts_from_one_that_is_catalogued():
    for name in RUNS:
        recipe = runs.find(name)
        if recipe.encoder_weights.endswith(".caffemodel"):
            (record,) = zoo.weights.catalog.records(recipe.encoder_weights)
            assert recipe.model in record.encoder_of
            assert recipe.encoder_weights in runs.card(name)


def test_runs_are_listed(capsys):
    assert command.train([]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^coins_unet +A small U-Net outlines the coins of one photograph\.$", out, re.M
    )
    assert re.search(r"^shapes_fcn8s +A narrow FCN-8s", out, re.M)
    assert "zoo train coins_unet --workdir runs/coins_unet" in out
    assert command.train(["--list"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("name", runs.names())
def test_every_run_is_named_after_its_data_and_model(name):
    recipe = runs.find(name)
    assert recipe.name == name
    assert recipe.model in name
    zoo.build(recipe.model, classes=2, **toy(recipe).options)


def test_an_unknown_run_has_near_matches(capsys):
    assert command.train(["coins_unnet", "--workdir", "w"]) == 2
    assert capsys.readouterr().err == (
        "zoo train: A run is trained by its name; no run is called 'coins_unnet'. Did you mean "
        "'coins_unet' or 'isbi_unet' or 'camvid_unet'? zoo train --list lists them.\n"
    )


def test_the_runs_on_shapes_are_one_benchmark():
    """All models for class maps, with the same data, steps, seed and optimizer.

    Those whose scores all come from a map at a stride of 32 have more steps, and class weights.
    """
    other_images = "fcn32s_early_fusion"
    cards = [zoo.describe(name) for name in TOYS if name != other_images]
    names = [card.name for card in cards if not card.heads and not card.inputs]
    recipes = [runs.find(f"shapes_{name}") for name in names]
    coarse = {"fcn32s", "fcn_alexnet", "fcn_googlenet"}
    same = {
        recipe.model: dataclasses.replace(recipe, name="", model="", options={})
        for recipe in recipes
    }
    assert all(recipe == same["fcn8s"] for name, recipe in same.items() if name not in coarse)
    assert all(same[name] == same["fcn32s"] for name in coarse)
    longer = {"steps": 2000, "batch_size": 4, "class_weights": "balanced"}
    assert same["fcn32s"] == dataclasses.replace(same["fcn8s"], **longer)
