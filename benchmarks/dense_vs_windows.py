"""Times FCN-AlexNet and FCN-32s over a whole image beside one crop for each cell.

    python -m benchmarks.dense_vs_windows

Long, Shelhamer and Darrell, CVPR 2015, Section 3.1, compare a fully convolutional net with the same
net on crops, the sliding-window classifier: more than 5 times faster for 10 × 10 cells. Here it is
500 × 500 pixels, full width, 10 × 10 cells and all 16 × 16, in these ways:

    dense        the image, or of 10 × 10 cells the part that they see, at once
    exact crops  of what a cell must be given so that it has the same scores:
                 zoo/inference/windows.py
    own crops    of the ImageNet classifier's own size, as the paper times them; other scores

The crops are computed in batches and one by one. A few are timed and multiplied by the number of
cells. "backward" computes the gradient of all weights, after the forward pass. Before anything is
timed, exact crops must give the dense scores; otherwise the exit code is 1. In every repeat each
way has one turn, so that a busy moment of the machine affects all of them; medians count. The
program writes docs/dense_vs_windows.md; with other options than the default it only prints.
"""

import argparse
import collections
import dataclasses
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.documents import table, write
from recipes.training import environment
from zoo.anatomy import multiplications
from zoo.inference.windows import Classifier, classifier

OWN = {"fcn_alexnet": 227, "fcn32s": 226}
"""The side of the classifier's own crop. VGG's 224 × 224 are without the border of conv1_1."""
SIDE, PADDED = 500, 700
CELLS = {"10 × 10": range(3, 13), "16 × 16": range(16)}
FIRST = 5  # the first cell of those whose crops are timed
PASSES = ("forward", "backward")
TOY = {"stages": (4, 4, 6, 6, 8), "fc_filters": 12}
BATCH, REPEATS = 4, 3
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "dense_vs_windows.md"
TEXT = """\
# The whole image at once, and a crop for each cell

Written by `python -m benchmarks.dense_vs_windows`; run it again instead of editing.

A classifier can segment by a sliding window: a crop around each cell of a grid, classified one by
one. A fully convolutional net ("dense") computes the scores of all cells of the image at once. The
table has the seconds for the scores of an image of 500 × 500 pixels, before their up-sampling, at
full width, for the 10 × 10 cells in the middle and for all 16 × 16. "Exact" crops give the dense
scores, which is checked; "own" ones have the size of the ImageNet classifier, as in the paper, and
give others, because their layers pad other pixels.
"backward" is the forward pass and the gradient of all weights. GMAC are 10⁹ multiplications in
convolutions, forward. Medians of {repeats}, batches of {batch}. The crops of a few cells in the
middle are timed and multiplied; at the border exact crops may be smaller, which saves a tenth of
those of 16 × 16 cells. Hardware: {hardware}; TensorFlow {version}, float32.

{table}

Dense is at least {exact:.1f} times as fast as exact crops in batches, and {own:.1f} times as fast
as the classifier's own in batches. The paper reports more than 5 times for the latter and
FCN-AlexNet's 10 × 10 cells, on a GPU.
"""

Step = Callable[[], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Row:
    """For each grid the seconds, the multiplications, and both beside dense."""

    net: str
    which: str
    way: str
    cells: dict[str, tuple[float, int, float, float]]


class DifferenceError(Exception):
    """Crops give other scores than the whole image."""


def build(name: str, **options) -> keras.Model:
    """A net whose scores are not zero, as they are before training."""
    model = zoo.build(name, **options)
    layer = model.get_layer("score_fr")
    kernel = np.random.default_rng(0).normal(0, 0.05, layer.kernel.shape)
    layer.kernel.assign(kernel.astype("float32"))
    return model


def step(parts: Classifier, crops: tf.Tensor, rows: slice, columns: slice, which: str) -> Step:
    """A function that computes the scores of these cells of the crops once."""
    weights = [*parts.trunk.trainable_variables, *parts.head.trainable_variables]

    @tf.function
    def forward(crops):
        return parts.scores(crops, rows, columns)

    @tf.function
    def backward(crops):
        with tf.GradientTape() as tape:
            scores = parts.scores(crops, rows, columns)
        return scores, tape.gradient(scores, weights)

    return lambda: forward(crops) if which == "forward" else backward(crops)[0]


def multiplications_of(parts: Classifier, side: int, cells: int) -> int:
    """Of the convolutions over a square crop, of which cells × cells are scored."""
    needed = cells + parts.window - 1
    return sum(
        multiplications(model, (length, length))
        for model, length in ((parts.trunk, side), (parts.head, needed))
    )


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to compute scores: a step, and for each grid the steps and multiplications it takes."""

    step: Step
    takes: dict[str, tuple[float, int]]


def ways(name: str, parts: Classifier, image: np.ndarray, which: str, batch: int) -> dict[str, Way]:
    """Every way of a net, by its name.

    Raises:
        DifferenceError: Exact crops give other scores than the whole image.
    """
    padded, found, field = parts.pad(image), {}, parts.field
    for grid, cells in CELLS.items():
        part, place = field.crop(cells, PADDED)
        crop = tf.identity(padded[:, part, part])
        takes = {grid: (1, multiplications_of(parts, crop.shape[1], len(cells)))}
        found[f"dense {grid}"] = Way(step(parts, crop, place, place, which), takes)
    # Neighbours of one row in the middle.
    row, place = field.crop(range(FIRST, FIRST + 1), PADDED)
    columns = [field.crop(range(FIRST + n, FIRST + n + 1), PADDED)[0] for n in range(batch)]
    exact = tf.concat([padded[:, row, column] for column in columns], 0)
    # The classifier's own crop begins with the pooled pixels that the cell needs.
    start, own = field.stride * place.start, OWN[name]
    for kind, crops, cell in (
        ("exact", exact, place),
        ("own", exact[:, start : start + own, start : start + own], slice(0, 1)),
    ):
        each = multiplications_of(parts, crops.shape[1], 1)
        for how, some in (("in batches", crops), ("one by one", crops[:1])):
            takes = {
                grid: (len(cells) ** 2 / len(some), len(cells) ** 2 * each)
                for grid, cells in CELLS.items()
            }
            text = f"{kind} crops of {crops.shape[1]} × {crops.shape[1]}, {how}"
            found[text] = Way(step(parts, some, cell, cell, which), takes)
            if kind == "exact":
                whole = found["dense 10 × 10"].step()[0]
                at = FIRST - CELLS["10 × 10"].start
                check(text, found[text].step()[:, 0, 0], whole[at, at : at + len(some)])
    return found


def check(text: str, scores: np.ndarray, dense: np.ndarray) -> None:
    """Raises a DifferenceError unless the scores of cells are the dense ones."""
    difference = float(np.abs(scores - dense).max() / np.abs(dense).max())
    if not difference < 1e-5:
        raise DifferenceError(f"{text} differ from the dense scores by {difference:.1e}")


def medians(found: dict[str, Way], repeats: int) -> dict[str, float]:
    """The median seconds of a step of each way."""
    times = collections.defaultdict(list)
    for repeat in range(repeats + 1):
        for text, way in found.items():
            start = time.perf_counter()
            way.step().numpy()
            if repeat:  # the first one compiles
                times[text].append(time.perf_counter() - start)
    return {text: statistics.median(values) for text, values in times.items()}


def rows_of(name: str, which: str, found: dict[str, Way], seconds: dict[str, float]) -> list[Row]:
    """For each way: its seconds and multiplications for each grid, and both beside dense."""
    dense = {
        grid: (seconds[f"dense {grid}"], found[f"dense {grid}"].takes[grid][1]) for grid in CELLS
    }
    rows = [Row(name, which, "dense", {grid: (*dense[grid], 1.0, 1.0) for grid in CELLS})]
    for text, way in found.items():
        if text.startswith("dense"):
            continue
        cells = {}
        for grid, (factor, count) in way.takes.items():
            took = factor * seconds[text]
            cells[grid] = took, count, took / dense[grid][0], count / dense[grid][1]
        rows.append(Row(name, which, text, cells))
    return rows


def report(rows: list[Row], repeats: int, batch: int) -> str:
    """The document."""
    head = ["net", "pass", "way"]
    for grid in CELLS:
        head += [f"{grid}: s", "× dense", "GMAC", "× dense"]
    lines = []
    for row in rows:
        line = [row.net, row.which, row.way]
        for took, count, slower, more in row.cells.values():
            line += [f"{took:.2f}", f"{slower:.1f}", f"{count / 1e9:,.1f}", f"{more:.1f}"]
        lines.append(tuple(line))
    least = {
        kind: min(
            cells[2]
            for row in rows
            if row.way.startswith(kind) and row.way.endswith("in batches")
            for cells in row.cells.values()
        )
        for kind in ("exact", "own")
    }
    return TEXT.format(
        repeats=repeats,
        batch=batch,
        hardware=environment.hardware(),
        version=tf.__version__,
        table=table(tuple(head), *lines, left=3),
        **least,
    )


def main(arguments: list[str] | None = None) -> int:
    """Times every way, prints the document and writes it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dense_vs_windows",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"default: {REPEATS}")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"crops, default: {BATCH}")
    parser.add_argument("--toy", action="store_true", help="narrow nets, for a look")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or not 1 <= options.batch <= 8:
        parser.error(
            "repeats are 1 or more, and a batch has 1 to 8 crops; received --repeats "
            f"{options.repeats} --batch {options.batch}. Pass --repeats {REPEATS} --batch {BATCH}."
        )
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3)).astype("float32")
    rows = []
    for name in OWN:
        parts = classifier(build(name, **TOY if options.toy else {}))
        for which in PASSES:
            print(f"{name}, {which} …", file=sys.stderr, flush=True)
            try:
                found = ways(name, parts, image, which, options.batch)
            except DifferenceError as error:
                print(f"{name}, {which}: {error}. Nothing is timed.", file=sys.stderr)
                return 1
            rows += rows_of(name, which, found, medians(found, options.repeats))
    text = report(rows, options.repeats, options.batch)
    print(text)
    if (options.repeats, options.batch, options.toy) == (REPEATS, BATCH, False):
        write(text, DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
