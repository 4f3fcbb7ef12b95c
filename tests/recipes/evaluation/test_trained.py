"""Trained models: of a run, of its checkpoints, of files; and what does not fit."""

import dataclasses
import json

import numpy as np
import pytest

import zoo
from recipes import data
from recipes.data.sets import coins, shapes
from recipes.evaluation import trained
from recipes.runs import coins_unet
from recipes.training import train
from recipes.training.recipe import RecipeError
from tests.parity.caffe import definitions, messages

RECIPE = dataclasses.replace(
    coins_unet.RECIPE,
    options={"filters": 4, "depth": 2},
    crop=32,
    batch_size=1,
    steps=8,
    save_every=4,
    validate_every=0,
    deterministic=False,
)
HELD_OUT = coins.load(None)["val"]


def state(model):
    return [variable.numpy() for variable in model.weights]  # not the seeds, which no file holds


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was stopped at step 7 of 8, and its variables after steps 4 and 7."""
    workdir = tmp_path_factory.mktemp("coins") / "run"
    fourth, seventh = (state(train.train(RECIPE, workdir, limit_steps=steps)) for steps in (4, 7))
    return workdir, {"4": fourth, "7": seventh}


def copied(run, folder):
    """The run without TensorFlow's own list of its checkpoints."""
    (folder / "checkpoints").mkdir()
    (folder / "recipe.json").write_bytes((run[0] / "recipe.json").read_bytes())
    for file in (run[0] / "checkpoints").glob("ckpt-*"):
        (folder / "checkpoints" / file.name).write_bytes(file.read_bytes())
    return folder


def refusal(*arguments, what=trained.of_checkpoint):
    with pytest.raises(RecipeError) as error:
        what(*arguments)
    return str(error.value)


def test_a_checkpoint_is_the_model_at_its_step(run):
    workdir, states = run
    file, model = trained.of_checkpoint(workdir, "4", HELD_OUT)
    assert file == workdir / "checkpoints/ckpt-4"
    assert_same(state(model), states["4"])
    file, model = trained.of_checkpoint(workdir, "newest", HELD_OUT)
    assert file == workdir / "checkpoints/ckpt-7"
    assert_same(state(model), states["7"])
    assert not np.array_equal(states["4"][0], states["7"][0])


def test_a_run_that_is_not_at_its_end_has_checkpoints_only(run, tmp_path):
    assert refusal(run[0], HELD_OUT, what=trained.of_run) == (
        f"{run[0]} holds no trained weights yet: model.weights.h5 comes with the last step. Run "
        f"python -m recipes.runs.coins_unet --workdir {run[0]} to its end, or pass "
        "--checkpoint newest."
    )
    assert refusal(run[0], "5", HELD_OUT) == (
        f"--checkpoint is newest, or the step of a checkpoint; received 5. {run[0]}/checkpoints "
        "holds 7, 4, 0. Pass one that is there."
    )
    (tmp_path / "recipe.json").write_bytes((run[0] / "recipe.json").read_bytes())
    assert "checkpoints holds none yet. Pass one" in refusal(tmp_path, "newest", HELD_OUT)
    (tmp_path / "recipe.json").unlink()
    assert "is not the folder of a run" in refusal(tmp_path, "newest", HELD_OUT)


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_damaged_checkpoint_is_an_error_that_names_the_others(run, part, tmp_path):
    workdir = copied(run, tmp_path)
    file = workdir / "checkpoints" / f"ckpt-7.{part}"
    file.write_bytes(file.read_bytes()[:20])
    message = refusal(workdir, "newest", HELD_OUT)
    assert message.startswith(f"The checkpoint {workdir}/checkpoints/ckpt-7 is damaged (")
    assert message.endswith("Pass another step as --checkpoint: 4, 0.")
    assert_same(state(trained.of_checkpoint(workdir, "4", HELD_OUT)[1]), run[1]["4"])


def test_a_changed_byte_of_a_checkpoint_is_damage(run, tmp_path):
    workdir = copied(run, tmp_path)
    file = workdir / "checkpoints/ckpt-7.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[content.index(run[1]["7"][0].tobytes())] ^= 1
    file.write_bytes(content)
    assert "hecksum does not match" in refusal(workdir, "newest", HELD_OUT)


def test_a_checkpoint_of_other_classes_or_of_another_model_does_not_fit(run, tmp_path):
    other = dataclasses.replace(HELD_OUT, name="others", class_names=("a", "b", "c"))
    assert refusal(run[0], "newest", other) == (
        f"The checkpoint {run[0]}/checkpoints/ckpt-7 does not fit unet, which is built here with "
        "classes=3 and channels=1, those of --data others. Pass the --data that it was trained on."
    )
    workdir = copied(run, tmp_path)
    recorded = json.loads((workdir / "recipe.json").read_text())
    recorded["recipe"]["options"]["depth"] = 1  # fewer variables, the first of the same shapes
    (workdir / "recipe.json").write_text(json.dumps(recorded))
    assert "ckpt-7 does not fit unet" in refusal(workdir, "newest", HELD_OUT)


def test_damaged_weights_of_a_run_and_those_of_other_classes_are_errors(run, tmp_path):
    workdir = copied(run, tmp_path)
    weights = workdir / "model.weights.h5"
    zoo.weights.save(trained.of_checkpoint(workdir, "7", HELD_OUT)[1], weights)
    assert_same(state(trained.of_run(workdir, HELD_OUT)[1]), run[1]["7"])
    other = dataclasses.replace(HELD_OUT, name="others", class_names=("a", "b", "c"))
    message = refusal(workdir, other, what=trained.of_run)
    assert f"The weights in {weights} do not fit unet" in message
    assert message.endswith(
        "unet is built here with classes=3 and channels=1, those of --data others. Pass the --data "
        "and the --options that the weights were trained with."
    )
    weights.with_name("model.weights.h5.sha256").write_text("0" * 64 + "  model.weights.h5\n")
    message = refusal(workdir, HELD_OUT, what=trained.of_run)
    assert f"{weights} is not the file that model.weights.h5.sha256 was written for" in message


def test_the_authors_files_are_read_and_fit_no_other_classes(tmp_path):
    shapes.write(tmp_path / "shapes", train=1, val=1)
    dataset = data.load("shapes", tmp_path)["val"]
    options = {"stages": [4, 6, 8, 8, 8], "head": 12}
    net = definitions.fcn_vgg("fcn8s", classes=5, **options)
    rng = np.random.default_rng(3)
    blobs = {n: [rng.normal(size=s).astype("float32") for s in x] for n, x in net.shapes.items()}
    blobs |= {name: list(arrays) for name, arrays in net.fixed.items()}
    file = messages.write_caffemodel(tmp_path / "net.caffemodel", blobs)
    model = trained.of_file(file, "fcn8s", options, dataset)
    expected = zoo.build("fcn8s", classes=5, weights=file, **options)
    assert_same(state(model), state(expected))
    message = refusal(file, "fcn8s", options, HELD_OUT, what=trained.of_file)
    assert "trained with classes=5" in message
    assert "built here with classes=2 and channels=1, those of --data coins. Pass" in message


@pytest.mark.parametrize(
    ("file", "name", "options", "text"),
    [
        ("nix.weights.h5", "unet", {}, "there is none at 'nix.weights.h5'. Check the path"),
        ("nix.pt", "unet", {}, "or .caffemodel; received 'nix.pt'. Give such a file."),
        ("x.h5", "unnet", {}, "'unnet' is none of them. Did you mean 'unet'?"),
        ("x.h5", "unet", {"filter": 2}, "unet has no option 'filter'. Its options are classes"),
        ("x.h5", "unet", {"classes": 2}, "The classes follow from --data coins: 2; received them"),
        ("x.h5", "unet", {"border": "valid"}, "Leave border out of --options: 'mirror' takes the"),
    ],
)
def test_files_and_options_that_are_none_are_errors(file, name, options, text):
    assert text in refusal(file, name, options, HELD_OUT, what=trained.of_file)
