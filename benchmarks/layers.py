"""Measures what each layer of the zoo's nets takes, as oneDNN reports it.

    python -m benchmarks layers --out runs/benchmarks

Each net runs as the SavedModel that `zoo export --exact` writes (in a fast copy several operations
make a layer), in TensorFlow's C++ loader on 2 threads, with ONEDNN_VERBOSE=1. oneDNN then prints a
line for each operation that it computes, with its shapes and its milliseconds. From the shapes
follow the multiplications of a convolution, and the bytes that it has to move at least: its image,
its kernel and its answer, once. A layer's time is the median over the runs; the first run does not
count.

The roof of a layer is what the machine allows at its ratio of work to bytes: the rate of the
fastest layer of all nets, or what moving its bytes allows at the rate at which NumPy copies memory.
What oneDNN does not compute, such as padding, up-sampling and concatenation, is one row. TensorFlow
uses oneDNN by itself only on some processors, and computes convolutions by its own code on others:
here it is told to use it.
"""

import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import engine_files, kept
from benchmarks.documents import report, table
from benchmarks.engine_files import FORMS, NETS, Task, key_of
from benchmarks.engines import THREADS

TITLE = "The most expensive layers"
FILE, BATCHES, RUNS, SHOWN = "layers.json", (1,), 7, 10
PACKAGES = ("tensorflow", "keras")
ELSE = "outside oneDNN"
# oneDNN prints to standard output, which `exports.runtimes.process` keeps for itself.
PROGRAM = """
import pathlib, sys, time
import numpy as np
from exports.graph import SERVING_DEFAULT
from exports.runtimes import tensorflow_c
images = np.load(sys.argv[2])[: int(sys.argv[3])]
with tensorflow_c.loaded(pathlib.Path(sys.argv[1])) as ask:
    for _ in range(int(sys.argv[4]) + 1):
        start = time.perf_counter()
        ask(SERVING_DEFAULT, {"image": images})
        print("answered", time.perf_counter() - start, flush=True)
"""

# A kernel's rows, columns, inputs of a group and outputs; and whether the layer is transposed.
Kernel = tuple[int, int, int, int, bool]


def profile(task: Task, folder: pathlib.Path) -> str:
    """What oneDNN prints about the runs of a net, with a line after each run."""
    for form in ("weights", "exact"):
        engine_files.write(form, task, folder)
    command = [sys.executable, "-c", PROGRAM, str(folder / FORMS["exact"])]
    command += [str(folder / engine_files.IMAGES), str(task.batch), str(RUNS)]
    settings = {
        "ONEDNN_VERBOSE": "1",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_NUM_INTRAOP_THREADS": str(THREADS),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    run = subprocess.run(
        command,
        cwd=pathlib.Path(__file__).parents[1],
        env=dict(os.environ) | settings,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.stdout


def names_of(weights: Mapping[str, np.ndarray]) -> dict[Kernel, list[str]]:
    """The layers of each shape of kernel, in the order in which they are computed."""
    names = collections.defaultdict(list)
    for variable, array in weights.items():
        layer, _, role = variable.partition("/")
        if role == "kernel":
            transposed = "deconv" in layer or "upconv" in layer
            names[(*array.shape, transposed)].append(layer)
    return names


def parsed(said: str, names: Mapping[Kernel, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The `ms` of each layer and of all else; of a layer also its `macs`, `bytes` and `shape`."""
    runs, seconds, current = [], [], []
    for line in said.splitlines():
        if line.startswith("answered "):
            runs.append(current)
            seconds.append(float(line.split()[1]))
            current = []
        elif line.startswith("onednn_verbose") and ",exec," in line:
            current.append(line.split(","))
    times, facts = collections.defaultdict(list), {}
    for operations, took in list(zip(runs, seconds, strict=True))[1:]:
        met, sums = collections.Counter(), collections.Counter()
        for fields in operations:
            kind, way, problem, ms = fields[5], fields[7], fields[-2], float(fields[-1])
            if kind == "convolution":
                size = {name: int(number) for name, number in re.findall(r"([a-z]+)(\d+)", problem)}
                kernel = _kernel(size, way)
                layers = names.get(kernel, ())
                place = met[kernel]
                met[kernel] += 1
                name = layers[place] if place < len(layers) else problem
                facts[name] = _facts(size)
            else:
                name = {"reorder": "reordering of kernels"}.get(kind, kind)
            sums[name] += ms
        sums[ELSE] = max(0.0, 1000 * took - sum(sums.values()))
        for name, ms in sums.items():
            times[name].append(ms)
    return {
        name: {"ms": statistics.median(values)} | facts.get(name, {})
        for name, values in times.items()
    }


def _kernel(size: Mapping[str, int], way: str) -> Kernel:
    inputs = size["ic"] // size.get("g", 1)
    return size["kh"], size["kw"], inputs, size["oc"], way == "backward_data"


def _facts(size: Mapping[str, int]) -> dict[str, Any]:
    batch, kernel = size["mb"], size["kh"] * size["kw"] * size["ic"] // size.get("g", 1)
    inner = size["ic"] * size["ih"] * size["iw"]
    outer = size["oc"] * size["oh"] * size["ow"]
    return {
        "macs": batch * kernel * outer,
        "bytes": 4 * (batch * (inner + outer) + kernel * size["oc"]),
        "shape": f"{size['kh']} × {size['kw']}, {size['ic']} – {size['oc']}, "
        f"{size['oh']} × {size['ow']}",
    }


def copied() -> float:
    """The bytes per second that NumPy reads and writes, copying 256 MB."""
    source = np.ones(1 << 26, np.float32)
    target = np.zeros_like(source)
    best = min(_timed(source, target) for _ in range(7))
    return 2 * source.nbytes / best


def _timed(source: np.ndarray, target: np.ndarray) -> float:
    start = time.perf_counter()
    np.copyto(target, source)
    return time.perf_counter() - start


def run(
    out: pathlib.Path,
    *,
    nets: Sequence[str] = tuple(NETS),
    batches: Sequence[int] = BATCHES,
    narrow: bool = False,
) -> dict[str, Any]:
    """Measures what is missing in `out/layers.json`, for these nets and batches.

    Raises:
        kept.UnableError: The file was measured elsewhere, or with other versions.
    """
    from recipes.training.environment import hardware

    where = f"{hardware()}, {THREADS} threads"
    conditions = kept.conditions(where, PACKAGES, narrow=narrow)
    every, keep = kept.opened(out / FILE, conditions)
    every.setdefault("copied", copied())
    nets_found = every.setdefault("nets", {})
    for net in nets:
        for batch in batches:
            task = Task(net, NETS[net], batch, narrow)
            if key_of(task) in nets_found:
                continue
            report(f"{key_of(task)} …")
            with kept.scratch(out) as folder:
                said = profile(task, folder)
                names = names_of(np.load(folder / FORMS["weights"]))
                nets_found[key_of(task)] = parsed(said, names)
            keep()
    return every


def complete(every: Mapping[str, Any]) -> bool:
    """Whether all nets were measured."""
    keys = {key_of(Task(net, NETS[net], batch, False)) for net in NETS for batch in BATCHES}
    return keys <= set(every["nets"])


def rate(one: Mapping[str, Any]) -> float:
    """The GFLOP/s of a layer: a multiplication and an addition are two."""
    return 2 * one["macs"] / one["ms"] / 1e6


def section(every: Mapping[str, Any], folder: pathlib.Path) -> str:
    """The text about the layers; it has no plots."""
    layers = [one for found in every["nets"].values() for one in found.values() if "macs" in one]
    fastest, copy = max(map(rate, layers)), every["copied"] / 1e9

    def cells(name: str, one: Mapping[str, Any], total: float) -> Iterable[str]:
        share = f"{one['ms'] / total:.1%}"
        if "macs" not in one:
            return name, "", "", "", f"{one['ms']:.1f}", share, "", "", ""
        intensity = 2 * one["macs"] / one["bytes"]
        roof = min(fastest, copy * intensity)
        return (
            *(name, one["shape"], f"{one['macs'] / 1e9:.2f}", f"{one['bytes'] / 1e6:.1f}"),
            *(f"{one['ms']:.1f}", share, f"{rate(one):.0f}", f"{intensity:.0f}"),
            f"{rate(one) / roof:.0%}",
        )

    parts = []
    for key, found in every["nets"].items():
        total = sum(one["ms"] for one in found.values())
        shown = sorted(found, key=lambda name, found=found: -found[name]["ms"])[:SHOWN]
        work = sum(one.get("macs", 0) for one in found.values()) / 1e9
        head = ("layer", "kernel, channels, answer", "GMAC", "MB", "ms", "share")
        rows = [cells(name, found[name], total) for name in shown]
        parts.append(
            f"### {key}\n\n{work:.1f} GMAC and {total:.0f} ms in all.\n\n"
            + table((*head, "GFLOP/s", "FLOP / byte", "of the roof"), *rows, left=2)
        )
    return TEXT.format(
        runs=RUNS, fastest=f"{fastest:.0f}", copy=f"{copy:.1f}", tables="\n\n".join(parts)
    )


TEXT = """\
The nets as their authors defined them, in TensorFlow's C++ loader: the operations of each that take
longest, medians of {runs} runs, as oneDNN reports them. The roof of a layer is the rate of the
fastest layer of all nets, {fastest} GFLOP/s, or what copying its bytes at {copy} GB/s allows.

{tables}
"""
