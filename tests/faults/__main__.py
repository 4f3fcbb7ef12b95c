"""`python -m tests.faults`: whether training survives anything; writes docs/reliability.md.

Each row of its tables is a run of a small net that meets a fault, and then the same command until
it ends well. It has to end as the run that nothing interrupted: `tests.faults.jobs.result` says
what is compared. The exit status is 1 if a row fails, and the document says so too. `--only` runs
the rows whose name contains a text, and only prints. That of the full disk needs the right to mount
one.

It takes a quarter of an hour on two quiet cores.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import datetime
import functools
import importlib.metadata
import itertools
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

from recipes import checkpoints, records
from recipes.data import pipeline, shapes
from tests.faults import jobs
from tests.faults.child import POINTS, RECIPES
from tests.faults.jobs import FaultError, Job

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "reliability.md"
WITHIN = 60.0  # seconds, in which a worker has to see that another one is gone
TEXT = """\
# What training survives

Written by `python -m tests.faults`; run it again instead of editing. {date}, {hardware},
{versions}; {minutes:.0f} minutes.

Small FCN-8s, DeconvNet and U-Net train for 12 steps of 2 × 2 images, an epoch of 3 steps, with
dropout or batch normalization, shuffling, augmentation, a schedule and accumulation on; U-Net with
its weight map, FCN-8s with loss sampling. They meet a fault, and then the same command runs on.

**{passed} of {total} runs ended as the run that nothing interrupted**: the same SHA-256 over all
variables of the last checkpoint (model, generators, optimizer, step; not the clock), the same over
`model.weights.h5`, the same rows in `log.csv` (without seconds) and `scores.csv`.

## `kill -9`

In the middle of step 1; in the middle of an epoch; after its last step; while the held-out split is
scored; while a checkpoint is written. Two workers: the first is killed, the other ends by itself.

{kills}

## Other faults

{others}
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault of one run; `check` returns what there is to tell, or raises a FaultError."""

    name: str
    check: Callable[[], str]


class Field:
    """Where the runs take place: their data, their folders, and the runs without a fault."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.numbers = itertools.count()
        jobs.write_data(folder / "data")

    def job(self, net: str, strategy: str, folder: pathlib.Path | None = None) -> Job:
        place = (folder or self.folder) / f"{next(self.numbers)}"
        return jobs.new_job(net, strategy, place, self.folder / "data")

    @functools.cache  # noqa: B019  # lives as long as the program
    def whole(self, net: str, strategy: str) -> dict[str, str]:
        job = self.job(net, strategy)
        jobs.finish(job)
        return jobs.result(job)

    def same_end(self, job: Job) -> None:
        """The same command again, to the numbers of the run without a fault."""
        jobs.finish(job)
        jobs.compare(job, self.whole(job.net, job.strategy))
        shutil.rmtree(job.workdir.parent)


def killed(field: Field, net: str, strategy: str, point: str, worker: int = 0) -> str:
    job = field.job(net, strategy)
    processes = jobs.run(job, {worker: f"SIGKILL@{point}"})
    expect(processes[worker], -signal.SIGKILL)
    told = others_end(processes, worker)
    field.same_end(job)
    return told


def frozen(field: Field, net: str, worker: int) -> str:
    job = field.job(net, "workers")
    processes = jobs.start(job, {worker: "SIGSTOP@mid-epoch"})
    other = [processes[1 - worker]]
    jobs.wait(other)
    told = others_end([*other, processes[worker]], 1)
    # Once it may go on, it finds itself alone.
    processes[worker].popen.send_signal(signal.SIGCONT)
    jobs.wait(processes)
    if not processes[worker].code:
        raise FaultError(f"it ended well, alone: {jobs.tail(processes)}")
    field.same_end(job)
    return told


def others_end(processes: list[jobs.Process], struck: int) -> str:
    """How long the worker that is left took to end, with an error that names the reason."""
    if len(processes) == 1:
        return ""
    other = processes[1 - struck]
    seconds = other.ended - jobs.struck_at(processes[struck])
    if not other.code or seconds > WITHIN:
        raise FaultError(f"{seconds:.1f} s after the fault: {jobs.tail([other])}")
    jobs.line(other, "^error: the workers of a run compute together, and one of them is gone")
    return f"the other one ended after {seconds:.1f} s"


def stopped(field: Field, net: str, strategy: str, point: str, name: str, code: int) -> str:
    job = field.job(net, strategy)
    processes = jobs.run(job, {0: f"{name}@{point}"})
    for process in processes:
        expect(process, code)
    step = int(jobs.line(processes[0], r"^stopped and saved at step (\d+) of")[1])
    done = {"first step": 0, "mid-epoch": 4, "epoch boundary": 6, "validation": 8, "save": 8}
    if not done[point] <= step <= done[point] + 1:
        raise FaultError(f"it stopped at step {step}, {step - done[point]} after the signal")
    field.same_end(job)
    return f"saved at step {step}, exit status {code}"


def damaged(field: Field, how: str) -> str:
    job = field.job("unet", "one")
    jobs.run(job, {0: "SIGKILL@epoch boundary"})
    folder = job.workdir / "checkpoints"
    index, values = folder / "ckpt-6.index", folder / "ckpt-6.data-00000-of-00001"
    content = bytearray(values.read_bytes())
    if how == "a flipped bit":
        content[len(content) // 2] ^= 1
        values.write_bytes(content)
    elif how == "no index":
        index.unlink()
    else:
        values.write_bytes(content[: len(content) // 2] if how == "cut off" else b"")
    (process,) = jobs.finish(job)
    if how != "no index":
        jobs.line(process, r"^the checkpoint of step 6 is damaged \(")
    jobs.line(process, "^going on from step 4$")
    jobs.compare(job, field.whole("unet", "one"))
    return "went on from the one before"


def full_disk(field: Field) -> str:
    with small_disk(field.folder / f"disk-{next(field.numbers)}") as disk:
        job = field.job("unet", "one", disk)
        (process,) = jobs.run(job, {0: "FULL@mid-epoch"})
        expect(process, 1)
        words = r"it needs ([\d,]+) bytes at least, and ([\d,]+) are missing\."
        missing = jobs.line(process, words)
        jobs.line(process, r"That of step 4 is intact\.")
        (job.workdir.parent / "filler").unlink()
        field.same_end(job)
    return f"kept the one before; said that {missing[2]} of {missing[1]} bytes are missing"


@contextlib.contextmanager
def small_disk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def not_finite(field: Field, net: str, strategy: str, how: str) -> str:
    job = field.job(net, strategy)
    processes = jobs.run(job, {worker: f"NAN@{how}" for worker in range(job.workers)})
    attempts = processes[0].out.count("; back to the last checkpoint")
    if how == "once":
        if attempts != 1:
            raise FaultError(f"it went back {attempts} times: {jobs.tail(processes)}")
        field.same_end(job)
        return "went back, and ended in the same numbers"
    expect(processes[0], 1)
    jobs.line(processes[0], "^error: step 7: .* is not finite, 3 times")
    dataset = shapes.load(job.data / net)["train"]
    for file in pipeline.files(dataset, positions=range(24, 28), seed=RECIPES[net].seed):
        jobs.line(processes[0], re.escape(file))
    for step in checkpoints.steps(job.workdir / "checkpoints"):
        values = jobs.of_checkpoint(job.workdir / "checkpoints" / f"ckpt-{step}")
        for name, value in values.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise FaultError(f"{name} of step {step} is not finite")
    field.same_end(job)
    return "went back twice, then named its 4 images; no checkpoint holds such a number"


def killed_at_random(field: Field, net: str, seed: int) -> str:
    job, numbers, steps = field.job(net, "one"), random.Random(seed), []
    for _ in range(5):
        (process,) = jobs.start(job)
        until = time.monotonic() + numbers.uniform(1, 15)
        while time.monotonic() < until and process.popen.poll() is None:
            time.sleep(0.05)
        jobs.end([process])
        steps += [next(iter(checkpoints.steps(job.workdir / "checkpoints")), None)]
    field.same_end(job)
    return f"the newest checkpoints were then of step {', '.join(map(str, steps))}"


def expect(process: jobs.Process, code: int) -> None:
    if process.code != code:
        raise FaultError(f"exit status {code} was expected: {jobs.tail([process])}")


def kill_rows(field: Field) -> list[Row]:
    return [
        Row(f"{net}, {strategy}, {point}", functools.partial(killed, field, net, strategy, point))
        for net, strategy, point in itertools.product(RECIPES, jobs.STRATEGIES, POINTS)
    ]


def other_rows(field: Field) -> list[Row]:
    rows = [
        Row(
            f"SIGTERM, {net}, {strategy}, {point}",
            functools.partial(stopped, field, net, strategy, point, "SIGTERM", 143),
        )
        for (net, strategy), point in itertools.product(
            zip(RECIPES, jobs.STRATEGIES, strict=True), POINTS
        )
    ]
    partial = functools.partial
    rows += [
        Row(
            "SIGINT, unet, one, mid-epoch",
            partial(stopped, field, "unet", "one", "mid-epoch", "SIGINT", 130),
        )
    ]
    for worker in (0, 1):
        name = ("first", "second")[worker]
        rows += [
            Row(
                f"the {name} of two workers is frozen, fcn8s",
                partial(frozen, field, "fcn8s", worker),
            )
        ]
    rows += [
        Row(
            "the second of two workers is killed, unet",
            partial(killed, field, "unet", "workers", "mid-epoch", 1),
        )
    ]
    rows += [
        Row("killed five times at random, fcn8s", partial(killed_at_random, field, "fcn8s", 1))
    ]
    for how in ("a flipped bit", "cut off", "empty", "no index"):
        rows += [Row(f"the newest checkpoint is damaged: {how}", partial(damaged, field, how))]
    rows += [Row("the disk is full while a checkpoint is written", partial(full_disk, field))]
    for net, strategy, how in [
        ("fcn8s", "one", "once"),
        ("deconvnet", "mirrored", "once"),
        ("unet", "workers", "once"),
        ("fcn8s", "one", "always"),
    ]:
        rows += [
            Row(
                f"a gradient that is not finite, {how}, {net}, {strategy}",
                partial(not_finite, field, net, strategy, how),
            )
        ]
    return rows


def checked(row: Row) -> tuple[bool, str]:
    began = time.monotonic()
    try:
        passed, told = True, row.check()
    except (FaultError, OSError, subprocess.SubprocessError) as error:
        passed, told = False, f"FAILED: {error}"
    seconds = time.monotonic() - began
    print(f"{'passed' if passed else 'FAILED'}  {seconds:5.0f} s  {row.name}  {told}", flush=True)
    return passed, told


def kill_table(found: dict[str, tuple[bool, str]]) -> str:
    lines = [f"| | {' | '.join(POINTS)} |", "|---" * (len(POINTS) + 1) + "|"]
    for net, strategy in itertools.product(RECIPES, jobs.STRATEGIES):
        cells = ["same" if found[f"{net}, {strategy}, {p}"][0] else "**failed**" for p in POINTS]
        names = {"one": "one device", "mirrored": "two devices", "workers": "two workers"}
        lines.append(f"| {net}, {names[strategy]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    only, began = parser.parse_args().only, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        field = Field(pathlib.Path(folder))
        kills, others = kill_rows(field), other_rows(field)
        rows = [row for row in (*kills, *others) if only in row.name]
        print(f"{len(rows)} runs", flush=True)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = dict(zip([row.name for row in rows], pool.map(checked, rows), strict=True))
    passed = sum(good for good, _ in found.values())
    print(f"{passed} of {len(rows)} passed in {(time.monotonic() - began) / 60:.0f} minutes")
    if not only:
        table = ["| fault | what happened |", "|---|---|"]
        table += [f"| {row.name} | {found[row.name][1]} |" for row in others]
        text = TEXT.format(
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            hardware=records.hardware(),
            versions=", ".join(
                f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras")
            ),
            minutes=(time.monotonic() - began) / 60,
            passed=passed,
            total=len(rows),
            kills=kill_table(found),
            others="\n".join(table),
        )
        records.replace(DOCUMENT, text)
    return 0 if passed == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
