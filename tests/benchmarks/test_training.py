"""A training step is timed where the losses are equal; what fails is a reason."""

import json
import sys

import pytest

from benchmarks import kept, random_nets, training, training_files, training_step
from benchmarks.engine_files import Task
from benchmarks.training import CONTESTANTS, EXACT, ZOO
from zoo.registry import describe

FALLING = [3.0, 2.0, 1.0]
KEY = "unet, 260 × 260, batch 2"
NARROW = Task("unet", 100, 1, True)
TOY = Task("unet", 20, 1, True)


def test_a_contestant_takes_steps_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(random_nets.NARROW, "unet", {"filters": 2, "depth": 1})
    training_files.main(["unet", str(tmp_path), "--size", "20", "--batch", "1", "--narrow"])
    assert json.loads((tmp_path / training_files.TASK).read_text())["options"]["depth"] == 1
    answer = training.visit(ZOO, TOY, tmp_path, 6)
    assert len(answer["losses"]) == len(answer["seconds"]) == 6
    assert answer["losses"][-1] < answer["losses"][0]
    assert min(answer["seconds"]) > 0
    assert 50e6 < answer["peak"] < 5e9


def test_pytorch_takes_the_same_steps(tmp_path):
    pytest.importorskip("torch")
    ours, theirs = (
        training.visit(name, NARROW, tmp_path, 3)["losses"] for name in (ZOO, "PyTorch NCHW")
    )
    assert theirs == pytest.approx(ours, rel=1e-3)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("raise TypeError('no such layer')", "TypeError: no such layer"),
        ("import sys; sys.exit(3)", "its process ended with 3"),
        ("import time; time.sleep(60)", "its process did not end within 1 s"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "its process was killed by signal 9. The system kills what takes too much memory: "
            "free some memory",
        ),
    ],
)
def test_a_process_that_fails_says_why(monkeypatch, code, text):
    run = training.subprocess.run
    monkeypatch.setattr(training, "LIMIT", 1 if "sleep" in code else 60)
    monkeypatch.setattr(
        training.subprocess,
        "run",
        lambda command, **options: run([command[0], "-c", code], **options),
    )
    with pytest.raises(RuntimeError) as raised:
        training.answer_of("training_step", ZOO)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([3.0, 2.0, 1.003], None),
        ([3.0, 2.0, 1.01], "its loss after 20 steps is 1.01, and not 1 as that of zoo --no-fast"),
        ([3.0, 2.0, float("nan")], "its loss did not fall: 3, then nan"),
        ([1.0, 1.0], "its loss did not fall: 1, then 1"),
    ],
)
def test_other_losses_do_not_count(losses, reason):
    found = training.compared(losses, FALLING)
    assert found["losses"] == losses
    assert found.get("reason") == reason


@pytest.fixture
def stand_ins(monkeypatch):
    """The seconds of each contestant, or what it raises, without a process; and who was asked."""
    said = dict.fromkeys(CONTESTANTS, 2.0)
    asked = []

    def visit(name, task, folder, steps):
        asked.append((name, task, steps))
        if isinstance(said[name], BaseException):
            raise said[name]
        if steps == training.STEPS + 1:
            return {"losses": FALLING, "seconds": [], "peak": 1}
        seconds = [99.0, 99.0, *(said[name] * factor for factor in (1, 0.5, 9))]
        return {"losses": [], "seconds": seconds, "peak": 5_000_000_000}

    monkeypatch.setattr(training, "visit", visit)
    monkeypatch.setattr(training, "find_spec", lambda name: name)
    return said, asked


def test_contestants_take_turns_and_medians_are_compared(stand_ins, tmp_path):
    said, asked = stand_ins
    said["PyTorch NCHW"] = 5.0
    every = training.run(tmp_path, nets=["unet"])
    compared, timed = asked[: len(CONTESTANTS)], asked[len(CONTESTANTS) :]
    assert compared[0] == (EXACT, NARROW, 21)
    assert {(task, steps) for _, task, steps in compared} == {(NARROW, 21)}
    assert {(task, steps) for _, task, steps in timed} == {(Task("unet", 260, 2, False), 5)}
    rounds = [tuple(name for name, *_ in timed[start : start + 5]) for start in (0, 5, 10)]
    assert {tuple(sorted(turn)) for turn in rounds} == {tuple(sorted(CONTESTANTS))}
    assert len(set(rounds)) > 1
    assert every[KEY][ZOO]["seconds"] == [2.0, 1.0, 18.0] * 3  # without the two that warm up
    text = training.section(every, tmp_path)
    assert f"| contestant | {KEY} |" in text
    for cell in ("2.50", "5.000", "5.00", "0e+00, 7e-01"):
        assert f"| PyTorch NCHW | {cell} |" in text
    assert text.endswith("All were timed.\n")


def test_the_page_needs_all_nets_with_their_own_batches(stand_ins, tmp_path):
    assert not training.complete(training.run(tmp_path, nets=["unet", "fcn8s"]))
    assert training.complete(training.run(tmp_path))


def test_other_batches_take_the_place_of_a_net_s_own(stand_ins, tmp_path):
    other = training.run(tmp_path, batches=[4])
    assert set(other) == {
        *("fcn8s, 320 × 320, batch 4", "deconvnet, 224 × 224, batch 4"),
        "unet, 260 × 260, batch 4",
    }
    assert not training.complete(other)


def test_a_failure_is_a_line_and_is_not_tried_again(stand_ins, tmp_path):
    said, asked = stand_ins
    said["zoo --recompute"] = RuntimeError("its process was | killed\nby signal 9")
    every = training.run(tmp_path, nets=["unet"])
    text = training.section(every, tmp_path)
    assert f"- zoo --recompute, {KEY}: its process was / killed by signal 9." in text
    assert "| zoo --recompute | – |" in text
    assert [name for name, *_ in asked].count("zoo --recompute") == 1
    asked.clear()
    training.run(tmp_path, nets=["unet"])
    assert asked == []


def test_what_ended_after_some_rounds_has_no_median(stand_ins, tmp_path):
    every = training.run(tmp_path, nets=["unet"])
    every[KEY][ZOO]["reason"] = "its process ended with 1"
    assert ZOO not in training.medians(every[KEY])
    text = training.section(every, tmp_path)
    assert f"| {ZOO} | 2.000 |" not in text
    assert "| PyTorch NCHW | – |" in text  # no ratio without the zoo
    assert "| PyTorch NCHW | 2.000 |" in text


def test_nothing_is_timed_without_the_losses_of_the_definition(stand_ins, tmp_path):
    said, asked = stand_ins
    said[EXACT] = RuntimeError("its process ended with 1")
    found = training.run(tmp_path, nets=["unet"])[KEY]
    reason = "its losses are compared with those of zoo --no-fast, which has none"
    assert {one["reason"] for name, one in found.items() if name != EXACT} == {reason}
    assert {steps for *_, steps in asked} == {21}


def test_what_was_stopped_goes_on(stand_ins, tmp_path):
    said, asked = stand_ins
    said["PyTorch NCHW"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        training.run(tmp_path, nets=["unet"])
    assert [path.name for path in tmp_path.iterdir()] == [training.FILE]
    before = list(asked)
    said["PyTorch NCHW"] = 2.0
    training.run(tmp_path, nets=["unet"])
    assert before[-1] == asked[len(before)] == ("PyTorch NCHW", NARROW, 21)
    assert len(asked) == 5 + 3 * 5 + 1


def test_pytorch_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(kept.UnableError, match=r'pip install "segmentation-zoo\[benchmarks\]"\.$'):
        training.run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_results_of_other_versions_are_not_mixed(stand_ins, tmp_path):
    training.run(tmp_path, nets=["unet"])
    with pytest.raises(kept.UnableError, match=r"Pass another --out\.$"):
        training.run(tmp_path, nets=["unet"], narrow=True)


def test_the_narrow_nets_have_options_of_the_zoo():
    assert {ZOO, EXACT} <= set(training_step.CONTESTANTS)
    for name in training.NETS:
        assert set(random_nets.NARROW[name]) <= set(describe(name).options)
