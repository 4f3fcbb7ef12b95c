"""Trained models from the workdir of a run: its weights files and its checkpoints."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest

import zoo
from recipes import runs
from recipes.training import train
from zoo import workdir

RECIPE = dataclasses.replace(
    runs.find("coins_unet"),
    options={"filters": 4, "depth": 2},
    crop=32,
    batch_size=1,
    steps=8,
    save_every=4,
    validate_every=2,
    deterministic=False,
)


def state(model):
    return [variable.numpy() for variable in model.weights]  # not the seeds, which no file holds


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was stopped at step 7 of 8, and its variables after some steps."""
    folder = tmp_path_factory.mktemp("coins") / "run"
    states = {step: state(train.train(RECIPE, folder, limit_steps=step)) for step in (2, 4, 6, 7)}
    return folder, states


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run that may be damaged."""
    return shutil.copytree(run[0], tmp_path / "run")


def without_weights(folder):
    """As a run that was killed after a checkpoint."""
    (folder / workdir.WEIGHTS).unlink()
    return folder


def refusal(path, **choice):
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        zoo.load(path, **choice)
    return str(error.value)


def test_a_stopped_run_is_loaded_from_its_weights(run):
    folder, states = run
    model = zoo.load(folder)
    assert_same(state(model), states[7])
    assert model.spec == zoo.read_spec(folder) == zoo.read_spec(folder / workdir.WEIGHTS)
    assert model.spec.class_names == ("background", "coin")
    assert (model.spec.background, model.spec.options["filters"]) == (0, 4)
    assert zoo.loading.find(folder).files == (folder / workdir.WEIGHTS,)


def test_weights_older_than_the_newest_checkpoint_are_left(run, copied):
    recorded = workdir.read_recipe(copied) | {"weights": {"step": 4, "minutes": 1}}
    (copied / workdir.RECIPE).write_text(json.dumps(recorded))
    assert zoo.loading.find(copied).are_checkpoints
    assert_same(state(zoo.load(copied)), run[1][7])


@pytest.mark.parametrize("damage", ["flipped", "without .sha256", "missing"])
def test_damaged_weights_are_left_for_the_newest_checkpoint(run, copied, damage):
    file = copied / workdir.WEIGHTS
    if damage == "flipped":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        (file if damage == "missing" else file.with_name(f"{file.name}.sha256")).unlink()
    assert zoo.loading.find(copied).are_checkpoints
    assert_same(state(zoo.load(copied)), run[1][7])


def test_a_checkpoint_is_the_model_at_its_step(run):
    folder, states = run
    for step in (4, 6, 7):
        assert_same(state(zoo.load(folder, checkpoint=step)), states[step])
    assert not np.array_equal(states[4][0], states[7][0])
    assert refusal(folder, checkpoint=5) == (
        "checkpoint is newest, best, or the step of a checkpoint; received 5. "
        f"{folder} holds 7, 6, 4. Choose one of them."
    )


def test_the_best_weights_are_those_of_the_best_score(run):
    folder, states = run
    best = workdir.read_recipe(folder)["best"]
    rows = [line.split(",") for line in (folder / "scores.csv").read_text().splitlines()[1:]]
    scores = {int(row[0]): float(row[3]) for row in rows}
    assert scores.keys() == {2, 4, 6}
    assert best["mean_iou"] == max(scores.values()) == scores[best["step"]]
    assert_same(state(zoo.load(folder, checkpoint="best")), states[best["step"]])


def test_a_run_without_scores_has_no_best_weights(copied):
    (copied / workdir.BEST).unlink()
    assert "holds no best weights: best.weights.h5 is written when" in refusal(
        copied, checkpoint="best"
    )


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_damaged_checkpoint_is_passed_over_or_named(run, copied, part):
    file = copied / "checkpoints" / f"ckpt-7.{part}"
    file.write_bytes(file.read_bytes()[:20])
    message = refusal(copied, checkpoint=7)
    assert message.startswith(f"The checkpoint {copied}/checkpoints/ckpt-7 is damaged (")
    without_weights(copied)
    with pytest.warns(UserWarning, match=r"ckpt-7 is damaged .* The one before is loaded\."):
        model = zoo.load(copied)
    assert_same(state(model), run[1][6])


def test_a_changed_byte_of_a_checkpoint_is_damage(run, copied):
    file = copied / "checkpoints/ckpt-7.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[content.index(run[1][7][0].tobytes())] ^= 1
    file.write_bytes(content)
    assert "hecksum does not match" in refusal(copied, checkpoint=7)


@pytest.mark.parametrize("name", ["a[b]c", "a[b", "what?*", "back\\slash"])
def test_a_checkpoint_is_read_whatever_the_name_of_its_folder(run, tmp_path, name):
    folder = without_weights(shutil.copytree(run[0], tmp_path / name))
    assert_same(state(zoo.load(folder)), run[1][7])


def test_a_checkpoint_of_another_model_does_not_fit(copied):
    recorded = workdir.read_recipe(copied)
    recorded["spec"]["options"]["depth"] = 1  # fewer variables, the first of the same shapes
    (copied / workdir.RECIPE).write_text(json.dumps(recorded))
    assert "ckpt-7 does not fit unet with these options" in refusal(copied, checkpoint=7)


def test_a_folder_of_something_else_is_named(tmp_path, copied):
    assert "is another folder. Give the workdir or the weights file." in refusal(tmp_path)
    shutil.rmtree(copied / "checkpoints")
    message = refusal(without_weights(copied))
    assert f'{copied} holds no newest weights and no checkpoint. Load checkpoint="best".' in message
    (copied / workdir.RECIPE).write_text("{")
    assert "is damaged" in refusal(copied)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"recipe": []}, "it is not a JSON object with a recipe"),
        ({"recipe": {"name": "a", "model": 3, "data": "coins"}}, "model of its recipe is not a t"),
        ({"recipe": {"model": "unet", "data": "coins"}}, "name of its recipe is not a text"),
        ({"weights": 7}, "weights is not an object with a step"),
        ({"weights": {"step": 7, "memory_gb": "2"}}, "memory_gb of weights is not a number"),
        ({"weights": {"step": True}}, "weights is not an object with a step"),
        ({"best": {"step": "7"}}, "best is not an object with a step"),
        ({"data": ["train"]}, "data is not an object of texts"),
        ({"data": {"train": 1}}, "data is not an object of texts"),
        ({"environments": {}}, "environments is not a list of objects"),
        ({"environments": ["mine"]}, "environments is not a list of objects"),
        ({"data_dir": 3}, "data_dir is not a text"),
        ({"spec": "unet"}, "spec is not an object"),
    ],
)
def test_an_entry_of_another_type_is_damage(copied, entries, reason):
    recorded = workdir.read_recipe(copied) | entries
    (copied / workdir.RECIPE).write_text(json.dumps(recorded))
    assert refusal(copied).startswith(f"{copied / workdir.RECIPE} is damaged ({reason}")


def test_entries_that_are_missing_are_no_damage(copied):
    recorded = workdir.read_recipe(copied) | {"weights": None, "best": None, "data_dir": None}
    for name in ("data", "environments", "best"):
        del recorded[name]
    (copied / workdir.RECIPE).write_text(json.dumps(recorded))
    assert workdir.read_recipe(copied) == recorded


def test_what_contradicts_a_workdir_names_both(run):
    message = refusal(run[0], filters=8)
    assert "was saved with filters=4; received filters=8." in message


def test_a_net_starts_from_the_newest_weights_of_a_workdir(run, copied):
    options = zoo.read_spec(run[0]).options
    assert_same(state(zoo.build("unet", encoder_weights=run[0], **options)), run[1][7])
    message = (
        f"encoder_weights takes the weights file of a run; {copied} holds none of its newest step. "
        f"Run zoo train --workdir {copied} first, or give another file."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        zoo.build("unet", encoder_weights=without_weights(copied), **options)


@pytest.mark.parametrize("damage", [b"[]", b'{"recipe": {', b"\xff\xfe{", None])
def test_the_remedy_for_a_damaged_record_is_the_weights_beside_it(run, copied, damage):
    file = copied / workdir.RECIPE
    file.unlink()
    if damage is None:
        os.mkfifo(file)
    else:
        file.write_bytes(damage)
    remedy = refusal(copied).rpartition("). ")[2]
    assert remedy == (
        f"Load {copied}/model.weights.h5, which tells its model itself, or train in a new "
        "--workdir."
    )
    assert zoo.load(remedy.split()[1].rstrip(",")).spec.model == "unet"
    (copied / workdir.WEIGHTS).unlink()
    assert f"). Load {copied}/best.weights.h5, which" in refusal(copied)
    (copied / workdir.BEST).unlink()
    assert refusal(copied).endswith("). Train in a new --workdir.")


def test_a_record_that_an_editor_saved_is_read(copied):
    file = copied / workdir.RECIPE
    recorded = workdir.read_recipe(copied)
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert workdir.read_recipe(copied) == recorded
