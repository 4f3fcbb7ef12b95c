"""A run in a process of its own that is stopped, killed and started again."""

import pathlib
import shlex
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

import zoo
from zoo import workdir

ROOT = pathlib.Path(__file__).parents[3]
OPTIONS = """--steps 400 --save-every 20 --log-every 100 --crop 16 --batch-size 1
    --options '{"filters": 2, "depth": 1}'"""


def start(workdir, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "recipes", *words, "--workdir", workdir],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process, text):
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the run ended without {text!r}")


def weights(workdir):
    found = {}
    with h5py.File(workdir / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]} if hasattr(item, "dtype") else {})
        )
    return found


def test_stopped_and_killed_runs_end_in_the_numbers_of_one_that_was_not(tmp_path):
    new = ("coins_unet", *shlex.split(OPTIONS))
    whole = start(tmp_path / "whole", *new)
    parts = start(tmp_path / "parts", *new)
    read_until(parts, "step 1 of 400")
    parts.send_signal(signal.SIGINT)
    out, _ = parts.communicate(timeout=120)
    assert parts.returncode == 130
    assert "stopping after this step, then saving" in out
    assert "of 400. Resume it with:" in out
    command = out.partition("Resume it with:\n")[2].strip()
    assert command == f"zoo train --workdir {tmp_path}/parts"
    (step,) = workdir.steps(tmp_path / "parts")[:1]
    assert workdir.read_recipe(tmp_path / "parts")["weights"]["step"] == step
    loaded = zoo.load(tmp_path / "parts")
    assert loaded.spec.class_names == ("background", "coin")

    killed = start(tmp_path / "parts")
    read_until(killed, "going on from step")
    before = set((tmp_path / "parts/checkpoints").glob("*.index"))
    while not set((tmp_path / "parts/checkpoints").glob("*.index")) - before:
        assert killed.poll() is None, "it was over before it was killed"
        time.sleep(0.01)
    killed.kill()
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL

    # The command that the first one named, word for word.
    words = [sys.executable, "-m", *shlex.split(command)]
    last = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert last.returncode == 0, last.stderr
    assert "going on from step" in last.stdout
    whole.communicate(timeout=120)
    assert whole.returncode == 0
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert expected.keys() == found.keys()
    assert len(expected) > 10
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_run_whose_output_ends_goes_on_and_a_hangup_stops_it_saved(tmp_path):
    run = start(tmp_path / "run", "coins_unet", *shlex.split(OPTIONS))
    read_until(run, "step 1 of 400")
    run.stdout.close()  # as `| head` does; its standard error goes there too
    while not [step for step in workdir.steps(tmp_path / "run") if step >= 40]:
        assert run.poll() is None, "it ended with its output"
        time.sleep(0.05)
    run.send_signal(signal.SIGHUP)
    assert run.wait(120) == 128 + signal.SIGHUP
    (step,) = workdir.steps(tmp_path / "run")[:1]
    assert workdir.read_recipe(tmp_path / "run")["weights"]["step"] == step
    rows = (tmp_path / "run/log.csv").read_text().splitlines()
    assert len(rows) == 1 + step // 100
