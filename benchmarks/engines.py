"""Times the zoo's nets beside the other engines that a user would pick, on the CPU.

    pip install --editable '.[benchmarks]'
    python -m benchmarks engines --out runs/benchmarks

Each net has the same random weights in every engine, for which many classes win, and computes in
float32 on 2 threads. What is timed is from images in memory to their scores in memory.
`CONTESTANTS` lists the engines and what each reads: the zoo's own exports, of fast copies as by
default, and the files that an engine's converter makes of the same net written in plain PyTorch
(`benchmarks/torch_nets.py`).

U-Net is the default one, whose border is mirrored; at 500 × 500 its tile is exact. DeconvNet has
the windows of its authors. ncnn has no batches: it computes four images one after the other.

A contestant has a process of its own, alone on the machine, so that no other one's memory or
waiting threads count. Its first answer is compared with that of Keras, and is not timed: what
differs by more than 1e-4 of the range of the scores, or in 0.1 % of the classes, is not timed at
all. (Of DeconvNet only the classes count: rounding decides between two nearly equal values of a
pooling, and the switch carries one of them elsewhere.) Then it has three turns, and the next
contestant follows, in random order, for three rounds. The tables have medians of these nine turns.

All that was measured is kept in the folder of `--out` as it comes, and the same command goes on
where it was stopped. What could not run is not tried again, unless it was not installed.
"""

import dataclasses
import json
import pathlib
import random
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import engine_files, kept
from benchmarks.documents import report, table, write
from benchmarks.engine_files import NETS, OF_PYTORCH, Task, key_of
from exports.runtimes import process

TITLE = "Engines"
THREADS, ROUNDS, TURNS, BATCHES = 2, 3, 3, (1, 4)
MOST_DIFFERENCE, LEAST_SAME = 1e-4, 0.999
SWITCHED = ("deconvnet",)  # nets whose scores differ where a switch turns
PACKAGES = ("tensorflow", "keras", "openvino", "onnxruntime", "torch", "ncnn", "pnnx", "MNN")
FILE, PLOT = "engines.json", "engines.svg"
MISSING = "not installed"
LIMIT = 1200  # seconds for loading, and for an answer


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A form of `benchmarks.engine_files` in an engine of `benchmarks.engine_loaders`."""

    form: str
    engine: str


ZOO = "zoo, SavedModel in TensorFlow"
CONTESTANTS = {
    ZOO: Contestant("saved_model", "tensorflow"),
    "zoo, SavedModel with --exact": Contestant("exact", "tensorflow"),
    "zoo, OpenVINO": Contestant("openvino", "openvino"),
    "zoo, ONNX Runtime": Contestant("onnx", "onnx_runtime"),
    "PyTorch": Contestant("weights", "pytorch"),
    "PyTorch, channels last": Contestant("weights", "pytorch_channels_last"),
    "PyTorch, torch.compile": Contestant("weights", "pytorch_compiled"),
    "torch.onnx, OpenVINO": Contestant("torch.onnx", "openvino"),
    "torch.onnx, ONNX Runtime": Contestant("torch.onnx", "onnx_runtime"),
    "ncnn": Contestant("ncnn", "ncnn"),
    "MNN": Contestant("mnn", "mnn"),
}

# For each contestant: `seconds` of its turns, `peak` bytes, `difference` and `same`; or a `reason`.
Results = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Visit:
    """What one process of a contestant answered, and what it cost."""

    scores: np.ndarray
    seconds: list[float]
    peak: int


def visit(name: str, task: Task, folder: pathlib.Path, turns: int) -> Visit:
    """Loads a contestant, asks it once and then for each turn.

    Raises:
        RuntimeError, ValueError, OSError, ImportError: It cannot be written, loaded or asked.
    """
    contestant = CONTESTANTS[name]
    path = engine_files.write(contestant.form, task, folder)
    images = np.load(folder / engine_files.IMAGES)[: task.batch]
    first = contestant.form in OF_PYTORCH
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2) if first else images)
    order = {"engine": contestant.engine, "file": str(path), "net": task.net, "threads": THREADS}
    place = folder / "contestant.json"
    place.write_text(json.dumps(order), encoding="utf-8")
    with process.loaded(place, "benchmarks.engine_loaders", limit=LIMIT) as ask:
        answers = [ask("", {"image": images}) for _ in range(turns + 1)]
    scores = answers[0].outputs["scores"]
    scores = scores.transpose(0, 2, 3, 1) if first else scores
    return Visit(scores, [x.seconds for x in answers[1:]], answers[-1].peak_bytes)


def compared(net: str, scores: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """The difference from Keras's scores, the share of equal classes; a reason if it is too much.

    The difference is the largest one, divided by the range of the scores.
    """
    if scores.shape != expected.shape:
        return {"reason": f"scores of shape {scores.shape}, and not {expected.shape}"}
    difference = float(np.abs(scores - expected).max() / np.ptp(expected))
    same = float(np.mean(scores.argmax(-1) == expected.argmax(-1)))
    found = {"difference": difference, "same": same}
    # Written so that a NaN does not pass.
    alike = net in SWITCHED or difference <= MOST_DIFFERENCE
    if not (alike and same >= LEAST_SAME):
        said = f"scores differ by {difference:.1e} of their range, {same:.2%} same class"
        return found | {"reason": said}
    return found


def measure(task: Task, folder: pathlib.Path, found: Results, keep: Any) -> None:
    """Adds to `found` what is missing, and calls `keep()` after each visit."""
    expected = None
    order = random.Random(0)
    for turn in range(1, ROUNDS + 1):
        for name in order.sample(list(CONTESTANTS), len(CONTESTANTS)):
            result = found.setdefault(name, {"seconds": []})
            if "reason" in result or len(result["seconds"]) >= turn * TURNS:
                continue
            if expected is None:
                engine_files.write("weights", dataclasses.replace(task, batch=max(BATCHES)), folder)
                expected = np.load(folder / engine_files.SCORES)[: task.batch]
            began = time.perf_counter()
            try:
                answer = visit(name, task, folder, TURNS)
                result |= compared(task.net, answer.scores, expected)
                if "reason" not in result:
                    result["seconds"] += answer.seconds
                    result["peak"] = max(answer.peak, result.get("peak", 0))
            except ImportError as error:
                result["reason"] = f"{MISSING} ({error})"
            except (RuntimeError, ValueError, OSError) as error:
                result["reason"] = short(str(error))
            said = result.get("reason") or f"{statistics.median(result['seconds']):.3f} s"
            took = time.perf_counter() - began
            report(f"{key_of(task)}, round {turn}, {name}: {said} (visit of {took:.0f} s)")
            keep()


def short(reason: str) -> str:
    """The first 160 characters, in one line that fits into a table."""
    line = " ".join(reason.split()).replace("|", "/")
    return line if len(line) <= 160 else f"{line[:159]}…"


def run(
    out: pathlib.Path,
    *,
    nets: Sequence[str] = tuple(NETS),
    batches: Sequence[int] = BATCHES,
    narrow: bool = False,
) -> dict[str, Results]:
    """Measures what is missing in `out/engines.json`, for these nets and batches.

    Raises:
        kept.UnableError: The file was measured elsewhere, or with other versions.
    """
    from recipes.training.environment import hardware

    where = f"{hardware()}, {THREADS} threads"
    conditions = kept.conditions(where, PACKAGES, narrow=narrow)
    every, keep = kept.opened(out / FILE, conditions)
    for found in every.values():
        for name in [name for name, x in found.items() if x.get("reason", "").startswith(MISSING)]:
            del found[name]
    for net in nets:
        with kept.scratch(out) as folder:
            for batch in batches:
                task = Task(net, NETS[net], batch, narrow)
                found = every.setdefault(key_of(task), {})
                measure(task, folder, found, keep)
    return every


def complete(every: Mapping[str, Results]) -> bool:
    """Whether all nets and batches were measured, or could not be."""
    keys = {key_of(Task(net, NETS[net], batch, False)) for net in NETS for batch in BATCHES}
    return keys <= set(every) and have_their_turns(every, CONTESTANTS, ROUNDS * TURNS)


def have_their_turns(every: Mapping[str, Results], contestants: Iterable[str], turns: int) -> bool:
    """Whether all contestants had so many turns with each task, or a reason to have less."""
    names = list(contestants)
    return all(
        "reason" in found.get(name, {}) or len(found.get(name, {"seconds": ()})["seconds"]) >= turns
        for found in every.values()
        for name in names
    )


def ratios(found: Results) -> dict[str, float]:
    """The median time of each contestant that was timed, divided by that of the zoo's SavedModel.

    Empty if that one was not timed.
    """
    medians = {name: statistics.median(x["seconds"]) for name, x in found.items() if x["seconds"]}
    return {name: median / medians[ZOO] for name, median in medians.items() if ZOO in medians}


def section(every: Mapping[str, Results], folder: pathlib.Path) -> str:
    """The text about the engines; its plot is written into the folder."""
    from benchmarks import plot  # matplotlib, which only the page needs

    columns = list(every)

    def rows(cell: Any, missing: str) -> list[tuple]:
        return [
            (name, *(cell(every[key], name) or missing for key in columns)) for name in CONTESTANTS
        ]

    def ratio(found: Results, name: str) -> str:
        given = ratios(found)
        return f"{given[name]:.2f}" if name in given else ""

    def seconds(found: Results, name: str) -> str:
        times = found.get(name, {}).get("seconds")
        return f"{statistics.median(times):.3f}" if times else ""

    def peak(found: Results, name: str) -> str:
        given = found.get(name, {})
        return f"{given['peak'] / 1e9:.2f}" if given.get("seconds") else ""

    def agreement(found: Results, name: str) -> str:
        given = found.get(name, {})
        if "difference" not in given:
            return ""
        return f"{given['difference']:.0e}, {given['same']:.2%}"

    head = ("engine", *columns)
    reasons = [
        f"- {name}, {key}: {found[name]['reason']}."
        for key, found in every.items()
        for name in CONTESTANTS
        if "reason" in found.get(name, {})
    ]
    bars = {}
    for key, found in every.items():
        given = ratios(found)
        bars[key] = {name: given[name] for name in CONTESTANTS if name in given}
    write(plot.bars(bars, x_label="time / that of the zoo"), folder / PLOT)
    return TEXT.format(
        threads=THREADS,
        turns=ROUNDS * TURNS,
        ratios=table(head, *rows(ratio, "–")),
        seconds=table(head, *rows(seconds, "–")),
        peak=table(head, *rows(peak, "–")),
        agreement=table(head, *rows(agreement, "–")),
        reasons="\n".join(reasons) or "All were timed.",
    )


TEXT = """\
The same net with the same random weights in each engine: the authors' widths, float32, {threads}
threads, one process at a time, medians of {turns} turns. `zoo` reads what `zoo export` writes, with
scores in the place of the class map; `torch.onnx`, ncnn and MNN read what their converters make of
the same net written in PyTorch. The first table has the time divided by that of the zoo's
SavedModel: below 1 is faster.

{ratios}

![time of each engine, divided by that of the zoo's SavedModel](images/engines.svg)

### Seconds

{seconds}

### Peak memory of the process, in GB

{peak}

### Answers beside those of Keras

The largest difference divided by the range of the scores, and the share of pixels with the same
class.

{agreement}

### Not timed

{reasons}
"""
