"""Times training steps and inference on a GPU: Keras with PyTorch and with JAX, and plain PyTorch.

    pip install keras pillow torch 'jax[cuda12]'
    python -m benchmarks.gpu --out runs/benchmarks

TensorFlow is not needed. All contestants have the same random weights, images and labels; the peer
is the net of `benchmarks/torch_nets.py`, which has no dropout. Each has a process of its own and
the default precision of its library. What is timed begins with images and labels in the memory of
the host and ends with scores, or the loss, there: `predict_on_batch` and `train_on_batch` of Keras,
and the same by hand in PyTorch. A training step is one of SGD with the mean cross-entropy of all
pixels. The first runs of each do not count; the tables have medians.

The scores are compared with those of Keras on the same backend that wrote the weights, and shown;
a default precision such as TF32 keeps fewer digits than float32. Without a GPU nothing is measured,
unless it is tried out with `--narrow`.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import unittest.mock
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import engine_files, kept
from benchmarks.documents import report, table
from benchmarks.engine_files import NETS, Task, key_of
from exports.runtimes import process

TITLE = "On a GPU"
FILE, BATCHES, TURNS, BEFORE = "gpu.json", (1, 8), 20, 3
PACKAGES = ("keras", "torch", "jax")
# For each contestant the backend of Keras; None for plain PyTorch.
CONTESTANTS = {"zoo, Keras with PyTorch": "torch", "zoo, Keras with JAX": "jax", "PyTorch": None}
PEER = "PyTorch"
RATE = 1e-6  # so small that the random nets stay finite
NO_GPU = (
    "The times of a GPU are measured on one; PyTorch and JAX find none here. Run it where they do, "
    "or try it out with --narrow."
)

# For each contestant `inference` and `training` seconds, `peak` bytes, and what
# `benchmarks.engines.compared` says; or a `reason`.
Results = dict[str, dict[str, Any]]
Step = Callable[[], Any]


def measured(name: str, task: Task, folder: pathlib.Path) -> dict[str, Any]:
    """The seconds, the peak memory and the answers of a contestant, in this process."""
    from benchmarks.engines import compared

    images = np.load(folder / engine_files.IMAGES)
    expected = np.load(folder / engine_files.SCORES)
    labels = expected.argmax(-1).astype("int32")
    of = _of_keras if CONTESTANTS[name] else _of_pytorch
    infer, train, peak = of(task, folder, images, labels)
    found = compared(task.net, infer(), expected)
    found.pop("reason", None)  # the precision is shown, not judged
    found |= {"inference": _seconds(infer), "training": _seconds(train)}
    return found | {"peak": peak() or process.peak_bytes()}


def _seconds(step: Step) -> list[float]:
    for _ in range(BEFORE):
        step()
    seconds = []
    for _ in range(TURNS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def _of_keras(
    task: Task, folder: pathlib.Path, images: np.ndarray, labels: np.ndarray
) -> tuple[Step, Step, Callable[[], int | None]]:
    import keras

    model = engine_files.zoo_net(task, folder)
    model.compile(
        optimizer=keras.optimizers.SGD(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return (
        lambda: model.predict_on_batch(images),
        lambda: model.train_on_batch(images, labels),
        _peak_of_pytorch if keras.backend.backend() == "torch" else _peak_of_jax,
    )


def _of_pytorch(
    task: Task, folder: pathlib.Path, images: np.ndarray, labels: np.ndarray
) -> tuple[Step, Step, Callable[[], int | None]]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = engine_files.torch_net(task, folder).to(device)
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    first = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    wanted = torch.from_numpy(labels).long()

    def infer() -> np.ndarray:
        net.eval()
        with torch.inference_mode():
            return net(first.to(device)).cpu().numpy().transpose(0, 2, 3, 1)

    def train() -> float:
        net.train()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(first.to(device)), wanted.to(device))
        loss.backward()
        optimizer.step()
        return loss.item()

    return infer, train, _peak_of_pytorch


def _peak_of_pytorch() -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _peak_of_jax() -> int | None:
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


# Prints the name of the GPU that each library finds, in a process that ends and frees it.
DEVICES = """
try:
    import torch
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "")
except ImportError:
    import jax
    print(jax.devices()[0].device_kind if jax.default_backend() == "gpu" else "")
"""


def gpu() -> str:
    """The name of the GPU; empty without one, or without PyTorch and JAX."""
    done = subprocess.run([sys.executable, "-c", DEVICES], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def in_a_process(name: str, task: Task, folder: pathlib.Path) -> dict[str, Any]:
    """`measured` in a process of its own, or the reason why there is nothing."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--one", name, str(folder), task.net]
    command += [str(task.size), str(task.batch), *["--narrow"] * task.narrow]
    backend = CONTESTANTS[name] or "torch"
    # JAX otherwise takes three quarters of the GPU at once, and its peak says nothing.
    settings = {"KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(
        command,
        cwd=pathlib.Path(__file__).parents[1],
        env=dict(os.environ) | settings,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        return {"reason": said[-1][:160].replace("|", "/")}
    return json.loads(done.stdout.splitlines()[-1])


def run(
    out: pathlib.Path,
    *,
    nets: Sequence[str] = tuple(NETS),
    batches: Sequence[int] = BATCHES,
    narrow: bool = False,
) -> dict[str, Results]:
    """Measures what is missing in `out/gpu.json`, for these nets and batches.

    Raises:
        kept.UnableError: There is no GPU; or the file was measured elsewhere.
    """
    device = gpu()
    if not (device or narrow):
        raise kept.UnableError(NO_GPU)
    conditions = kept.conditions(device or "no GPU", PACKAGES, narrow=narrow)
    every, keep = kept.opened(out / FILE, conditions)
    backend = "torch" if "torch " in conditions else "jax"
    for net in nets:
        for batch in batches:
            task = Task(net, NETS[net], batch, narrow)
            found = every.setdefault(key_of(task), {})
            with kept.scratch(out) as folder:
                for name in CONTESTANTS:
                    if name in found:
                        continue
                    with unittest.mock.patch.dict(os.environ, KERAS_BACKEND=backend):
                        engine_files.write("weights", task, folder)
                    found[name] = in_a_process(name, task, folder)
                    report(f"{key_of(task)}, {name}: {_said(found[name])}")
                    keep()
    return every


def _said(one: Mapping[str, Any]) -> str:
    if "reason" in one:
        return one["reason"]
    return ", ".join(f"{way} {_ms(one, way)} ms" for way in ("inference", "training"))


def _ms(one: Mapping[str, Any], way: str) -> str:
    return f"{1000 * statistics.median(one[way]):.1f}"


def complete(every: Mapping[str, Results]) -> bool:
    """Whether all nets and batches were measured, or could not be."""
    keys = {key_of(Task(net, NETS[net], batch, False)) for net in NETS for batch in BATCHES}
    return keys <= set(every) and all(set(CONTESTANTS) <= set(found) for found in every.values())


def section(every: Mapping[str, Results], folder: pathlib.Path) -> str:
    """The text about the GPU; it has no plots."""
    rows, reasons = [], []
    for key, found in every.items():
        for name, one in found.items():
            if "reason" in one:
                reasons.append(f"- {name}, {key}: {one['reason']}.")
                continue
            cells = [key, name]
            for way in ("inference", "training"):
                times = found.get(PEER, {}).get(way)
                ratio = statistics.median(one[way]) / statistics.median(times) if times else None
                cells += [f"{ratio:.2f}" if ratio else "–", _ms(one, way)]
            rows.append(
                (*cells, f"{one['peak'] / 1e9:.2f}", f"{one['difference']:.0e}, {one['same']:.2%}")
            )
    head = ("net", "contestant", "inference / PyTorch", "ms", "training / PyTorch", "ms")
    return TEXT.format(
        turns=TURNS,
        table=table((*head, "peak GB", "answers"), *rows, left=2),
        reasons="\n".join(reasons) or "All were timed.",
    )


TEXT = """\
Keras with PyTorch and with JAX beside plain PyTorch, at the authors' widths and each library's
default precision; medians of {turns} turns. A ratio below 1 is faster than plain PyTorch. The
answers are the largest difference divided by the range of the scores, and the pixels with the same
class.

{table}

{reasons}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs this part of `python -m benchmarks`, or one contestant of it."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] != ["--one"]:
        from benchmarks.__main__ import main as parts

        return parts(["gpu", *arguments])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu --one")
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("net")
    parser.add_argument("size", type=int)
    parser.add_argument("batch", type=int)
    parser.add_argument("--narrow", action="store_true")
    given = parser.parse_args(arguments[1:])
    task = Task(given.net, given.size, given.batch, given.narrow)
    print(json.dumps(measured(given.name, task, given.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
