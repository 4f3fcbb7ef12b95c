"""Times a training step of three nets in the zoo and in PyTorch.

    python -m benchmarks.training
    python -m benchmarks.training --nets unet --turns 9 --exact

Forward and backward pass and SGD with momentum, in float32 on two threads, of nets in the authors'
widths with the same random weights, on the same images of random pixels. Dropout is off in all:
engines draw numbers of their own. The contestants:

    zoo                    the step of `zoo train`, which also looks at every gradient for a NaN
    zoo --no-fast          the same, its convolutions as they are defined, with --exact
    zoo --recompute        the same, with --recompute
    PyTorch NCHW           torch_nets.py, as PyTorch stores images by default
    PyTorch channels last  the same, stored as the zoo stores them

Before anything is timed, narrow nets take 20 steps in all of them: their losses have to be equal to
0.001 of the first one's, and to fall; otherwise the exit code is 1. Each contestant is a process of
its own. They take turns, in random order, so that a busy moment of the machine affects all of them;
two turns come before those that count. The table has the medians in seconds, and the peak memory
of each process with all that it had loaded.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.parity import report, table
from benchmarks.training_step import THREADS

ROOT = pathlib.Path(__file__).parents[1]
STEPS, TOLERANCE = 20, 1e-3
ZOO, EXACT, RECOMPUTING = "zoo", "zoo --no-fast", "zoo --recompute"
PEERS = ("PyTorch NCHW", "PyTorch channels last")
CLASSES = 21
WARM_UP = 2  # turns: the first step builds the graph


@dataclasses.dataclass(frozen=True)
class Net:
    """A net, a batch `(images, side)` in full and in small, and how many times faster it has to be.

    The sides of U-Net are those of its tiles: 256² is computed on the tile of 260². PyTorch mirrors
    no more pixels than there are: 92, so its small side is larger. In DeconvNet an image of 224²
    ends in one pixel, and the normalization of two numbers is 1 and -1, which of them is a matter
    of rounding: so its small side is larger, too. Its gradients at random weights are so large that
    with larger rates the losses of PyTorch's two layouts differ from each other.
    """

    batch: tuple[int, int]
    small: tuple[int, int]
    narrow: dict[str, Any]
    learning_rate: float
    mark: float
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


# Narrow, but wide enough that some convolutions have their fast forms.
_VGG = {"stages": (8, 12, 128, 128, 128), "fc_filters": 256}
NETS = {
    "fcn8s": Net((1, 320), (1, 64), _VGG, 3e-5, 1.5),
    "deconvnet": Net((2, 224), (2, 288), _VGG, 1e-8, 1.5),
    "unet": Net((2, 260), (1, 100), {"filters": 16}, 1e-2, 1.3, {"channels": 3, "dropout": 0.0}),
}


class DifferenceError(Exception):
    """Two contestants compute different losses."""


class Contestant:
    """A process that takes a step when it is asked."""

    def __init__(self, process: subprocess.Popen):
        self.process = process

    def step(self) -> tuple[float, float, int]:
        """The loss before a step, its seconds, and the peak memory of the process in bytes."""
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} ended without an answer")
        return tuple(json.loads(line))


@contextlib.contextmanager
def started(name: str, folder: pathlib.Path, python: str) -> Iterator[Contestant]:
    """A contestant on the files of a folder; `python` runs those that are not the zoo's."""
    own = python if name in PEERS else sys.executable
    words = [own, "-m", "benchmarks.training_step", name, str(folder)]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
    ) as process:
        try:
            yield Contestant(process)
        finally:
            process.stdin.close()


def write_task(name: str, folder: pathlib.Path, *, full: bool) -> None:
    """Writes a net's task, its random weights and a batch."""
    import zoo

    net = NETS[name]
    options = {"classes": CLASSES} | net.options | ({} if full else net.narrow)
    model, rng = zoo.build(name, **options), np.random.default_rng(1)
    weights = {}
    for layer in model.layers:
        for variable in layer.weights:
            value = np.array(variable.value)
            if variable.name == "kernel" and variable.trainable:
                incoming = math.prod(variable.shape[:3])
                value = rng.standard_normal(variable.shape, "float32") * math.sqrt(2 / incoming)
                if layer.name == "conv1_1":  # whose image has values up to 255
                    value /= 64
            weights[f"{layer.name}/{variable.name}"] = value.astype("float32")
    images, side = net.batch if full else net.small
    pixels = rng.integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    labels = (pixels[..., 0] // 13).astype(np.uint8)
    np.savez(folder / "weights.npz", **weights)
    np.savez(folder / "batch.npz", images=pixels, labels=labels)
    task = {"net": name, "options": options, "learning_rate": net.learning_rate}
    (folder / "task.json").write_text(json.dumps(task))


def check_equal(losses: dict[str, list[float]]) -> float:
    """The largest difference of the last losses, as a share of the zoo's first.

    Raises:
        DifferenceError: It is above the tolerance, or the zoo's loss did not fall.
    """
    first, *_, last = losses[ZOO]
    if not last < first:
        raise DifferenceError(f"the loss did not fall: {first:g}, then {last:g}")
    off = float(np.max([abs(theirs[-1] - last) / first for theirs in losses.values()]))  # keeps NaN
    if not off <= TOLERANCE:
        found = ", ".join(f"{name} {values[-1]:.6g}" for name, values in losses.items())
        raise DifferenceError(f"the losses after {STEPS} steps differ: {found}")
    return off


def losses_of(name: str, contestants: list[str], python: str) -> dict[str, list[float]]:
    """The losses of a narrow net, one contestant after the other."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write_task(name, pathlib.Path(folder), full=False)
        for one in contestants:
            with started(one, pathlib.Path(folder), python) as contestant:
                found[one] = [contestant.step()[0] for _ in range(STEPS + 1)]
    return found


def timed(
    name: str, contestants: list[str], python: str, *, turns: int, full: bool
) -> dict[str, tuple[float, int]]:
    """The median seconds of a step and the peak memory in bytes of each contestant."""
    seconds, peaks = {one: [] for one in contestants}, {}
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_task(name, pathlib.Path(folder), full=full)
        running = {
            one: stack.enter_context(started(one, pathlib.Path(folder), python))
            for one in contestants
        }
        for turn in range(-WARM_UP, turns):
            for one in order.sample(contestants, len(contestants)):
                _, took, peaks[one] = running[one].step()
                if turn >= 0:
                    seconds[one].append(took)
                report(f"{name}, turn {turn + 1} of {turns}: {one} {took:.3f} s")
    return {one: (statistics.median(seconds[one]), peaks[one]) for one in contestants}


def row(name: str, times: dict[str, tuple[float, int]], off: float, size: str) -> tuple:
    """A row of the table."""
    best = min(times[peer][0] for peer in PEERS)
    ours = [(one, best / times[one][0]) for one in times if one not in PEERS]
    ratios = ", ".join(f"{ratio:.2f}" for _, ratio in ours)
    reached = "yes" if max(ratio for _, ratio in ours) >= NETS[name].mark else "no"
    cells = [f"{seconds:.2f} s, {peak / 1e9:.2f} GB" for seconds, peak in times.values()]
    return (
        f"{name} {size}",
        *cells,
        ratios,
        f"{NETS[name].mark}: {reached}",
        f"{off:.0e}",
    )


def main(arguments: list[str] | None = None) -> int:
    """Prints the table and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS, metavar="NET")
    parser.add_argument("--turns", type=int, default=9, help="steps that count, 5 or more")
    parser.add_argument("--exact", action="store_true", help="with --no-fast, too")
    parser.add_argument("--recompute", action="store_true", help="with --recompute, too")
    parser.add_argument("--narrow", action="store_true", help="times narrow nets, to try it")
    parser.add_argument(
        "--python", default=sys.executable, help="the Python that has PyTorch (default: this one)"
    )
    options = parser.parse_args(arguments)
    if options.turns < 5:
        parser.error(f"the median needs 5 turns or more; received --turns {options.turns}")
    also = {EXACT: options.exact, RECOMPUTING: options.recompute}
    contestants = [ZOO, *(name for name, wanted in also.items() if wanted), *PEERS]
    rows = []
    for name in options.nets:
        report(f"{name}: comparing the losses of {STEPS} steps …")
        try:
            off = check_equal(losses_of(name, contestants, options.python))
        except DifferenceError as error:
            report(f"{name}: {error}. Nothing is timed.")
            return 1
        times = timed(
            name, contestants, options.python, turns=options.turns, full=not options.narrow
        )
        images, side = NETS[name].small if options.narrow else NETS[name].batch
        rows.append(row(name, times, off, f"{images}×{side}²"))
        report(" | ".join(rows[-1]))
    head = ("net", *contestants, "best PyTorch / zoo", "mark", "losses apart")
    print(f"Medians of {options.turns} steps, {THREADS} threads.\n")
    print(table(head, *rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
