"""Small versions of `python -m tests.faults`, and what it rests on."""

import collections
import pathlib

import keras
import pytest
import tensorflow as tf
from tensorflow.python.ops import gen_io_ops

from recipes import data
from recipes.data import pipeline
from recipes.data.sets import shapes
from recipes.training import checkpoints
from recipes.training.recipe import RunError
from tests.faults import __main__ as faults
from tests.faults import checks
from tests.faults.field import Field
from tests.faults.jobs import FaultError
from zoo import workdir


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    return Field(tmp_path_factory.mktemp("faults"))


def test_a_run_of_two_workers_of_which_one_is_killed_ends_as_one_that_was_not(field):
    """Of one process `test_stop.py` kills; all nets and points are in the whole program."""
    checks.killed(field, "unet", "workers", "save")


def test_a_row_that_fails_is_told(field):
    def fail():
        raise FaultError("another hash")

    assert faults.checked(faults.Row("a row", fail)) == (False, "FAILED: another hash")
    names = {row.name for row in faults.kill_rows(field)}
    assert len(names) == 45
    found = dict.fromkeys(names, (True, "from 4")) | {"unet, workers, save": (False, "FAILED: no")}
    table = faults.kill_table(found)
    assert table.count("from 4") == 44
    assert "| unet, two workers | from 4 | from 4 | from 4 | from 4 | **FAILED: no** |" in table


def test_the_document_has_every_row():
    text, rows = faults.DOCUMENT.read_text(encoding="utf-8"), faults.other_rows(None)
    assert f"**{45 + len(rows)} of {45 + len(rows)} rows are as they have to be.**" in text
    assert text.count("\n| ") == 1 + 9 + 1 + len(rows)
    for row in rows:
        assert f"\n| {row.name} | " in text


def test_a_full_disk_is_told_with_the_bytes_that_are_missing(tmp_path, monkeypatch):
    """The index of the checkpoint is left behind half written, and must not pass for one."""
    optimizer = keras.optimizers.SGD(0.1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1000)])
    state = checkpoints.State(model, optimizer)
    checkpoints.save(state, tmp_path)

    def full(prefixes, destination, **options):
        pathlib.Path(f"{destination.numpy().decode()}.index").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(gen_io_ops, "merge_v2_checkpoints", full)
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder: usage(1000))
    state.step.assign(2)
    with pytest.raises(RunError) as error:
        checkpoints.save(state, tmp_path)
    # 1000 kernels and 1000 biases in float32; SGD's two numbers, four of the run.
    assert (
        "(No space left on device): it needs 8,044 bytes at least, and 7,044 are missing. That of "
        "step 0 is intact. Free some space there"
    ) in str(error.value)
    assert workdir.steps(tmp_path) == [0]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


def test_a_full_disk_while_a_step_is_saved_again_keeps_what_was_there(tmp_path, monkeypatch):
    """As of a run that was stopped, resumed, and saves the same step once more."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)])
    state = checkpoints.State(model, keras.optimizers.SGD(0.1))
    state.step.assign(8)
    checkpoints.save(state, tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / "checkpoints").iterdir()}
    merge = gen_io_ops.merge_v2_checkpoints

    def full(*arguments, **options):
        merge(*arguments, **options)
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(gen_io_ops, "merge_v2_checkpoints", full)
    with pytest.raises(RunError, match="That of step 8 is intact"):
        checkpoints.save(state, tmp_path)
    assert before == {file: file.read_bytes() for file in (tmp_path / "checkpoints").iterdir()}


def test_of_an_error_that_tensorflow_reports_its_reason_is_shown():
    message = (
        "Graph execution error:\n\nDetected at node Sum defined at (most recent call last):\n"
        '  File "train.py", line 45, in main\n\n'
        "{{function_node __wrapped__Sum}} A worker is gone: it has crashed.\nRestart.\n"
    )
    reason = checkpoints.first_line(tf.errors.UnavailableError(None, None, message))
    assert reason == "A worker is gone: it has crashed."
    assert checkpoints.first_line(IndexError()) == "IndexError"


def test_batches_bring_no_thread_that_a_run_waits_for_when_it_ends(tmp_path):
    shapes.write(tmp_path / "shapes", train=2, val=1)
    parts = pipeline.batches(
        data.load("shapes", tmp_path)["train"], batch_size=1, first=0, last=2, seed=0, crop=16
    )
    assert parts.options().autotune.enabled is False
    assert len(list(parts)) == 2
