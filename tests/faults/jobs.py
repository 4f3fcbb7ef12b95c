"""Runs in processes of their own: starts them, waits for them, compares what they leave."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import h5py
import numpy as np
import tensorflow as tf
from PIL import Image

from recipes.data.sets import shapes
from tests.faults.child import STEPS
from zoo import workdir

ROOT = pathlib.Path(__file__).parents[2]
_LIMIT = 600  # seconds, after which a process is taken for one that hangs
STARTED: list[int] = []
"""The processes that were started so far, by number."""


class FaultError(AssertionError):
    """What a run did that it should not have done."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One run: always the same command, in one process or in two that share its workdir."""

    net: str
    strategy: str
    workdir: pathlib.Path
    data: pathlib.Path
    ports: tuple[int, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        return len(self.ports) or 1


@dataclasses.dataclass
class Process:
    """A started process, and the end of it."""

    popen: subprocess.Popen
    log: pathlib.Path
    began: float  # in seconds since the epoch, as its end
    ended: float = 0.0

    @property
    def code(self) -> int | None:
        return self.popen.returncode

    @property
    def out(self) -> str:
        return self.log.read_text(errors="replace")


def new_job(
    net: str, strategy: str, folder: pathlib.Path, data: pathlib.Path, *options: str
) -> Job:
    """A job with a folder of its own, and ports on which nothing listens."""
    folder.mkdir(parents=True)
    ports = ()
    if strategy == "workers":
        sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
        ports = tuple(one.getsockname()[1] for one in sockets)
        for one in sockets:
            one.close()
    return Job(net, strategy, folder / "run", data, ports, options)


def start(job: Job, faults: dict[int, str] | None = None) -> list[Process]:
    """Starts the processes of a job; `faults` has the FAULT of some, by the worker's number."""
    words = ["-m", "tests.faults.child", job.net, "--workdir", str(job.workdir), "--data-dir"]
    words += [str(job.data / job.net), "--strategy", job.strategy, *job.options]
    processes = []
    for worker in range(job.workers):
        environment = {
            name: value for name, value in os.environ.items() if name not in ("FAULT", "TF_CONFIG")
        }
        if faults and worker in faults:
            environment["FAULT"] = faults[worker]
        if job.ports:
            cluster = {"worker": [f"localhost:{port}" for port in job.ports]}
            task = {"type": "worker", "index": worker}
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        count = len(list(job.workdir.parent.glob("*.txt")))
        log = job.workdir.parent / f"{count}.txt"
        with open(log, "wb") as stream:
            popen = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        processes.append(Process(popen, log, time.time()))
        STARTED.append(popen.pid)
    return processes


def wait(processes: list[Process], limit: float = _LIMIT) -> list[Process]:
    """Waits until all have ended, and notes when each did; ends those that hang."""
    until = time.time() + limit
    while any(not one.ended for one in processes):
        for one in processes:
            if not one.ended and one.popen.poll() is not None:
                one.ended = time.time()
        if time.time() > until:
            end(processes)
            raise FaultError(f"not ended after {limit:g} s: {tail(processes)}")
        time.sleep(0.01)
    return processes


def end(processes: list[Process]) -> None:
    for one in processes:
        if one.popen.poll() is None:
            one.popen.kill()
            one.popen.wait()
            one.ended = time.time()


@contextlib.contextmanager
def ended(processes: list[Process]) -> Iterator[None]:
    """Kills at its end those that still run then."""
    try:
        yield
    finally:
        end(processes)


def run(job: Job, faults: dict[int, str] | None = None) -> list[Process]:
    return wait(start(job, faults))


def finish(job: Job) -> list[Process]:
    """The same command once more, which has to end well."""
    processes = run(job)
    if any(one.code for one in processes):
        raise FaultError(f"the same command again ended badly: {tail(processes)}")
    return processes


def struck_at(process: Process) -> float:
    """The time at which a process met its fault."""
    return float(line(process, r"^FAULT \w+ ([\d.]+)$")[1])


def wait_for_fault(process: Process) -> None:
    until = time.time() + _LIMIT
    while process.popen.poll() is None and "FAULT" not in process.out and time.time() < until:
        time.sleep(0.05)
    struck_at(process)


def expect(process: Process, code: int) -> None:
    if process.code != code:
        raise FaultError(f"exit status {code} was expected: {tail([process])}")


def line(process: Process, pattern: str) -> re.Match:
    """The first match in what a process wrote."""
    found = re.search(pattern, process.out, re.MULTILINE)
    if not found:
        raise FaultError(f"no word of {pattern!r}: {tail([process])}")
    return found


def tail(processes: list[Process]) -> str:
    return "; ".join(
        f"exit status {one.code}, {' / '.join(one.out.strip().splitlines()[-4:])}"
        for one in processes
    )


@dataclasses.dataclass(frozen=True)
class Result:
    """All that a run has brought about, but for the time it took."""

    compared: dict[str, str]
    """SHA-256 over the variables of the last checkpoint and of both weights files; the tables."""
    variables: int  # of the checkpoint


def result(job: Job) -> Result:
    """What a run that has ended leaves."""
    folder = job.workdir / "checkpoints"
    newest = next(iter(workdir.steps(job.workdir)), None)
    if newest != STEPS:
        raise FaultError(f"the last checkpoint is of step {newest}, not {STEPS}")
    variables = of_checkpoint(folder / f"ckpt-{newest}")
    log = (job.workdir / "log.csv").read_text()
    compared = {
        "the last checkpoint": _sha256(variables),
        "model.weights.h5": _sha256(_of_hdf5(job.workdir / workdir.WEIGHTS)),
        "best.weights.h5": _sha256(_of_hdf5(job.workdir / workdir.BEST)),
        "best": json.dumps(workdir.read_recipe(job.workdir)["best"]),
        "log.csv": "".join(row.rpartition(",")[0] + "\n" for row in log.splitlines()),
        "scores.csv": (job.workdir / "scores.csv").read_text(),
    }
    return Result(compared, len(variables))


def differences(one: Result, other: Result) -> list[str]:
    return [name for name, value in one.compared.items() if value != other.compared[name]]


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def of_checkpoint(prefix: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name, without the clock and TensorFlow's own counter."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = [
        name
        for name in reader.get_variable_to_shape_map()
        if name.startswith(("model/", "optimizer/", "run/0/", "log/"))
    ]
    return {name: reader.get_tensor(name) for name in names}


def _of_hdf5(file: pathlib.Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(file) as opened:
        opened.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def _sha256(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_data(folder: pathlib.Path) -> None:
    """Small data sets: 12 scenes of shapes, 12 pages of cells that are told apart; 3 held out."""
    for net in ("fcn8s", "deconvnet"):
        shapes.write(folder / net / "shapes", train=12, val=3)
    (folder / "unet").mkdir()
    rng = np.random.default_rng(0)
    labels = np.full((15, 64, 80), 255, np.uint8)
    for page, label in enumerate(labels):  # membranes, two pixels wide
        label[:, 14 + page : 16 + page] = label[20 + page : 22 + page] = 0
    volume = np.clip(labels * 0.5 + rng.normal(60, 30, labels.shape), 0, 255).astype(np.uint8)
    for name, stack in (("train-volume.tif", volume), ("train-labels.tif", labels)):
        first, *others = map(Image.fromarray, stack)
        first.save(folder / "unet" / name, save_all=True, append_images=others)
