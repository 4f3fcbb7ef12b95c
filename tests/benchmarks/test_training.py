"""The benchmark of a training step compares losses before it times, and says what differs."""

import dataclasses
import json

import pytest

from benchmarks import training, training_step
from zoo.registry import describe

FALLING = [3.0, 2.0, 1.0]


def test_equal_losses_that_fall_are_timed():
    losses = {training.ZOO: FALLING, "PyTorch NCHW": [3.0, 2.0, 1.003]}
    assert training.check_equal(losses) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (FALLING, [3.0, 2.0, 1.01], "the losses after 20 steps differ: zoo 1, PyTorch NCHW 1.01"),
        (
            FALLING,
            [3.0, 2.0, float("nan")],
            "the losses after 20 steps differ: zoo 1, PyTorch NCHW nan",
        ),
        ([1.0, 1.0], [1.0, 1.0], "the loss did not fall: 1, then 1"),
    ],
)
def test_other_losses_are_not_timed(ours, theirs, message, monkeypatch, capsys):
    losses = {training.ZOO: ours, "PyTorch NCHW": theirs}
    monkeypatch.setattr(training, "losses_of", lambda *given: losses)
    monkeypatch.setattr(training, "timed", lambda *given, **options: pytest.fail("timed"))
    assert training.main(["--nets", "unet"]) == 1
    assert f"unet: {message}. Nothing is timed." in capsys.readouterr().err


def test_a_row_has_the_ratio_to_the_better_layout():
    times = {training.ZOO: (2.0, 10**9), training.PEERS[0]: (4.0, 1), training.PEERS[1]: (3.0, 1)}
    assert training.row("fcn8s", times, 1e-5, "1×320²") == (
        *("fcn8s 1×320²", "2.00 s, 1.00 GB", "4.00 s, 0.00 GB", "3.00 s, 0.00 GB"),
        *("1.50", "1.5: yes", "1e-05"),
    )
    times[training.ZOO] = (2.1, 1)
    assert training.row("fcn8s", times, 1e-5, "1×320²")[-2] == "1.5: no"


def test_a_contestant_takes_steps_in_a_process_of_its_own(tmp_path, monkeypatch):
    tiny = {"filters": 2, "depth": 1}
    net = dataclasses.replace(training.NETS["unet"], small=(1, 20), narrow=tiny)
    monkeypatch.setitem(training.NETS, "unet", net)
    training.write_task("unet", tmp_path, full=False)
    assert json.loads((tmp_path / "task.json").read_text())["options"]["depth"] == 1
    with training.started(training.ZOO, tmp_path, "no python") as contestant:
        losses, seconds, peaks = zip(*(contestant.step() for _ in range(6)), strict=True)
    assert losses[-1] < losses[0]
    assert min(seconds) > 0
    assert peaks[-1] > 50e6


def test_a_contestant_that_ends_is_named(tmp_path):
    with (
        training.started(training.ZOO, tmp_path, "no python") as contestant,
        pytest.raises(RuntimeError, match=r"training_step zoo .* ended without an answer"),
    ):
        contestant.step()


def test_few_turns_are_refused(capsys):
    with pytest.raises(SystemExit):
        training.main(["--turns", "4"])
    assert "the median needs 5 turns or more; received --turns 4" in capsys.readouterr().err


def test_the_names_are_those_of_the_zoo_and_of_the_processes():
    assert {*(training.ZOO, training.EXACT, training.RECOMPUTING, *training.PEERS)} == set(
        training_step.CONTESTANTS
    )
    for name, net in training.NETS.items():
        assert set(net.narrow) <= set(describe(name).options)
