"""What the rows of the tables check: a fault of a run, and then the same command again.

Each returns what there is to tell, or raises a FaultError.
"""

import contextlib
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import numpy as np

import zoo
from recipes import data
from recipes.data import pipeline
from tests.faults import jobs
from tests.faults.child import DONE, RECIPES
from tests.faults.field import Field
from tests.faults.jobs import FaultError, Job, Process
from zoo import workdir

WITHIN = 60.0  # seconds, in which a worker has to see that another one is gone


def killed(field: Field, net: str, strategy: str, point: str, worker: int = 0) -> str:
    job = field.job(net, strategy)
    processes = jobs.run(job, {worker: f"SIGKILL@{point}"})
    struck_at = jobs.struck_at(processes[worker])
    jobs.expect(processes[worker], -signal.SIGKILL)
    told = [_alone(other, struck_at) for other in processes if other is not processes[worker]]
    newest = workdir.steps(job.workdir)[0]
    # The first worker may have ended its save before the second one died in its own.
    allowed = {0, DONE[point]} if worker and point == "save" else set()
    step = DONE[point] - DONE[point] % 2 - (2 if point in ("validation", "save") else 0)
    if newest not in allowed | {step}:
        raise FaultError(f"the newest checkpoint is of step {newest}, not {step}")
    first = field.same_end(job)[0]
    if newest:
        jobs.line(first, f"^going on from step {newest}$")
    return ", ".join([f"from {newest}", *told])


def frozen(field: Field, net: str, which: str, point: str) -> str:
    worker = ("first of two workers", "second of two workers").index(which)
    job = field.job(net, "workers")
    processes = jobs.start(job, {worker: f"SIGSTOP@{point}"})
    other, one = processes[1 - worker], processes[worker]
    with jobs.ended(processes):
        jobs.wait([other])
        told = _alone(other, jobs.struck_at(one))
        before = jobs.contents(job.workdir / "checkpoints")
        one.popen.send_signal(signal.SIGCONT)
        continued = time.time()
        jobs.wait([one])
    _alone(one, continued)
    wrote = jobs.contents(job.workdir / "checkpoints") != before
    # Its save of a step that both had done is as good as if it had not been frozen.
    if wrote and (worker, point) != (0, "save"):
        raise FaultError(f"it wrote checkpoints when it was continued: {jobs.tail([one])}")
    field.same_end(job)
    last = "completed its checkpoint" if wrote else "wrote nothing"
    return f"{told}; the frozen one, continued, {one.ended - continued:.1f} s later, and {last}"


def _alone(other: Process, since: float) -> str:
    """How long a worker that is left took to end, with an error that names the reason."""
    seconds = other.ended - since
    if not other.code or other.code < 0 or seconds > WITHIN:
        raise FaultError(f"{seconds:.1f} s after the fault: {jobs.tail([other])}")
    jobs.line(other, "^zoo train: The workers of a run compute together, and one of them is gone")
    return f"the other ended after {seconds:.1f} s"


def stopped(field: Field, name: str, net: str, strategy: str, point: str) -> str:
    job, code = field.job(net, strategy), 128 + getattr(signal, name)
    processes = jobs.run(job, {0: f"{name}@{point}"})
    for process in processes:  # the other worker learns that it has to stop, not from what
        jobs.expect(process, code if process is processes[0] else 128 + signal.SIGTERM)
    step = int(jobs.line(processes[0], r"^stopped and saved at step (\d+) of")[1])
    # Workers learn it with the next batch, which may be of the step after.
    if not DONE[point] <= step <= DONE[point] + job.workers:
        raise FaultError(f"it stopped at step {step}, {step - DONE[point]} after the signal")
    seconds = max(process.ended for process in processes) - jobs.struck_at(processes[0])
    field.same_end(job)
    return f"saved step {step}, exit status {code} after {seconds:.1f} s"


def killed_while_writing(field: Field, name: str, how: str) -> str:
    """Of a run that stops after step 5, the newest weights; the best ones are those of step 4."""
    job, is_best = field.job("unet", "one"), name == workdir.BEST
    kill = f"SIGKILL@{name}, {how}"
    (process,) = jobs.run(job, {0: kill if is_best else f"SIGTERM@mid-epoch;{kill}"})
    jobs.expect(process, -signal.SIGKILL)
    step = workdir.steps(job.workdir)[0]
    if step != (2 if is_best else 5):
        raise FaultError(f"the newest checkpoint is of step {step}")
    _loads(job, step)
    if is_best and how != "not written":
        zoo.load(job.workdir, checkpoint="best")
    jobs.line(field.same_end(job)[0], f"^going on from step {step}$")
    return f"zoo.load gives step {step}; then from {step}"


def _loads(job: Job, step: int) -> None:
    """`zoo.load` gives the variables of a checkpoint, from whichever file."""
    saved = jobs.of_checkpoint(job.workdir / "checkpoints" / f"ckpt-{step}")
    model = zoo.load(job.workdir)
    for place, variable in enumerate(model.variables):
        key = f"model/{place}/.ATTRIBUTES/VARIABLE_VALUE"
        # The weights file has no states of random generators.
        if variable.dtype.startswith("float") and not np.array_equal(variable, saved[key]):
            raise FaultError(f"{variable.path} is not that of step {step}")


def damaged(field: Field, part: str, damage: str) -> str:
    def make() -> Job:
        job = field.job("unet", "one")
        jobs.run(job, {0: "SIGKILL@epoch boundary"})
        return job

    job = field.job("unet", "one")
    shutil.copytree(field.once(("half",), make).workdir, job.workdir)
    ending = "index" if part == "index" else "data-00000-of-00001"
    file = job.workdir / "checkpoints" / f"ckpt-6.{ending}"
    content = bytearray(file.read_bytes())
    if damage == "a bit flipped":
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 if damage == "cut off" else 0 :]
    file.write_bytes(content)
    if damage == "missing":
        file.unlink()
    (process,) = field.same_end(job)
    told = re.findall(r"^the checkpoint of step 6 is damaged \(.*\)$", process.out, re.MULTILINE)
    jobs.line(process, "^going on from step 4$")
    # Without an index it is none: a save that was killed leaves its values behind.
    if len(told) != ((part, damage) != ("index", "missing")):
        raise FaultError(f"{len(told)} lines on the damage: {jobs.tail([process])}")
    return "from 4" + ", with one line that says so" * len(told)


def full_disk(field: Field) -> str:
    with _small_disk(field.folder / "disk") as disk:
        job = field.job("unet", "one", folder=disk)
        (process,) = jobs.run(job, {0: "FULL@mid-epoch"})
        jobs.expect(process, 1)
        words = r"it needs ([\d,]+) bytes at least, and ([\d,]+) are missing\."
        missing = jobs.line(process, words)
        jobs.line(process, r"That of step 4 is intact\.")
        (disk / "filler").unlink()
        jobs.line(field.same_end(job)[0], "^going on from step 4$")
    return f"kept step 4; said that of {missing[1]} bytes {missing[2]} are missing; then from 4"


@contextlib.contextmanager
def _small_disk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def not_finite(field: Field, how: str, net: str, strategy: str) -> str:
    job = field.job(net, strategy)
    processes = jobs.run(job, {job.workers - 1: f"NAN@{how}"})
    jobs.struck_at(processes[-1])
    back = processes[0].out.count("; back to the last checkpoint")
    if back != (1 if how == "once" else 2):
        raise FaultError(f"it went back {back} times: {jobs.tail(processes)}")
    if how == "once":
        field.same_end(job)
        return "back to step 6 once"
    files = pipeline.files(
        data.load(RECIPES[net].data, job.data / net)["train"],
        positions=range(24, 28),
        seed=RECIPES[net].seed,
    )
    for process in processes:
        jobs.expect(process, 1)
        jobs.line(process, "^zoo train: Step 7: .* is not finite, 3 times")
        jobs.line(process, r":\n  " + r"\n  ".join(map(re.escape, files)) + "$")
    for step in workdir.steps(job.workdir):
        values = jobs.of_checkpoint(job.workdir / "checkpoints" / f"ckpt-{step}")
        for name, value in values.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise FaultError(f"{name} of step {step} is not finite")
    field.same_end(job)
    return "back twice, then exit status 1 and the names of the 4 images; all that is saved finite"


def killed_at_random(field: Field, net: str, strategy: str) -> str:
    job, numbers, steps = field.job(net, strategy), random.Random(f"{net} {strategy}"), []
    for _ in range(5):
        processes = jobs.start(job)
        with jobs.ended(processes):
            time.sleep(numbers.uniform(0, field.seconds(net, strategy)))
        steps += workdir.steps(job.workdir)[:1] or ["none"]
    field.same_end(job)
    return f"the newest checkpoints were of step {', '.join(map(str, steps))}"


def second_run(field: Field) -> str:
    job = field.job("fcn8s", "one")
    processes = jobs.start(job, {0: "SIGSTOP@mid-epoch"})
    with jobs.ended(processes):
        jobs.wait_for_fault(processes[0])
        (second,) = jobs.run(job)
        jobs.expect(second, 1)
        jobs.line(second, r"^zoo train: One run at a time writes to a --workdir; process \d+ on ")
        processes[0].popen.send_signal(signal.SIGCONT)
        jobs.wait(processes)
    jobs.expect(processes[0], 0)
    field.same_end(job)
    return "the second one is turned away with exit status 1, the first one ends well"


def another_seed(field: Field) -> str:
    job = field.job("unet", "one", "--seed", "1")
    jobs.finish(job)
    other = jobs.differences(jobs.result(job), field.whole("unet", "one"))
    if len(other) < 4:
        raise FaultError(f"only {', '.join(other)} differ: the comparison cannot fail")
    return f"other, as it has to be: {', '.join(other)}"
