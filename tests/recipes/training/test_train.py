"""The training loop: its numbers, its files, and that nothing is lost."""

import contextlib
import csv
import dataclasses
import errno
import json
import math
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import recipes.data
import zoo
from recipes import command, runs, scoring
from recipes.data import pipeline
from recipes.training import (
    checkpoints,
    context,
    devices,
    environment,
    loop,
    loss_scale,
    patience,
    records,
    train,
    weights,
)
from recipes.training import model as models
from recipes.training.recipe import Recipe, RunError
from zoo import fast_copy, files
from zoo import workdir as workdirs
from zoo.inference import tiling

# Dropout and shuffling are on, so that a run that goes on has to restore both.
RECIPE = Recipe(
    name="coins_unet",
    model="unet",
    options={"filters": 2, "depth": 1},
    data="coins",
    steps=8,
    batch_size=2,
    crop=16,
    augment=("flip", "turn", "light"),
    accumulate=2,
    learning_rate=1e-2,
    log_every=2,
    save_every=4,
)
CLASS_NAMES = ("background", "thing")


def few(count):
    """Small images in place of the coins; from none to all of their columns are labelled."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 255, (6, 20, 20, 1), dtype=np.uint8)
    labels = (images[..., 0] > 128).astype(np.uint8)
    for index, label in enumerate(labels):
        label[:, index * 4 :] = 255
    files = tuple((f"{index}.png", f"{index}-label.png") for index in range(count))
    return recipes.data.Dataset(
        "coins", "any", CLASS_NAMES, 1, files, lambda i: (images[i], labels[i]), background=0
    )


@pytest.fixture(scope="module", autouse=True)
def few_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            recipes.data, "load", lambda name, folder, **_: {"train": few(6), "val": few(6)}
        )
        patch.setattr(runs, "find", lambda name: RECIPE)
        yield


@dataclasses.dataclass(frozen=True)
class Run:
    workdir: pathlib.Path
    variables: list[np.ndarray]

    def weights(self):
        return [weight.numpy() for weight in zoo.load(self.workdir).weights]

    def copy(self, target):
        shutil.copytree(self.workdir, target)
        return target


@pytest.fixture(scope="module")
def whole(few_images, tmp_path_factory):
    """The run of RECIPE that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    return Run(workdir, variables(train.train(RECIPE, workdir)))


@pytest.fixture(scope="module")
def half(few_images, tmp_path_factory):
    """The same run, which ended as when it is killed, after its checkpoint of step 4."""
    workdir = tmp_path_factory.mktemp("half") / "run"
    save = checkpoints.save

    def save_and_die(state, out):
        save(state, out)
        if int(state.step):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(checkpoints, "save", save_and_die)
        train.train(RECIPE, workdir)
        pytest.fail("the run went on after its first checkpoint")
    assert not (workdir / "model.weights.h5").exists()
    return Run(workdir, [])


def change(**changes):
    return dataclasses.replace(RECIPE, **changes)


def log(workdir, name="log.csv"):
    with open(workdir / name, newline="") as file:
        return [
            {column: value for column, value in row.items() if column != "seconds"}
            for row in csv.DictReader(file)
        ]


def variables(model):
    return [variable.numpy() for variable in model.variables]


def assert_same(one, other):
    assert len(one) == len(other)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_that_goes_on_ends_in_the_same_numbers(tmp_path, capsys, whole, half):
    workdir = half.copy(tmp_path / "run")
    # A row of a step that was not saved, and one that was being written: both are taken back.
    with open(workdir / "log.csv", "a") as file:
        file.write("6,0.5,1.0\n8,0.")
    model = train.train(RECIPE, workdir)
    assert "going on from step 4" in capsys.readouterr().out
    # Dropout's generator is among them: without it dropout would begin anew.
    assert any("seed" in variable.path for variable in model.variables)
    assert_same(whole.variables, variables(model))
    assert log(whole.workdir) == log(workdir)
    assert [row["step"] for row in log(workdir)] == ["2", "4", "6", "8"]


@pytest.mark.parametrize(
    "changes", [{"precision": "mixed_float16"}, {"recompute": True}, {"fast": True}]
)
def test_a_run_of_each_form_goes_on_in_the_same_bits(tmp_path, monkeypatch, changes):
    if "fast" in changes:
        monkeypatch.setattr(fast_copy, "LEAST_GAIN", 0)  # narrow layers have fast forms, too
    # Some steps overflow; the scale is doubled in a step that counts from before the stop.
    monkeypatch.setattr(loss_scale, "FIRST", 2.0**24)
    monkeypatch.setattr(loss_scale, "GROWS_AFTER", 3)
    recipe, saved = change(log_every=1, **changes), []
    train.train(recipe, tmp_path / "whole")
    for steps in (3, 5, None):
        train.train(recipe, tmp_path / "parts", limit_steps=steps)
    for folder in ("whole", "parts"):
        newest = tf.train.load_checkpoint(str(tmp_path / folder / "checkpoints/ckpt-8"))
        names = [x for x in newest.get_variable_to_shape_map() if not x.startswith(("run/1", "_"))]
        saved.append({name: newest.get_tensor(name) for name in names if name != "save_counter"})
    assert saved[0].keys() == saved[1].keys()
    assert_same([*saved[0].values()], [saved[1][name] for name in saved[0]])
    assert log(tmp_path / "whole") == log(tmp_path / "parts")
    if changes.get("precision") == "mixed_float16":
        scale, stood = (saved[0][f"loss_scale/{i}/.ATTRIBUTES/VARIABLE_VALUE"] for i in (0, 1))
        assert (scale, stood) != (2.0**24, 8)


def test_the_same_command_after_the_end_changes_nothing(tmp_path, capsys, whole):
    workdir = whole.copy(tmp_path / "run")
    train.train(RECIPE, workdir)
    assert "the training is complete: 8 steps" in capsys.readouterr().out
    before, after = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")}
        for folder in (whole.workdir, workdir)
    )
    assert before == after


def test_a_run_with_a_constant_rate_goes_on_to_more_steps(tmp_path, whole):
    train.train(change(steps=5), tmp_path)
    assert_same(whole.variables, variables(train.train(RECIPE, tmp_path)))
    contents = json.loads((tmp_path / "recipe.json").read_text())
    assert contents["recipe"]["steps"] == contents["weights"]["step"] == 8
    assert weights.are_written(tmp_path, 8)


def test_the_record_says_what_the_numbers_depend_on(tmp_path, monkeypatch, capsys, whole):
    workdir = whole.copy(tmp_path / "run")
    contents = json.loads((workdir / "recipe.json").read_text())
    assert contents["recipe"]["name"] == "coins_unet"
    assert contents["recipe"]["learning_rate"] == 0.01
    (started,) = contents["environments"]
    assert started["tensorflow"] == tf.__version__
    assert started["deterministic"] is True
    assert {"cores", "onednn", "hardware", "keras", "replicas", "threads", "zoo"} <= started.keys()
    assert started["commit"] == environment.commit()
    assert started["strategy"] == "_DefaultDistributionStrategy"
    assert contents["data"].keys() == {"train", "val"}
    train.train(RECIPE, workdir)
    assert "resumed with another" not in capsys.readouterr().out
    # Of what is set outside, TensorFlow reads most when it starts: only the record is looked at.
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    train.train(RECIPE, workdir)
    before = started["settings"]  # the tests' own
    after = {"TF_NUM_INTRAOP_THREADS": "1"} | before
    resumed = json.loads((workdir / "recipe.json").read_text())["environments"][-1]["settings"]
    assert resumed == after
    assert (
        f"the run is resumed with another cores {started['cores']} → 3, onednn default → 0, "
        f"settings {before} → {resumed}: it may not end in the same bits as without the stop\n"
    ) in capsys.readouterr().out
    assert len(json.loads((workdir / "recipe.json").read_text())["environments"]) == 2


def test_another_runs_workdir_is_an_error(whole):
    message = (
        f"{whole.workdir} holds another run: it was started with --seed 0, and this command has "
        "--seed 3. Pass a new folder as --workdir, or the value that it was started with."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train.train(change(seed=3), whole.workdir)


def test_a_folder_with_other_files_is_an_error(tmp_path):
    for name in ("log.csv", "best.weights.h5"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(
            ValueError, match=rf"holds {name} and no recipe\.json. Pass a new folder"
        ):
            train.train(RECIPE, tmp_path)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_results_without_a_checkpoint_are_not_replaced(tmp_path, whole, scored):
    def refusal(of, recipe, *lost):
        folder = of.copy(tmp_path / f"{len(list(tmp_path.iterdir()))}")
        shutil.rmtree(folder / "checkpoints")
        for name in lost:
            (folder / name).unlink()
        before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        with pytest.raises(ValueError, match=r"no checkpoint to resume from|another run") as error:
            train.train(recipe, folder)
        assert before == {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        return folder, str(error.value).removeprefix(f"{folder} ")

    folder, message = refusal(whole, RECIPE)
    assert message == (
        "holds the weights of step 8 and no checkpoint to resume from. Load them with zoo.load, or "
        "pass a new folder as --workdir."
    )
    assert_same(whole.weights(), [weight.numpy() for weight in zoo.load(folder).weights])
    folder, message = refusal(scored, SCORED, "model.weights.h5")
    assert 'Load them with zoo.load(…, checkpoint="best"), or' in message
    zoo.load(folder, checkpoint="best")
    files = ("model.weights.h5", "best.weights.h5", "log.csv", "scores.csv")
    assert refusal(scored, SCORED, *files)[1] == (
        "holds the record of a run up to step 8 and no checkpoint to resume from. Pass a new "
        "folder as --workdir."
    )
    # recipe.json is the only one that is left.
    message = refusal(scored, change(seed=3), *files)[1]
    assert message.startswith("holds another run: it was started with --seed 0, and this command")


def test_rows_without_a_checkpoint_are_not_replaced(tmp_path, half):
    folder = half.copy(tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(ValueError, match="holds the record of a run up to step 4 and no checkpoi"):
        train.train(RECIPE, folder)


def test_a_second_run_is_turned_away_before_anything_is_read(tmp_path, monkeypatch):
    prepare, turned_away = train._prepare, []

    def meanwhile(*arguments):
        monkeypatch.setattr(train, "_prepare", lambda *arguments: pytest.fail("data were read"))
        with pytest.raises(RunError, match=rf"process {os.getpid()} on .* writes to {tmp_path}"):
            train.train(change(seed=3), tmp_path)
        turned_away.append(True)
        return prepare(*arguments)

    monkeypatch.setattr(train, "_prepare", meanwhile)
    train.train(RECIPE, tmp_path, limit_steps=1)
    assert turned_away
    assert json.loads((tmp_path / "recipe.json").read_text())["recipe"]["seed"] == 0
    assert not (tmp_path / "lock").exists()


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path, half):
    workdir = half.copy(tmp_path / "run")
    for place in (workdir, workdir / "checkpoints"):
        (place / "writing-0123abef").mkdir()
        (place / "writing-0123abef/lock").write_text("process 1 on a machine")
        (place / "writing-0123abef/ckpt-8.index").write_text("half")
        (place / "writing-chapters").mkdir()
    train.train(RECIPE, workdir, limit_steps=4)
    assert [file.name for file in workdir.rglob("writing-*")] == ["writing-chapters"] * 2


def test_checkpoints_of_others_are_neither_read_nor_deleted(tmp_path, capsys, whole, half):
    workdir = half.copy(tmp_path / "run")
    folder = workdir / "checkpoints"
    theirs = ["ckpt-4.notes.txt", "ckpt-0.index.old", "ckpt-1.index", "ckpt-900_temp/part"]
    for step in (900, 901, 902):
        theirs += [f"ckpt-{step}.index", f"ckpt-{step}.data-00000-of-00001"]
    for name in theirs:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    assert workdirs.steps(workdir) == [4, 0]
    assert_same(whole.variables, variables(train.train(change(save_every=1), workdir)))
    assert "damaged" not in capsys.readouterr().out
    assert workdirs.steps(workdir) == [8, 7, 6]
    assert [(folder / name).read_text() for name in theirs] == theirs
    own = [f"ckpt-{step}.{part}" for step in (6, 7, 8) for part in ("data-00000-of-00001", "index")]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*theirs, *own, "steps.json"}


def test_a_file_of_others_in_the_place_of_a_checkpoint_is_not_replaced(tmp_path, whole, half):
    workdir = half.copy(tmp_path / "run")
    file = workdir / "checkpoints/ckpt-8.index"
    file.write_text("theirs")
    with pytest.raises(
        RunError,
        match=rf"written to {file}; .* not of this run. That of step 4 is intact. Move it away and",
    ):
        train.train(RECIPE, workdir)
    assert file.read_text() == "theirs"
    file.rename(tmp_path / "away")
    assert_same(whole.variables, variables(train.train(RECIPE, workdir)))


def test_a_damaged_list_of_checkpoints_is_told_and_can_be_deleted(tmp_path, whole):
    workdir = whole.copy(tmp_path / "run")
    file = workdir / "checkpoints/steps.json"
    for content in ("[4, 8", '{"8": 1}', '["8"]'):
        file.write_text(content)
        with pytest.raises(ValueError, match=rf"^{file} is damaged: .* Delete it: then every ck"):
            train.train(RECIPE, workdir)
    file.unlink()
    assert workdirs.steps(workdir) == [8, 4, 0]
    assert_same(whole.variables, variables(train.train(RECIPE, workdir)))


def test_a_workdir_that_is_a_file_or_closed_is_an_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match=r"--workdir is a folder; .* is a file. Pass a new"):
        train.train(RECIPE, file)
    with pytest.raises(RunError, match=r"cannot be read or written \(Not a directory\)\. Checkpo"):
        train.train(RECIPE, file / "below")
    assert file.read_text() == "mine"


def test_wrong_options_are_errors_and_the_command_can_be_put_right(tmp_path):
    for changes, error, message in [
        ({"model": "unett"}, ValueError, "Did you mean 'unet'"),
        ({"options": {"filtres": 2}}, TypeError, "unet has no option 'filtres'"),
        ({"options": {"filters": 0}}, ValueError, "filters"),
    ]:
        with pytest.raises(error, match=message):
            train.train(change(**changes), tmp_path)
    train.train(change(steps=1), tmp_path)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_two_replicas_give_the_numbers_of_one(tmp_path, reduction, mirrored):
    recipe = change(
        reduction=reduction,
        options={"filters": 2, "depth": 1, "dropout": 0},
        batch_size=4,
        optimizer="sgd",
        learning_rate=0.1 if reduction == "mean" else 1e-4,
        log_every=1,
    )
    one = variables(train.train(recipe, tmp_path / "one"))
    two = variables(train.train(recipe, tmp_path / "two", strategy=mirrored))
    keras.utils.set_random_seed(recipe.seed)
    start = variables(models.build(recipe, recipes.data.load("coins", None)["train"]))
    moved = max(abs(ours - before).max() for ours, before in zip(one, start, strict=True))
    assert moved > 1e-3
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * moved)
    for ours, theirs in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_that_of_keras(tmp_path, reduction):
    tiny = {"filters": 2, "depth": 1, "dropout": 0}
    recipe = change(reduction=reduction, options=tiny, steps=1, accumulate=1)
    train.train(recipe, tmp_path)
    dataset = recipes.data.load("coins", None)["train"]
    keras.utils.set_random_seed(0)
    model = models.build(recipe, dataset)
    around = context.around(recipe, model)
    options = dict(batch_size=2, first=0, last=1, seed=0, crop=16, augment=recipe.augment)
    ((image, label),) = pipeline.batches(dataset, **options, context=around)
    assert image.shape[1] == 16 + sum(around) > label.shape[1] == 16
    assert 0 < np.mean(label == 255) < 1
    scores = context.trained(recipe, model)(tf.cast(image, tf.float32))
    mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    expected = float(mean(label, scores))
    if reduction == "sum":  # of an image: the sum over the batch, divided by its 2 images
        expected *= np.count_nonzero(label != 255) / 2
    assert float(log(tmp_path)[0]["loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_row_of_the_log_is_the_mean_of_its_steps(tmp_path, whole):
    train.train(change(log_every=1), tmp_path)
    single = [float(row["loss"]) for row in log(tmp_path)]
    expected = np.mean(np.reshape(single, (4, 2)), axis=1)
    np.testing.assert_allclose([float(row["loss"]) for row in log(whole.workdir)], expected)


@pytest.mark.parametrize("log_every", [1, 4, 5])
def test_a_row_is_a_mean_also_when_the_run_is_resumed_with_other_rows(tmp_path, log_every):
    train.train(change(log_every=1), tmp_path / "single")
    single = [float(row["loss"]) for row in log(tmp_path / "single")]
    train.train(RECIPE, tmp_path / "run", limit_steps=3)
    train.train(change(log_every=log_every), tmp_path / "run")
    rows = {int(row["step"]): float(row["loss"]) for row in log(tmp_path / "run")}
    begun = 0
    for step, loss in rows.items():
        assert loss == pytest.approx(np.mean(single[begun:step]))
        # The last row of a run does not begin a new sum: the run may be given more steps.
        begun = step
    assert set(rows) == {2, *(step for step in range(4, 9) if step % log_every == 0), 8}


@pytest.mark.parametrize("torn", ["8,0.", "8,0.5,1", "8,0.5\n", "\0\0\0\0", "\0" * 500])
def test_a_torn_row_is_repaired_and_told(tmp_path, capsys, whole, half, torn):
    workdir = half.copy(tmp_path / "run")
    with open(workdir / "log.csv", "a") as file:
        file.write(torn)
    train.train(RECIPE, workdir)
    told = f"log.csv: its last row, {torn.strip()[:60]!r}, was not written to its end; removed"
    assert capsys.readouterr().out.count(told) == 1
    assert log(whole.workdir) == log(workdir)


def test_a_table_that_excel_saved_is_read_or_named(tmp_path, whole, half):
    workdir = half.copy(tmp_path / "run")
    file = workdir / "log.csv"
    text = file.read_text()
    file.write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    train.train(RECIPE, workdir, limit_steps=5)
    assert file.read_text().startswith(text)
    before = text.replace(",", ";").replace(".", ",")
    for changed, line in [(before, 1), (text.replace("4,", "four,"), 3), ("garbage", 1)]:
        changed += "6,1,1\n"
        file.write_text(changed)
        with pytest.raises(
            ValueError, match=rf"^{file} has the columns step,loss,seconds; its line {line} is '"
        ) as error:
            train.train(RECIPE, workdir)
        assert file.read_text() == changed
    assert str(error.value).endswith("Rename it: the run goes on and begins a new one.")
    file.rename(tmp_path / "mine.csv")
    assert_same(whole.variables, variables(train.train(RECIPE, workdir)))


def test_rows_are_on_the_disk_before_the_checkpoint_of_their_step(tmp_path, monkeypatch):
    fsync, synced = os.fsync, []

    def noted(descriptor):
        synced.append(pathlib.Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    train.train(change(steps=2, validate_every=2), tmp_path)
    first = synced.index("ckpt-2.index")
    assert {"log.csv", "scores.csv", "best.weights.h5", "best.weights.h5.sha256"} <= set(
        synced[:first]
    )
    rows = [name for name in synced[:first] if name.endswith(".csv")]
    assert rows[-2:] == ["scores.csv", "log.csv"]
    assert synced[-1] == tmp_path.name  # of recipe.json, which names the weights
    assert {"model.weights.h5", "model.weights.h5.sha256", "recipe.json"} <= set(synced[first:])


@pytest.mark.parametrize("when", ["open", "flush", "close"])
def test_a_full_disk_under_tensorboard_is_told_once_and_ends_nothing(
    tmp_path, capsys, monkeypatch, whole, when
):
    def full(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "events; No space left on device")

    if when == "open":
        monkeypatch.setattr(tf.summary, "create_file_writer", full)
    else:
        make = tf.summary.create_file_writer

        def make_full(folder):
            writer = make(folder)
            monkeypatch.setattr(type(writer), when, full)
            return writer

        monkeypatch.setattr(tf.summary, "create_file_writer", make_full)
    assert_same(whole.variables, variables(train.train(change(validate_every=4), tmp_path)))
    assert capsys.readouterr().out.count("TensorBoard's events can no longer be written") == 1


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_workdir_that_is_gone_while_it_trains_is_told(tmp_path, monkeypatch, whole, how):
    workdir, save = tmp_path / "run", checkpoints.save

    def save_and_lose(state, out):
        save(state, out)
        if int(state.step) == 4:
            shutil.rmtree(workdir) if how == "deleted" else workdir.rename(tmp_path / "away")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save_and_lose)
        with pytest.raises(
            RunError,
            match=rf"while it trains; {workdir} was moved or deleted\. Put it back and",
        ):
            train.train(RECIPE, workdir)
    assert not workdir.exists()
    if how == "moved":
        (tmp_path / "away").rename(workdir)
        assert_same(whole.variables, variables(train.train(RECIPE, workdir)))


def test_an_error_of_the_network_does_not_blame_the_workdir(tmp_path, monkeypatch):
    def refused(*arguments):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(models, "build", refused)
    with pytest.raises(ConnectionRefusedError):
        train.train(RECIPE, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_interrupt_that_does_not_wait_says_what_is_lost(tmp_path, capsys, monkeypatch):
    def twice(run, output, clock):
        if run.step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_log", twice)
    with pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, tmp_path / "my run")
    assert (
        "stopped at once: the last checkpoint is that of step 4, and what came after it, 2 whole "
        f"steps, is lost. Resume from there with:\n  zoo train --workdir '{tmp_path}/my run'\n"
    ) in capsys.readouterr().out


def test_large_images_are_scored_in_tiles(tmp_path, monkeypatch, whole):
    sizes, model = [], zoo.load(whole.workdir)
    call = type(model).__call__

    def noted(self, image, **keywords):
        sizes.append(image.shape)
        return call(self, image, **keywords)

    image = np.random.default_rng(0).integers(0, 256, (200, 150, 1), np.uint8)
    scores = model(image[np.newaxis].astype(np.float32))[0].numpy()
    bias = model.get_layer("conv_u0d-score").bias  # moved, so that each class has half of the image
    bias.assign(bias + np.float32([np.median(scores[..., 1] - scores[..., 0]), 0]))
    expected = scoring.of_model(model)(image)
    monkeypatch.setattr(tiling, "MAX_SIDE", 96)
    monkeypatch.setattr(type(model), "__call__", noted)
    run_eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        found = scoring.of_model(model)(image)
    finally:
        tf.config.run_functions_eagerly(run_eagerly)
    assert len(sizes) > 4
    assert max(max(size) for size in sizes) <= 96
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) == 2


def test_a_batch_has_to_be_divisible(tmp_path, mirrored):
    with pytest.raises(
        ValueError, match=r"between 2 replicas; received --batch-size 3. Pass a mul"
    ):
        train.train(change(batch_size=3), tmp_path, strategy=mirrored)


def test_numbers_that_are_not_finite_stop_the_run_and_are_not_saved(tmp_path, capsys):
    recipe = change(optimizer="sgd", learning_rate=1e30, save_every=1)
    with pytest.raises(RunError) as error:
        train.train(recipe, tmp_path)
    # Weights beyond all measure, then a loss that is none: which step shows it is the numbers'.
    step = int(
        re.match(r"Step (\d): .* not finite|Step (\d): .* no longer finite", str(error.value))[0][5]
    )
    assert ", 3 times. Nothing of it was saved. That of step " in str(error.value)
    assert "pass a --learning-rate below 1e+30 and a new --workdir:" in str(error.value)
    files = pipeline.files(few(6), positions=range(4 * step - 4, 4 * step), seed=0)
    assert str(error.value).endswith("\n  ".join(["", *files]))
    assert capsys.readouterr().out.count("back to the last checkpoint") == 2
    for file in (tmp_path / "checkpoints").glob("*.index"):
        for name, _ in tf.train.list_variables(str(file.with_suffix(""))):
            if name.endswith("VARIABLE_VALUE"):
                value = tf.train.load_variable(str(file.with_suffix("")), name)
                assert np.isfinite(value).all()


def test_what_was_not_finite_once_is_done_again(tmp_path, capsys, monkeypatch, whole):
    """As when a machine computes wrongly, in three steps: the run ends as if it had not."""
    make_step, broken = loop.make_step, []

    def make_broken_step(recipe, state, *arguments):
        step = make_step(recipe, state, *arguments)

        def once_broken(*batch, last):
            loss, wrong, stops = step(*batch, last=last)
            now = int(state.step)
            if now in (1, 3, 5) and last and now not in broken:
                broken.append(now)
                kernel = state.model.trainable_variables[0]
                kernel.assign(kernel * np.nan)
                return loss * np.nan, wrong + 1, stops
            return loss, wrong, stops

        return once_broken

    monkeypatch.setattr(loop, "make_step", make_broken_step)
    model = train.train(RECIPE, tmp_path)
    out = capsys.readouterr().out
    assert out.count("back to the last checkpoint") == 3
    assert "step 6: the loss is nan, and it or its gradient is not finite; back to the last" in out
    assert "going on from step 4" in out
    assert_same(whole.variables, variables(model))
    assert log(whole.workdir) == log(tmp_path)


def test_a_file_that_can_no_longer_be_read_is_named(tmp_path, capsys, monkeypatch):
    words = ["coins_unet", "--workdir", str(tmp_path), "--steps", "2"]
    whole, seen = few(6), []

    def lost(index):
        seen.append(index)
        if len(seen) > 12:  # all were verified
            raise recipes.data.DataError("images/3.png: there is no such file. Add it.")
        return whole.example(index)

    split = dataclasses.replace(whole, example=lost)
    monkeypatch.setattr(
        recipes.data, "load", lambda name, folder, **_: {"train": split, "val": split}
    )
    assert command.train(words) == 2
    err = capsys.readouterr().err
    assert "\nzoo train: images/3.png: there is no such file. Add it.\n" in "\n" + err


def test_what_does_not_fit_into_the_memory_is_told(tmp_path, capsys, monkeypatch):
    def no_memory(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor\n at x")

    monkeypatch.setattr(train, "run_steps", no_memory)
    assert command.train(["coins_unet", "--workdir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert (
        "The memory does not suffice (OOM when allocating a tensor). Pass a smaller --crop" in err
    )


def test_a_held_out_image_that_does_not_fit_into_the_memory_is_told(tmp_path, capsys, monkeypatch):
    def no_memory(image):
        raise MemoryError("The memory does not suffice. Answer in smaller tiles.")

    words = ["coins_unet", "--workdir", str(tmp_path), "--validate-every", "4", "--save-every", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "of_model", lambda model: no_memory)
        assert command.train(words) == 1
    err = capsys.readouterr().err
    assert "zoo train: 0.png: The memory does not suffice. Answer in smaller tiles." in err
    assert "Or run the same command with --validate-every 0: it goes on from the last" in err
    assert "--crop" not in err
    assert command.train([*words, "--validate-every", "0"]) == 0
    assert "going on from step 2" in capsys.readouterr().out


def part_of(prefix, name):
    """The variables of one part of a checkpoint."""
    saved = tf.train.load_checkpoint(prefix)
    count = sum(key.startswith(f"{name}/") for key in saved.get_variable_to_shape_map())
    keys = (f"{name}/{place}/.ATTRIBUTES/VARIABLE_VALUE" for place in range(count))
    return [tf.Variable(saved.get_tensor(key)) for key in keys]


def test_a_run_of_version_0_1_goes_on(tmp_path, whole, half):
    workdir = half.copy(tmp_path / "run")
    prefix = str(workdir / "checkpoints/ckpt-4")
    model, optimizer, run = (part_of(prefix, name) for name in ("model", "optimizer", "run"))
    run += [tf.Variable(5.0, dtype=tf.float64), tf.Variable(4, dtype=tf.int64)]
    tf.train.Checkpoint(model=model, optimizer=optimizer, run=run).write(prefix)
    (workdir / "checkpoints/steps.json").unlink()
    recorded = json.loads((workdir / "recipe.json").read_text())
    for later in ("channels", "fold", "fast", "recompute", "patience", "best_by"):
        del recorded["recipe"][later]
    (workdir / "recipe.json").write_text(json.dumps(recorded))
    assert len(zoo.load(workdir, checkpoint=4).variables) == len(whole.variables)
    assert_same(whole.variables, variables(train.train(change(fast=False), workdir)))
    assert log(whole.workdir) == log(workdir)


def test_a_checkpoint_that_does_not_fit_can_be_started_from(tmp_path, half, monkeypatch):
    workdir = half.copy(tmp_path / "run")
    prefix = str(workdir / "checkpoints/ckpt-4")
    tf.train.Checkpoint(model=part_of(prefix, "model"), run=part_of(prefix, "run")).write(prefix)
    with pytest.raises(RunError) as error:
        train.train(RECIPE, workdir)
    message = str(error.value)
    assert f"of step 4 in {workdir}/checkpoints is of another version of segmentation-z" in message
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"zoo\.weights\.save\(.*'\)", message)[0])
    assert "start from them with --encoder-weights start.weights.h5 and a new --work" in message
    started = models.build(change(encoder_weights="start.weights.h5"), few(6))
    for ours, theirs in zip(started.weights, zoo.load(workdir).weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_is_on_the_disk_before_an_older_one_is_deleted(tmp_path, monkeypatch):
    state = checkpoints.State(keras.Sequential([keras.Input((1,))]), keras.optimizers.SGD())
    fsync, synced = os.fsync, []

    def noted(descriptor):
        name = pathlib.Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        synced.append((name, workdirs.steps(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    for step in range(5):
        state.step.assign(step)
        checkpoints.save(state, tmp_path)
    before, after = [3, 2, 1], [4, 3, 2, 1]
    assert synced[-5:] == [
        ("ckpt-4.data-00000-of-00001", before),
        ("ckpt-4.index", before),
        ("steps.json", before),
        ("checkpoints", before),
        ("checkpoints", after),
    ]
    assert workdirs.steps(tmp_path) == [4, 3, 2]


def test_a_full_disk_during_a_checkpoint_loses_nothing(tmp_path, whole, half):
    workdir = half.copy(tmp_path / "run")
    before = sorted((workdir / "checkpoints").iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as if so much were left
    try:
        with pytest.raises(RunError) as error:
            train.train(RECIPE, workdir)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    message = str(error.value)
    assert f"The checkpoint of step 8 cannot be written to {workdir}/checkpoints" in message
    assert "That of step 4 is intact. Free some space there" in message
    assert sorted((workdir / "checkpoints").iterdir()) == before
    assert_same(whole.variables, variables(train.train(RECIPE, workdir)))


@pytest.mark.parametrize("what", ["weights", "log"])
def test_a_full_disk_elsewhere_is_named(tmp_path, whole, monkeypatch, what):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device", f"{workdir}/log.csv")

    workdir = whole.copy(tmp_path / "run")
    (workdir / "model.weights.h5").unlink()
    with monkeypatch.context() as patch:
        if what == "log":
            patch.setattr(files, "write_text", full)
            message = (
                r"log\.csv cannot be read or written \(No space left on device\)\. Checkpoints a"
            )
        else:
            patch.setattr(keras.Model, "save_weights", full)
            message = (
                r"model\.weights\.h5 cannot be written .*The checkpoints beside it hold the who"
            )
        with pytest.raises(RunError, match=message):
            train.train(RECIPE, workdir)
    train.train(RECIPE, workdir)
    assert weights.are_written(workdir, 8)
    assert not list(workdir.glob("writing-*"))


def test_weights_that_read_back_as_other_numbers_are_not_published(tmp_path, whole, monkeypatch):
    workdir = whole.copy(tmp_path / "run")
    (workdir / "model.weights.h5").unlink()
    save = keras.Model.save_weights

    def save_others(model, file):
        save(keras.models.clone_model(model), file)  # of the same shapes, newly drawn

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save_weights", save_others)
        with pytest.raises(RunError, match="reads back as other numbers"):
            train.train(RECIPE, workdir)
    assert not list(workdir.glob("*.h5"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_step_and_saves(tmp_path, capsys, whole, number):
    save = checkpoints.save

    def save_and_signal(state, out):
        save(state, out)
        if int(state.step) == 4:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", save_and_signal)
        with pytest.raises(SystemExit) as stopped:
            train.train(RECIPE, tmp_path)
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) == before
    out = capsys.readouterr().out
    assert (
        f"stopped and saved at step 5 of 8. Resume it with:\n  zoo train --workdir {tmp_path}\n"
        in out
    )
    assert_same(whole.variables, variables(train.train(RECIPE, tmp_path)))
    assert log(whole.workdir) == log(tmp_path)


@pytest.mark.parametrize("damage", ["flip", "cut", "index"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, whole, damage):
    workdir = whole.copy(tmp_path / "run")
    ending = "index" if damage == "index" else "data-00000-of-00001"
    file = workdir / "checkpoints" / f"ckpt-8.{ending}"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    again = train.train(RECIPE, workdir)
    out = capsys.readouterr().out
    assert "the checkpoint of step 8 is damaged (" in out
    assert "going on from step 4" in out
    assert_same(whole.variables, variables(again))


def test_a_run_does_not_begin_anew_when_all_checkpoints_are_damaged(tmp_path, whole):
    workdir = whole.copy(tmp_path / "run")
    for file in (workdir / "checkpoints").glob("*.data*"):
        file.write_bytes(b"")
    with pytest.raises(RunError, match=r"All 3 checkpoints in .* are damaged. Pass a new"):
        train.train(RECIPE, workdir)


def test_damaged_weights_are_written_anew(tmp_path, whole):
    workdir = whole.copy(tmp_path / "run")
    file = workdir / "model.weights.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert not weights.are_written(workdir, 8)
    train.train(RECIPE, workdir)
    assert weights.are_written(workdir, 8)


def test_the_held_out_split_is_scored_on_the_way_without_a_trace(tmp_path, whole):
    model = train.train(change(validate_every=3), tmp_path)
    assert_same(whole.variables, variables(model))
    rows = log(tmp_path, "scores.csv")
    assert [row["step"] for row in rows] == ["3", "6"]
    held_out = recipes.data.load("coins", None)["val"]
    at_six = train.train(change(steps=6), tmp_path / "six")
    scores = scoring.measure(scoring.of_model(at_six), held_out)
    for name, value in rows[1].items():
        assert name == "step" or float(value) == pytest.approx(scores[name])


def test_scores_that_a_signal_cut_off_come_when_the_run_goes_on(tmp_path, monkeypatch, whole):
    recipe = change(validate_every=4)
    shared_scores, told = loop.shared_scores, []

    def told_to_stop(*arguments, stopped):
        if not told:
            told.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return shared_scores(*arguments, stopped=stopped)

    monkeypatch.setattr(loop, "shared_scores", told_to_stop)
    with pytest.raises(SystemExit) as stopped:
        train.train(recipe, tmp_path)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert log(tmp_path, "scores.csv") == []
    assert_same(whole.variables, variables(train.train(recipe, tmp_path)))
    assert [row["step"] for row in log(tmp_path, "scores.csv")] == ["4", "8"]
    assert log(whole.workdir) == log(tmp_path)


@pytest.mark.parametrize("name", ["a[b]c", "what?*", "back\\slash"])
def test_a_run_is_trained_and_resumed_whatever_the_name_of_its_folder(tmp_path, whole, name):
    workdir = tmp_path / name
    train.train(RECIPE, workdir, limit_steps=3)
    assert_same(whole.variables, variables(train.train(RECIPE, workdir)))
    assert log(whole.workdir) == log(workdir)


def test_the_memory_of_a_run_is_the_most_that_one_of_its_starts_took(tmp_path, monkeypatch):
    def recorded(limit: int, took: float) -> float:
        monkeypatch.setattr(weights, "peak_memory", lambda: took)
        train.train(RECIPE, tmp_path, limit_steps=limit)
        return workdirs.read_recipe(tmp_path)["weights"]["memory_gb"]

    assert [recorded(1, 1.234), recorded(2, 0.5), recorded(3, 2.0)] == [1.23, 1.23, 2.0]


def test_a_limited_run_goes_on(tmp_path, capsys, whole):
    train.train(RECIPE, tmp_path, limit_steps=3)
    assert "--limit-steps 3: stopped at step 3 of 8, and saved." in capsys.readouterr().out
    assert weights.are_written(tmp_path, 3)
    train.train(RECIPE, tmp_path, limit_steps=2)
    out = capsys.readouterr().out
    assert "--limit-steps 2: stopped at step 3 of 8, and saved." in out
    assert "complete" not in out
    assert_same(whole.variables, variables(train.train(RECIPE, tmp_path)))
    assert log(whole.workdir) == log(tmp_path)


def test_a_run_goes_on_with_the_examples_that_it_began_with(tmp_path, monkeypatch, whole):
    workdir = whole.copy(tmp_path / "run")
    monkeypatch.setattr(
        recipes.data, "load", lambda name, folder, **_: {"train": few(5), "val": few(6)}
    )
    with pytest.raises(
        ValueError, match=r"the split train of --data coins has changed since .* Restore the"
    ):
        train.train(RECIPE, workdir)


def test_weights_to_start_from_are_taken_at_the_start_only(tmp_path, whole):
    start = shutil.copytree(whole.workdir, tmp_path / "whole") / "model.weights.h5"
    recipe = change(encoder_weights=str(start), learning_rate=1e-9, optimizer="sgd", steps=1)
    first = train.train(recipe, tmp_path / "run")
    kernels = [x for x in first.trainable_variables if x.name == "kernel"]
    trained = [x for x in whole.variables if x.ndim == 4]
    np.testing.assert_allclose(kernels[0].numpy(), trained[0], atol=1e-6)
    shutil.rmtree(tmp_path / "whole")
    train.train(dataclasses.replace(recipe, steps=2), tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"there is none at .*model\.weights\.h5\. Check"):
        train.train(recipe, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_class_weights_that_do_not_fit_a_folder_are_an_error(tmp_path):
    message = (
        "Each of the 2 classes of --data folder has a weight; received 3 --class-weights. Give one "
        "for each, in the order that zoo verify folder DIR shows, or balanced."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        train.train(change(data="folder", class_weights=(1, 2, 3)), tmp_path)


def test_what_tensorboard_shows(tmp_path, whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train.train(change(validate_every=4), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    assert {"loss", "learning_rate", "images_per_second", "mean_iou"} <= set(
        events.Tags()["tensors"]
    )
    losses = {
        event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss")
    }
    assert losses == pytest.approx({int(row["step"]): float(row["loss"]) for row in log(tmp_path)})
    width, height, picture = tf.make_ndarray(events.Tensors("label and answer 3")[1].tensor_proto)
    shape = tf.io.decode_png(picture).shape
    assert (int(width), int(height)) == (shape[1], shape[0])
    assert shape[1] > shape[0]  # two pictures side by side


def test_bfloat16_trains_with_weights_of_float32(tmp_path):
    model = train.train(change(precision="mixed_bfloat16", steps=2), tmp_path)
    layer = model.get_layer("conv_d0a-b")
    assert (layer.compute_dtype, layer.kernel.dtype) == ("bfloat16", "float32")
    assert keras.config.dtype_policy().name == "float32"


def test_the_command_turns_errors_into_messages(tmp_path, capsys):
    words = ["coins_unet", "--workdir", str(tmp_path), "--no-deterministic", "--steps", "1"]
    assert command.train([*words, "--options", '{"filtres": 2}']) == 2
    assert "zoo train: unet has no option 'filtres'. Its options are" in capsys.readouterr().err
    assert command.train([*words, "--strategy", "workers"]) == 2
    assert "Set TF_CONFIG on each worker, or pass --strategy one." in capsys.readouterr().err
    assert command.train(words) == 0
    assert f"trained: {tmp_path}/model.weights.h5" in capsys.readouterr().out


SCORED = dataclasses.replace(RECIPE, validate_every=2)


@pytest.fixture(scope="module")
def scored(few_images, tmp_path_factory):
    """An uninterrupted run of SCORED."""
    folder = tmp_path_factory.mktemp("scored") / "run"
    return Run(folder, variables(train.train(SCORED, folder)))


def best_of(folder):
    recorded = workdirs.read_recipe(folder)["best"]
    return recorded, [weight.numpy() for weight in zoo.load(folder, checkpoint="best").weights]


def test_the_best_weights_are_those_of_the_first_best_score(tmp_path, scored):
    rows = log(scored.workdir, "scores.csv")
    scores = {int(row["step"]): float(row["mean_iou"]) for row in rows}
    assert len(set(scores.values())) > 1
    first = min(step for step, score in scores.items() if score == max(scores.values()))
    recorded, weights_of_best = best_of(scored.workdir)
    assert recorded == {"step": first, "mean_iou": scores[first]}
    at_best = train.train(change(steps=first), tmp_path / "short")
    assert_same([weight.numpy() for weight in at_best.weights], weights_of_best)


def test_a_tie_keeps_the_first_best_weights(tmp_path, monkeypatch):
    shared_scores = loop.shared_scores

    def same_scores(*arguments, stopped):
        return shared_scores(*arguments, stopped=stopped) | {"mean_iou": 0.5}

    monkeypatch.setattr(loop, "shared_scores", same_scores)
    train.train(SCORED, tmp_path)
    assert workdirs.read_recipe(tmp_path)["best"] == {"step": 2, "mean_iou": 0.5}


PATIENT = dataclasses.replace(RECIPE, validate_every=1, patience=3)


@pytest.fixture
def given_scores(monkeypatch):
    """Held-out scores by their step; the fourth is as good as the second, and not better."""
    ious = dict(enumerate((0.3, 0.5, 0.4, 0.5, 0.45, 0.7, 0.6, 0.65), start=1))
    validate, shared_scores, at = loop._validate, loop.shared_scores, []

    def validated(run, *rest):
        at.append(run.step)
        return validate(run, *rest)

    def scores(*arguments, stopped):
        given = {"mean_iou": ious[at[-1]], "mean_accuracy": at[-1] / 10}
        return shared_scores(*arguments, stopped=stopped) | given

    monkeypatch.setattr(loop, "_validate", validated)
    monkeypatch.setattr(loop, "shared_scores", scores)


def test_a_run_ends_when_its_patience_does_and_goes_on_without(
    tmp_path, capsys, given_scores, whole
):
    early = train.train(PATIENT, tmp_path)
    ended = (
        "ended at step 5 of 8 by --patience 3: the last 3 scores are no better than mean_iou "
        f"0.5000 of step 2, whose weights are {tmp_path}/best.weights.h5. The same command with "
        "--patience 0 goes on.\n"
    )
    assert ended in capsys.readouterr().out
    assert [row["step"] for row in log(tmp_path, "scores.csv")] == ["1", "2", "3", "4", "5"]
    assert weights.are_written(tmp_path, 5)
    assert workdirs.read_recipe(tmp_path)["best"] == {"step": 2, "mean_iou": 0.5}
    again = train.train(PATIENT, tmp_path)
    out = capsys.readouterr().out
    assert ended in out
    assert "training coins_unet" not in out
    assert_same(variables(early), variables(again))
    onward = train.train(dataclasses.replace(PATIENT, patience=0), tmp_path)
    assert_same(whole.variables, variables(onward))
    assert log(whole.workdir) == log(tmp_path)
    assert workdirs.read_recipe(tmp_path)["best"] == {"step": 6, "mean_iou": 0.7}


@pytest.mark.parametrize("where", ["before its checkpoint", "after its checkpoint"])
def test_a_kill_at_the_end_of_the_patience_changes_nothing(
    tmp_path, given_scores, monkeypatch, where
):
    expected = train.train(PATIENT, tmp_path / "whole")
    save = checkpoints.save

    def die(state, out):
        if int(state.step) != 5 or where.startswith("after"):
            save(state, out)
        if int(state.step) == 5:
            raise KeyboardInterrupt

    train.train(PATIENT, tmp_path / "parts", limit_steps=3)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", die)
        with pytest.raises(KeyboardInterrupt):
            train.train(PATIENT, tmp_path / "parts")
    assert [row["step"] for row in log(tmp_path / "parts", "scores.csv")][-1] == "5"
    assert_same(variables(expected), variables(train.train(PATIENT, tmp_path / "parts")))
    for name in ("log.csv", "scores.csv"):
        assert log(tmp_path / "whole", name) == log(tmp_path / "parts", name)
    assert weights.are_written(tmp_path / "parts", 5)
    assert_same(best_of(tmp_path / "whole")[1], best_of(tmp_path / "parts")[1])


def test_another_score_may_decide(tmp_path, given_scores):
    by_accuracy = dataclasses.replace(PATIENT, best_by="mean_accuracy", steps=6)
    train.train(by_accuracy, tmp_path)
    assert workdirs.read_recipe(tmp_path)["best"] == {"step": 6, "mean_accuracy": 0.6}
    with pytest.raises(ValueError, match="started with --best-by mean_accuracy, and this command"):
        train.train(dataclasses.replace(by_accuracy, best_by="mean_iou"), tmp_path)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_further_workers_end_when_the_first_does(tmp_path, monkeypatch, first):
    """A worker that was started again has no rows of before."""
    run = types.SimpleNamespace(
        recipe=PATIENT, is_first_worker=False, out=tmp_path, step=5, strategy=None
    )
    monkeypatch.setattr(patience, "add_up", lambda numbers, strategy: numbers + first)
    assert patience.is_over(run) == bool(first)


def test_a_score_that_is_no_number_is_not_better():
    scores = {"step": [1, 2, 3, 4, 5], "mean_iou": [math.nan, 0.2, math.nan, 0.2, 0.9]}
    assert patience.since_best(scores, "mean_iou", 1) == (None, 1)
    assert patience.since_best(scores, "mean_iou", 4) == ((2, 0.2), 2)
    assert patience.since_best(scores, "mean_iou", 9) == ((5, 0.9), 0)


@pytest.mark.parametrize("where", ["before the file", "before its record", "before the row"])
@pytest.mark.parametrize("which", [0, -1])  # of the times that the best weights are written
def test_a_kill_while_the_best_weights_are_written_changes_nothing(
    tmp_path, scored, where, which, monkeypatch
):
    bests = []
    highest = -1.0
    for row in log(scored.workdir, "scores.csv"):
        if float(row["mean_iou"]) > highest:
            highest = float(row["mean_iou"])
            bests.append(int(row["step"]))
    at = bests[which]
    write, write_best, update = weights._write, weights.write_best, records.update

    def die_at(moment, run_step):
        if where == moment and run_step == at:
            raise KeyboardInterrupt

    def watched_write(run, model, name):
        die_at("before the file", run.step)
        write(run, model, name)

    def watched_update(folder, **entries):
        die_at("before its record", entries.get("best", {}).get("step"))
        update(folder, **entries)

    def watched_best(run, model, mean_iou):
        write_best(run, model, mean_iou)
        die_at("before the row", run.step)

    with monkeypatch.context() as patch:
        patch.setattr(weights, "_write", watched_write)
        patch.setattr(weights, "write_best", watched_best)
        patch.setattr(records, "update", watched_update)
        with pytest.raises(KeyboardInterrupt):
            train.train(SCORED, tmp_path)
    zoo.load(tmp_path)
    assert_same(scored.variables, variables(train.train(SCORED, tmp_path)))
    assert log(scored.workdir, "scores.csv") == log(tmp_path, "scores.csv")
    (expected, best), (recorded, found) = best_of(scored.workdir), best_of(tmp_path)
    assert recorded == expected
    assert_same(best, found)


def test_a_full_disk_while_the_best_weights_are_written_loses_nothing(
    tmp_path, scored, monkeypatch
):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zoo.weights, "save", full)
        with pytest.raises(RunError) as error:
            train.train(SCORED, tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/best.weights.h5 cannot be written ([Errno 28] No space left on device). The "
        "checkpoints beside it hold the whole training. Free some space there and run the same "
        "command again."
    )
    assert_same(scored.variables, variables(train.train(SCORED, tmp_path)))
    assert best_of(tmp_path)[0] == best_of(scored.workdir)[0]


def test_a_row_of_scores_without_its_checkpoint_is_not_kept_twice(tmp_path, monkeypatch):
    """As of a run that was told to stop while it scored, then killed after its next score."""
    shared_scores, save, killed = loop.shared_scores, checkpoints.save, []

    def told_to_stop(*arguments, stopped):
        if not killed:
            os.kill(os.getpid(), signal.SIGTERM)
        return shared_scores(*arguments, stopped=stopped)

    def die(state, out):
        if killed == [True]:
            killed.append(False)
            raise KeyboardInterrupt
        save(state, out)

    monkeypatch.setattr(loop, "shared_scores", told_to_stop)
    monkeypatch.setattr(checkpoints, "save", die)
    with pytest.raises(SystemExit):
        train.train(SCORED, tmp_path)
    killed.append(True)
    with pytest.raises(KeyboardInterrupt):
        train.train(SCORED, tmp_path)
    assert [row["step"] for row in log(tmp_path, "scores.csv")] == ["2", "4"]
    train.train(SCORED, tmp_path)
    assert [row["step"] for row in log(tmp_path, "scores.csv")] == ["2", "4", "6", "8"]


def test_weights_that_are_not_finite_are_never_the_best(tmp_path, monkeypatch, scored):
    make_step, broken = loop.make_step, []

    def make_broken_step(recipe, state, *arguments):
        step = make_step(recipe, state, *arguments)

        def once_broken(*batch, last):
            answer = step(*batch, last=last)
            if int(state.step) == 1 and last and not broken:  # in the step that is scored first
                broken.append(True)
                kernel = state.model.trainable_variables[0]
                kernel.assign(kernel * np.nan)
            return answer

        return once_broken

    monkeypatch.setattr(loop, "make_step", make_broken_step)
    assert_same(scored.variables, variables(train.train(SCORED, tmp_path)))
    assert best_of(tmp_path)[0] == best_of(scored.workdir)[0]


def test_a_run_starts_from_the_workdir_of_another(tmp_path, whole, half):
    def start(folder, steps=1):
        recipe = change(
            encoder_weights=str(folder), learning_rate=1e-9, optimizer="sgd", steps=steps
        )
        return train.train(recipe, tmp_path / "run")

    kernels = [x for x in start(whole.workdir).trainable_variables if x.name == "kernel"]
    trained = [x for x in whole.variables if x.ndim == 4]
    np.testing.assert_allclose(kernels[0].numpy(), trained[0], atol=1e-6)
    killed = half.copy(tmp_path / "killed")
    with pytest.raises(
        ValueError, match=rf"killed before it wrote .* zoo train --workdir {killed}"
    ):
        train.train(change(encoder_weights=str(killed)), tmp_path / "other")
    with pytest.raises(FileNotFoundError, match=r"there is none at nowhere\. Check the path\."):
        train.train(change(encoder_weights="nowhere"), tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "has"),
    [
        ({"model": "unet", "options": {}}, "unet has no such trunk"),
        (
            {"model": "segnet", "options": {"filters": 16}},
            "with filters=64 and definition=vgg16; segnet has filters=16 and definition=vgg16.",
        ),
        ({"model": "segnet", "options": {"definition": "basic"}}, "and definition=basic. Pass"),
        (
            {"model": "unet_vgg16", "options": {"stages": [4, 4, 4, 4, 4]}},
            "unet_vgg16 has stages=[4, 4, 4, 4, 4]. Pass --encoder-weights none.",
        ),
        (
            {"model": "fcn_alexnet", "options": {}},
            "fcn_alexnet has stages=[96, 256, 384, 384, 256]",
        ),
        (
            {"model": "fcn8s", "options": {"fc_filters": 16}},
            "fcn8s has stages=[64, 128, 256, 512, 512] a",
        ),
        ({"model": "deconvnet", "options": {"stages": [1] * 5}}, "has stages=[1, 1, 1, 1, 1] and"),
    ],
)
def test_imagenet_is_for_vgg_in_its_own_widths(tmp_path, changes, has, monkeypatch):
    monkeypatch.setattr(
        recipes.data, "load", lambda name, folder, **_: pytest.fail("data were read")
    )
    recipe = change(data="folder", encoder_weights="imagenet", **changes)
    with pytest.raises(ValueError, match=re.escape(has)) as error:
        train.train(recipe, tmp_path / "run")
    assert str(error.value).endswith("Pass --encoder-weights none.")
    assert not (tmp_path / "run").exists()
    for model in ("fcn8s", "segnet"):
        models.check(change(data="folder", encoder_weights="imagenet", model=model, options={}))


def test_the_commit_is_that_of_our_own_clone_only(tmp_path, monkeypatch):
    root = pathlib.Path(environment.__file__).parents[2]
    assert environment.checkout() == root
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert environment.commit().rstrip("+") == head.stdout.strip()
    # An installed package inside somebody else's repository.
    installed = tmp_path / "venv/recipes/training/environment.py"
    installed.parent.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert environment.checkout() is None
    assert environment.commit() is None
    (tmp_path / "venv/pyproject.toml").write_text('[project]\nname = "theirs"\n')
    assert environment.checkout() is None
    (tmp_path / "venv/pyproject.toml").write_text('[project]\nname = "segmentation-zoo"\n')
    assert environment.checkout() == tmp_path / "venv"
    assert environment.commit() is None  # the repository is around it


@pytest.mark.parametrize("name", ["recipe.json", "log.csv", "checkpoints/steps.json"])
def test_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(tmp_path, half, name):
    file = half.copy(tmp_path / "run") / name
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match=rf"^{file} is (no file|damaged)"):
        train.train(RECIPE, tmp_path / "run")


def test_a_folder_in_the_place_of_the_weights_is_not_a_full_disk(tmp_path, whole):
    workdir = whole.copy(tmp_path / "run")
    weights_file = workdir / "model.weights.h5"
    weights_file.unlink()
    weights_file.mkdir()
    with pytest.raises(RunError, match="Is a directory") as error:
        train.train(RECIPE, workdir)
    assert str(error.value).endswith(
        " Move away what is in its place and run the same command again."
    )
    weights_file.rename(tmp_path / "mine")
    train.train(RECIPE, workdir)
    assert weights.are_written(workdir, 8)


def test_a_gpu_that_tensorflow_does_not_find_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(devices, "_NVIDIA", tmp_path)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    devices.choose_strategy("auto", batch_size=2)
    assert capsys.readouterr().out == (
        "TensorFlow finds no GPU, and trains without; TF_CPP_MIN_LOG_LEVEL=0 lets it say why\n"
    )
