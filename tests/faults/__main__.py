"""`python -m tests.faults`: whether training survives anything; writes docs/reliability.md.

Each row of its tables is a run of a small net that meets a fault, and then the same command until
it ends well. It has to end as the run that nothing interrupted: `tests.faults.jobs.result` says
what is compared. The exit status is 1 if a row fails, and the document says so too. `--only` runs
the rows whose name contains a text, and only prints. That of the full disk needs the right to mount
one.
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import functools
import importlib.metadata
import itertools
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from recipes.training import environment
from tests.faults import checks, jobs
from tests.faults.child import HOW, POINTS, RECIPES
from tests.faults.field import Field
from tests.faults.jobs import FaultError
from zoo import files, workdir

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "reliability.md"
TEXT = """\
# What training survives

Written by `python -m tests.faults`; run it again instead of editing. {date}, {hardware},
{versions}. {processes} processes in {minutes:.0f} minutes.

Small FCN-8s, DeconvNet and U-Net train for 12 steps of 2 × 2 images, an epoch of 3 steps, a
checkpoint every 2, on one device, on two devices of a machine and by two workers that talk over
the loopback. Dropout (FCN-8s, U-Net), batch normalization (DeconvNet), shuffling, augmentation, a
schedule and accumulation are on, U-Net's weight map and elastic deformation, FCN's loss sampling.
They meet a fault, and then the same command goes on to the end.

**{passed} of {total} rows are as they have to be.** A run has to end as the one that nothing
interrupted: the same SHA-256 over all variables of the last checkpoint (model, generators,
optimizer, step; not the clock; {variables}), the same over `model.weights.h5` and
`best.weights.h5`, the same step and score of the best weights, and the same `log.csv` (without
seconds) and `scores.csv`.

## `kill -9`

*first step*: between its two batches. *mid-epoch*: likewise in step 5. *epoch boundary*: after step
6 and its checkpoint. *validation*: after the first image that is scored at step 8. *save*: when the
files of step 8 are written, and wait to be renamed. A cell says from which checkpoint the same
command went on to the same end; with two workers, how long the one that was left took to end with
an error that says why. FCN-8s loses the first worker, the others the second.

{kills}

## Other faults

After each of them, too, the same command goes on to the same end.

{others}
"""
STRATEGIES = {"one": "one device", "mirrored": "two devices", "workers": "two workers"}
DAMAGES = tuple(
    itertools.product(("values", "index"), ("a bit flipped", "cut off", "empty", "missing"))
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault of one run."""

    name: str
    check: Callable[[], str]


def kill_rows(field: Field) -> list[Row]:
    """Every net, strategy and point. Of two workers, FCN loses the first, the others the second."""

    def row(net: str, strategy: str, point: str) -> Row:
        worker = int(strategy == "workers" and net != "fcn8s")
        return Row(
            f"{net}, {strategy}, {point}",
            functools.partial(checks.killed, field, net, strategy, point, worker),
        )

    return [row(*names) for names in itertools.product(RECIPES, STRATEGIES, POINTS)]


def other_rows(field: Field) -> list[Row]:
    pairs = (("deconvnet", "one"), ("unet", "mirrored"), ("fcn8s", "workers"))
    first, second = "first of two workers", "second of two workers"
    table = [
        *(("", checks.stopped, "SIGTERM", *pair, point) for pair in pairs for point in POINTS),
        *(("", checks.stopped, "SIGINT", "unet", one, "mid-epoch") for one in STRATEGIES),
        ("frozen", checks.frozen, "fcn8s", first, "mid-epoch"),
        ("frozen", checks.frozen, "fcn8s", second, "mid-epoch"),
        ("frozen", checks.frozen, "unet", first, "save"),
        ("frozen", checks.frozen, "unet", second, "validation"),
        *(
            ("killed five times at random moments", checks.killed_at_random, *pair)
            for pair in pairs
        ),
        *(("the newest checkpoint is damaged", checks.damaged, *damage) for damage in DAMAGES),
        *(
            ("killed while weights are written", checks.killed_while_writing, *written)
            for written in itertools.product((workdir.WEIGHTS, workdir.BEST), HOW)
        ),
        ("the disk is full while a checkpoint is written", checks.full_disk),
        ("a gradient is not finite", checks.not_finite, "once", "fcn8s", "one"),
        ("a gradient is not finite", checks.not_finite, "once", "deconvnet", "mirrored"),
        ("a gradient is not finite", checks.not_finite, "once", "unet", "workers"),
        ("a gradient is not finite", checks.not_finite, "always", "fcn8s", "one"),
        ("a gradient is not finite", checks.not_finite, "always", "unet", "workers"),
        ("a second run in the workdir of one that SIGSTOP holds up", checks.second_run),
        ("for comparison: no fault, and another seed", checks.another_seed),
    ]
    return [
        Row(", ".join(filter(None, (title, *words))), functools.partial(check, field, *words))
        for title, check, *words in table
    ]


def checked(row: Row) -> tuple[bool, str]:
    began = time.monotonic()
    try:
        passed, told = True, row.check()
    except (FaultError, OSError, subprocess.SubprocessError) as error:
        passed, told = False, f"FAILED: {error}"
    seconds = time.monotonic() - began
    print(f"{'passed' if passed else 'FAILED'}  {seconds:5.0f} s  {row.name}  {told}", flush=True)
    return passed, told


def checked_all(rows: list[Row]) -> dict[str, tuple[bool, str]]:
    """Two at a time, and those of two processes alone."""
    single, double = ([row for row in rows if ("workers" in row.name) == two] for two in (0, 1))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = dict(zip([row.name for row in single], pool.map(checked, single), strict=True))
    return found | {row.name: checked(row) for row in double}


def kill_table(found: dict[str, tuple[bool, str]]) -> str:
    lines = [f"| | {' | '.join(POINTS)} |", "|---" * (len(POINTS) + 1) + "|"]
    for net, strategy in itertools.product(RECIPES, STRATEGIES):
        cells = [_cell(found[f"{net}, {strategy}, {point}"]) for point in POINTS]
        lines.append(f"| {net}, {STRATEGIES[strategy]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: tuple[bool, str]) -> str:
    passed, told = found
    return told if passed else f"**{told.replace('|', '/')}**"


def document(field: Field, found: dict[str, tuple[bool, str]], minutes: float) -> str:
    others = [f"| {row.name} | {_cell(found[row.name])} |" for row in other_rows(field)]
    packages = ("tensorflow", "keras", "numpy")
    return TEXT.format(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hardware=environment.hardware(),
        versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages),
        processes=len(jobs.STARTED),
        minutes=minutes,
        passed=sum(passed for passed, _ in found.values()),
        total=len(found),
        variables=", ".join(f"{net}: {field.whole(net, 'one').variables}" for net in RECIPES),
        kills=kill_table(found),
        others="\n".join(["| fault | what happens |", "|---|---|", *others]),
    )


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
        rows = [row for row in (*kill_rows(field), *other_rows(field)) if only in row.name]
        print(f"{len(rows)} rows", flush=True)
        found = checked_all(rows)
        minutes = (time.monotonic() - began) / 60
        passed = sum(passed for passed, _ in found.values())
        print(f"{passed} of {len(rows)} passed in {minutes:.0f} minutes")
        if not only:
            files.write_text(DOCUMENT, document(field, found, minutes))
    return 0 if passed == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
