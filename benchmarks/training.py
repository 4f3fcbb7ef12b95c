"""Times a training step of three nets in the zoo and in PyTorch.

    pip install --editable '.[benchmarks]'
    python -m benchmarks training --out runs/benchmarks

A step is the forward and the backward pass and SGD with momentum, in float32 on 2 threads, of nets
in the authors' widths with the same random weights, on the same images of random pixels. Dropout is
off in all: engines draw numbers of their own. The contestants:

    zoo                    the step of `zoo train`, which also looks at every gradient for a NaN
    zoo --no-fast          the same, its convolutions as they are defined
    zoo --recompute        the same as the first, with features computed again
    PyTorch NCHW           torch_nets.py, as PyTorch stores images by default
    PyTorch channels last  the same, stored as the zoo stores them

Before anything is timed, narrow nets take 20 steps in all of them. A contestant whose loss does not
fall, or differs from that of `zoo --no-fast` by more than 0.001 of its first loss, is not timed.

A contestant has a process of its own, alone on the machine: a step holds up to 7 GB. Two steps do
not count, because the first one builds the graph; three follow that count, and then the next
contestant, in random order, for three rounds. The tables have medians of these nine steps, and the
peak memory of the process with all that it had loaded.

Each net has a batch of its own, for which the page is written; `--batch` takes other ones in its
place. What could not run is not tried again.
"""

import json
import pathlib
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from benchmarks import kept
from benchmarks.documents import report, table
from benchmarks.engine_files import Task, key_of
from benchmarks.engines import LIMIT, have_their_turns, short
from benchmarks.training_files import NETS, TASK
from benchmarks.training_step import CONTESTANTS, THREADS

TITLE = "A training step beside PyTorch"
FILE, ROUNDS, TURNS, WARM_UP = "training.json", 3, 3, 2
BATCHES = ()  # each net has its own
STEPS, TOLERANCE = 20, 1e-3
ZOO, EXACT = "zoo", "zoo --no-fast"
PACKAGES = ("tensorflow", "keras", "torch")
NO_PYTORCH = (
    "A training step is timed beside PyTorch, which is not installed. Install it: "
    'pip install "segmentation-zoo[benchmarks]".'
)

# For each contestant the `losses` of the narrow net and their `difference` from those of EXACT, the
# `seconds` of the steps that count and the `peak` bytes; or a `reason`.
Results = dict[str, dict[str, Any]]


def answer_of(module: str, *words: str) -> str:
    """What a module of this folder prints, in a process of its own.

    Raises:
        RuntimeError: It failed, was killed, or took too long; the message says why.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    root = pathlib.Path(__file__).parents[1]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"its process did not end within {LIMIT} s") from error
    if run.returncode < 0:
        raise RuntimeError(
            f"its process was killed by signal {-run.returncode}. The system kills what takes too "
            "much memory: free some memory"
        )
    if run.returncode:
        said = run.stderr.strip().splitlines() or [f"its process ended with {run.returncode}"]
        raise RuntimeError(said[-1])
    return run.stdout


def written(task: Task, folder: pathlib.Path) -> None:
    """Writes what the contestants read, unless it is there.

    Raises:
        RuntimeError: As `answer_of`.
    """
    if not (folder / TASK).exists():
        words = [task.net, str(folder), "--size", str(task.size), "--batch", str(task.batch)]
        answer_of("training_files", *words, *["--narrow"] * task.narrow)


def visit(name: str, task: Task, folder: pathlib.Path, steps: int) -> dict[str, Any]:
    """The `losses` before each step, the `seconds` of each, and the `peak` bytes of a contestant.

    Raises:
        RuntimeError: As `answer_of`.
    """
    written(task, folder)
    return json.loads(answer_of("training_step", name, str(folder), str(steps)))


def compared(losses: Sequence[float], expected: Sequence[float]) -> dict[str, Any]:
    """The difference of the last losses, as a share of the first; a reason if it is too much."""
    difference = abs(losses[-1] - expected[-1]) / expected[0]
    found = {"losses": list(losses), "difference": difference}
    # Written so that a NaN does not pass.
    if not losses[-1] < losses[0]:
        said = f"its loss did not fall: {losses[0]:.6g}, then {losses[-1]:.6g}"
        return found | {"reason": said}
    if not difference <= TOLERANCE:
        said = f"{losses[-1]:.6g}, and not {expected[-1]:.6g} as that of {EXACT}"
        return found | {"reason": f"its loss after {STEPS} steps is {said}"}
    return found


def compare(task: Task, folder: pathlib.Path, found: Results, keep: Callable[[], None]) -> None:
    """Adds to `found` the losses of a narrow net that are missing."""
    for name in (EXACT, *CONTESTANTS):
        if name in found:
            continue
        result = {"seconds": []}
        try:
            losses = visit(name, task, folder, STEPS + 1)["losses"]
            expected = losses if name == EXACT else found[EXACT].get("losses")
            if expected is None:
                raise RuntimeError(f"its losses are compared with those of {EXACT}, which has none")
            result |= compared(losses, expected)
        except RuntimeError as error:
            result["reason"] = short(str(error))
        found[name] = result
        said = result.get("reason") or f"the losses differ by {result['difference']:.0e}"
        report(f"{key_of(task)}, {STEPS} steps of a narrow net, {name}: {said}")
        keep()


def measure(task: Task, folder: pathlib.Path, found: Results, keep: Callable[[], None]) -> None:
    """Adds to `found` the seconds that are missing, and calls `keep()` after each visit."""
    order = random.Random(0)
    for turn in range(1, ROUNDS + 1):
        for name in order.sample(list(CONTESTANTS), len(CONTESTANTS)):
            result = found[name]
            if "reason" in result or len(result["seconds"]) >= turn * TURNS:
                continue
            try:
                answer = visit(name, task, folder, WARM_UP + TURNS)
                result["seconds"] += answer["seconds"][WARM_UP:]
                result["peak"] = max(answer["peak"], result.get("peak", 0))
            except RuntimeError as error:
                result["reason"] = short(str(error))
            said = result.get("reason") or f"{statistics.median(result['seconds']):.3f} s"
            report(f"{key_of(task)}, round {turn}, {name}: {said}")
            keep()


def run(
    out: pathlib.Path,
    *,
    nets: Sequence[str] = tuple(NETS),
    batches: Sequence[int] = BATCHES,
    narrow: bool = False,
) -> dict[str, Results]:
    """Measures what is missing in `out/training.json`, for these nets and batches.

    Raises:
        kept.UnableError: PyTorch is not installed; or the file was measured elsewhere, or with
            other versions.
    """
    if find_spec("torch") is None:
        raise kept.UnableError(NO_PYTORCH)
    from recipes.training.environment import hardware

    where = f"{hardware()}, {THREADS} threads"
    conditions = kept.conditions(where, PACKAGES, narrow=narrow)
    every, keep = kept.opened(out / FILE, conditions)
    for net in nets:
        images, side = NETS[net].batch
        small_images, small_side = NETS[net].small
        for batch in batches or (images,):
            task = Task(net, side, batch, narrow)
            found = every.setdefault(key_of(task), {})
            with kept.scratch(out) as folder:
                compare(Task(net, small_side, small_images, True), folder, found, keep)
            with kept.scratch(out) as folder:
                measure(task, folder, found, keep)
    return every


def complete(every: Mapping[str, Results]) -> bool:
    """Whether all nets were measured with their own batches, or could not be."""
    keys = {key_of(Task(net, x.batch[1], x.batch[0], False)) for net, x in NETS.items()}
    return keys <= set(every) and have_their_turns(every, CONTESTANTS, ROUNDS * TURNS)


def medians(found: Results) -> dict[str, float]:
    """The median seconds of a step of each contestant that was timed."""
    return {
        name: statistics.median(one["seconds"])
        for name, one in found.items()
        if one["seconds"] and "reason" not in one
    }


def section(every: Mapping[str, Results], folder: pathlib.Path) -> str:
    """The text about the training step; it has no plots."""

    def shown(cell: Callable[[Results, str], str]) -> str:
        rows = [(name, *(cell(found, name) for found in every.values())) for name in CONTESTANTS]
        return table(("contestant", *every), *rows)

    def ratio(found: Results, name: str) -> str:
        times = medians(found)
        return f"{times[name] / times[ZOO]:.2f}" if {name, ZOO} <= set(times) else "–"

    def seconds(found: Results, name: str) -> str:
        times = medians(found)
        return f"{times[name]:.3f}" if name in times else "–"

    def peak(found: Results, name: str) -> str:
        return f"{found[name]['peak'] / 1e9:.2f}" if name in medians(found) else "–"

    def difference(found: Results, name: str) -> str:
        one = found.get(name, {})
        if "difference" not in one:
            return "–"
        return f"{one['difference']:.0e}, {1 - one['losses'][-1] / one['losses'][0]:.0e}"

    reasons = [
        f"- {name}, {key}: {one['reason']}."
        for key, found in every.items()
        for name, one in found.items()
        if "reason" in one
    ]
    return TEXT.format(
        threads=THREADS,
        turns=ROUNDS * TURNS,
        steps=STEPS,
        tolerance=TOLERANCE,
        exact=EXACT,
        ratios=shown(ratio),
        seconds=shown(seconds),
        peak=shown(peak),
        differences=shown(difference),
        reasons="\n".join(reasons) or "All were timed.",
    )


TEXT = """\
Forward and backward pass and SGD with momentum, of the same net with the same random weights and
images: the authors' widths without dropout, float32, {threads} threads, one process at a time,
medians of {turns} steps. `zoo` is the step of `zoo train`, also with its options `--no-fast` and
`--recompute`; PyTorch has the same net written in PyTorch, in both layouts of its images. The first
table has the time divided by that of the zoo: below 1 is faster.

{ratios}

### Seconds of a training step

{seconds}

### Peak memory of the training process, in GB

{peak}

### Losses

Before it was timed, each contestant took {steps} steps of a narrow net with small images. The table
has the difference of its last loss from that of `{exact}`, and how far its own loss fell, both
divided by the first loss. Up to a difference of {tolerance} the losses count as equal. Where the
loss fell no further than that, the comparison says little.

{differences}

### Training steps that were not timed

{reasons}
"""
