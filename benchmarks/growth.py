"""Measures how seconds and memory of the zoo's nets grow with the image and with the batch.

    python -m benchmarks growth --out runs/benchmarks

Each net has the authors' widths and random weights, and runs as the SavedModel that `zoo export`
writes (with scores in the place of the class map) in TensorFlow's C++ loader on 2 threads. The
images are square. Their pixels double from 128 × 128 until the next one would not fit into the
memory that is free: in a straight line, what one doubling adds is twice what the last one added.
Batches are of 256 × 256 pixels.

Every size and batch has a process of its own, because a process keeps the most memory that a
request took. Its first answer is not timed; the table has medians of the three after it.
"""

import functools
import json
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import engine_files, kept, plot
from benchmarks.documents import report, table, write
from benchmarks.engine_files import Task
from benchmarks.engines import LIMIT, THREADS
from exports.images import textures
from exports.runtimes import process

TITLE = "Cost against size and batch"
FILE, SECONDS, MEMORY = "growth.json", "growth_seconds.svg", "growth_memory.svg"
NETS = ("fcn8s", "fcn_alexnet", "unet", "deconvnet")
SIDES = (128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096)
SIDE, BATCHES, TURNS = 256, (1, 2, 4, 8, 16), 3
PACKAGES = ("tensorflow", "keras")

# Of a net, by "sides" and "batches": for each its `seconds` and `peak` bytes, or a `reason`.
Results = dict[str, dict[str, dict[str, Any]]]


def cost(folder: pathlib.Path, net: str, batch: int, side: int) -> dict[str, Any]:
    """The seconds of the turns, and the peak memory, of a SavedModel in a process of its own."""
    images = textures(batch, (side, side), 3).astype("float32")
    path = engine_files.path_of("saved_model", Task(net, side, batch, False), folder)
    order = {"engine": "tensorflow", "file": str(path), "net": net, "threads": THREADS}
    place = folder / "contestant.json"
    place.write_text(json.dumps(order), encoding="utf-8")
    try:
        with process.loaded(place, "benchmarks.engine_loaders", limit=LIMIT) as ask:
            answers = [ask("", {"image": images}) for _ in range(TURNS + 1)]
    except (RuntimeError, OSError) as error:
        return {"reason": str(error)}
    return {"seconds": [x.seconds for x in answers[1:]], "peak": answers[-1].peak_bytes}


def grown(found: dict[str, Any], values: Sequence[int], measured: Callable, keep: Any) -> None:
    """Adds what is missing to `found`, for values whose pixels double, until one does not fit."""
    peaks = []
    for value in values:
        if str(value) not in found:
            grows = peaks[-1] + 2 * (peaks[-1] - peaks[-2]) if len(peaks) > 1 else 0
            if grows > (free := available()):
                text = f"about {grows / 1e9:.0f} GB are needed and {free / 1e9:.0f} GB free"
                found[str(value)] = {"reason": text}
            else:
                found[str(value)] = measured(value)
            keep()
        one = found[str(value)]
        report(f"{value}: {one.get('reason') or one['seconds']}")
        if "reason" in one:
            return
        peaks.append(one["peak"])


def available() -> int:
    """The bytes of memory that are free or can be freed."""
    lines = pathlib.Path("/proc/meminfo").read_text()
    return int(lines.partition("MemAvailable:")[2].split()[0]) * 1024


def run(
    out: pathlib.Path,
    *,
    nets: Sequence[str] = NETS,
    batches: Sequence[int] = BATCHES,
    narrow: bool = False,
) -> dict[str, Results]:
    """Measures what is missing in `out/growth.json`, for these nets and batches.

    Raises:
        kept.UnableError: The file was measured elsewhere, or with other versions.
    """
    from recipes.training.environment import hardware

    where = f"{hardware()}, {THREADS} threads"
    conditions = kept.conditions(where, PACKAGES, narrow=narrow)
    every, keep = kept.opened(out / FILE, conditions)
    for net in nets:
        found = every.setdefault(net, {"sides": {}, "batches": {}})
        with kept.scratch(out) as folder:
            for form in ("weights", "saved_model"):
                engine_files.write(form, Task(net, SIDES[0], 1, narrow), folder)
            ask = functools.partial(cost, folder, net)
            report(f"{net}: sides …")
            grown(found["sides"], SIDES, lambda side, ask=ask: ask(1, side), keep)
            report(f"{net}: batches …")
            grown(found["batches"], batches, lambda batch, ask=ask: ask(batch, SIDE), keep)
    return every


def complete(every: Mapping[str, Results]) -> bool:
    """Whether all nets were measured up to the largest size and batch that fit."""

    def ended(found: Mapping[str, Any], last: int) -> bool:
        return str(last) in found or any("reason" in one for one in found.values())

    return set(NETS) <= set(every) and all(
        ended(found["sides"], SIDES[-1]) and ended(found["batches"], BATCHES[-1])
        for found in every.values()
    )


def _seconds(one: Mapping[str, Any]) -> float:
    return statistics.median(one["seconds"])


def _gigabytes(one: Mapping[str, Any]) -> float:
    return one["peak"] / 1e9


def section(every: Mapping[str, Results], folder: pathlib.Path) -> str:
    """The text about the growth; its plots are written into the folder."""
    tables = {}
    for what, values in (("sides", SIDES), ("batches", BATCHES)):
        rows = []
        for value in values:
            cells = [every[net][what].get(str(value), {}) for net in every]
            if any("seconds" in one for one in cells):
                shown = [
                    f"{_seconds(one):.3g} s, {_gigabytes(one):.2f} GB" if "seconds" in one else "–"
                    for one in cells
                ]
                rows.append((f"{value} × {value}" if what == "sides" else value, *shown))
        tables[what] = table(("image" if what == "sides" else "images", *every), *rows)
    for name, y_label, number in (
        (SECONDS, "seconds", _seconds),
        (MEMORY, "peak memory, GB", _gigabytes),
    ):
        panels = {
            title: {
                net: [
                    (int(value), number(one)) for value, one in found[what].items() if "peak" in one
                ]
                for net, found in every.items()
            }
            for what, title in (
                ("sides", "one image|pixels per side"),
                ("batches", f"{SIDE} × {SIDE} pixels|images in the batch"),
            )
        }
        write(plot.svg(panels, y_label=y_label), folder / name)
    ends = [
        f"- {net}, {value}{f' × {value}' if what == 'sides' else ' images'}: {one['reason']}."
        for net, found in every.items()
        for what in ("sides", "batches")
        for value, one in found[what].items()
        if "reason" in one
    ]
    return TEXT.format(
        threads=THREADS,
        turns=TURNS,
        side=SIDE,
        **tables,
        ends="\n".join(ends) or "All sizes and batches fitted into the memory.",
    )


TEXT = """\
The zoo's SavedModels in TensorFlow's C++ loader, at the authors' widths, on {threads} threads:
medians of {turns} turns, and the peak memory of the process. DeconvNet pads small images to
224 × 224, and U-Net mirrors a margin of 92 pixels around every image.

{sides}

Batches of {side} × {side} pixels:

{batches}

![seconds by size and by batch](images/growth_seconds.svg)

![peak memory by size and by batch](images/growth_memory.svg)

{ends}
"""
