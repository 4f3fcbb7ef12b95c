"""Small versions of `python -m tests.faults`, and what it rests on."""

import keras
import tensorflow as tf

from recipes import checkpoints, data
from recipes.data import pipeline, shapes


def test_a_process_that_reads_checkpoints_leaves_one_that_another_writes_alone(tmp_path):
    optimizer = keras.optimizers.SGD(0.1)
    state = checkpoints.State(keras.Sequential([keras.Input((1,))]), optimizer)
    checkpoints.save(state, tmp_path)
    unfinished = tmp_path / "ckpt-2_temp"
    unfinished.mkdir()
    checkpoints.resume(state, tmp_path)
    assert unfinished.exists()
    checkpoints.sweep(tmp_path)
    assert not unfinished.exists()
    assert checkpoints.steps(tmp_path) == [0]


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
