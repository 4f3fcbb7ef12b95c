"""Times the exports beside Keras and plain SavedModels, and writes docs/exports.md.

    python -m recipes.demonstration --workdir runs/demonstration    # once, for the bytes
    python -m benchmarks.exports

Every model classifies one image of 500 × 500 pixels, then a batch of four, in each form in which it
can be served:

    Keras predict          model.predict, then the argmax
    logits                 a plain SavedModel of the network, and the argmax in the client
    bare graph             the same with the argmax in the graph, and nothing else
    serving_default …      the four signatures of the export
    TFLite                 the float32 file for this size; four images one after the other
    TFLite int8            the same in integers; its classes may differ from those of Keras.

The networks have a quarter of the authors' widths unless `--full` is given. Their weights are
random, chosen so that several classes win. Each contestant has a process of its own; SavedModels
run in TensorFlow's C++ loader. Nothing is timed unless 99.9 % of the pixels have the class of
Keras.

The memory is the peak of the process after one request. For the times, all contestants take turns
in random order; the first turn does not count, and the table has medians. If they do not fit into
the memory together, they run one after the other. Then `serving_default` and the bare graph take
turns alone: the ratio is that of their fastest turns.

The exit code is 1, and nothing is written, if classes differ, if `serving_default` takes more than
1.05 times as long as the bare graph, or if the PNG has more than a hundredth of the probabilities'
bytes on the demonstration's photograph.
"""

import argparse
import contextlib
import dataclasses
import gc
import importlib.metadata
import os
import pathlib
import random
import statistics
import sys
import tempfile

import numpy as np

from benchmarks import answers, contestants, plot, random_nets
from benchmarks.contestants import BARE, CONTESTANTS, MASK_PNG, SERVING_DEFAULT, TFLITE_INT8
from benchmarks.documents import report, table, write
from benchmarks.growth import available
from benchmarks.random_nets import NARROW
from exports.images import textures
from exports.runtimes import process

SIZE, BATCHES = (500, 500), (1, 4)
MOST_RATIO, LEAST_AGREEMENT, MOST_BYTES = 1.05, 0.999, 0.01
SWEEP = "unet"
SWEEP_BATCHES, SWEEP_SIDES = (1, 2, 4, 8, 16), (64, 128, 256, 512, 1024)
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "exports.md"
PLOT = DOCUMENT.with_suffix(".svg")
DEMONSTRATION = pathlib.Path("runs/demonstration")
DOCUMENT_TEXT = """\
# The cost of an answer

Written by `python -m benchmarks.exports`; run it again instead of editing. The program's docstring
explains the contestants.

{versions}; {cores} cores, no GPU. {widths}, random weights; medians of {repeats} turns.

## Time

Milliseconds for all images of the batch, {height} × {width} pixels each. All contestants take
turns. The last column is the time of `serving_default` divided by that of the bare graph: the
fastest turns when these two take turns alone. It must be at most {most_ratio}.

{times}

## Memory

The peak memory of the process after one request, in MB, with the runtime and the weights.

{memory}

## Integers

Measured once, not by this program, on 2 threads, with one image. Both nets have the authors' widths
and random weights, and are written with `--exact` in float32. The U-Net ran on a busy machine, 2
cores of an Intel Xeon at 2.8 GHz: medians of 7 turns. The FCN-8s ran on a quiet one, 2 cores of an
AMD EPYC: medians of 9 turns in 3 processes. Both processors have AVX-512 VNNI.

| model | pixels | runtime | float32, ms | int8, ms | ratio of medians | ratio of the fastest |
|---|---|---|--:|--:|--:|--:|
| unet | 320 × 320 | LiteRT | 15,628 | 2,642 | 5.9 | 5.5 |
| unet | 320 × 320 | OpenVINO | 8,121 | 2,724 | 3.0 | 3.3 |
| fcn8s | 320 × 320 | LiteRT | 589 | 110 | 5.3 | 5.0 |
| fcn8s | 320 × 320 | OpenVINO | 421 | 113 | 3.7 | 3.7 |

OpenVINO computes that same float32 file of the FCN-8s in bfloat16, if the program that loads it
asks for `INFERENCE_PRECISION_HINT: bf16` and the processor has it: in 216 ms, with the same class
for 99.0 % of the pixels of these random weights.

The pixels of the 100 held-out images of `shapes` to which a file gives the model's class, in
percent. The nets are those of the runs `shapes_unet` and `shapes_fcn8s_atonce` after 300 and 134
steps; 100 training images gave the ranges.

| model | TFLite `integer` | TFLite `mixed` | left in float32 by `mixed` | OpenVINO `integer` |
|---|--:|--:|---|--:|
| unet | 98.0 | 99.1 | conv_u0d-score, conv_d0b-c, conv_d1a-b | 98.4 |
| fcn8s_atonce | refused | 99.3 | score_fr, both sums, all up-samplings | 99.2 |

The refused file gave the model's class to 92.8 % of the pixels of its check. The trunk of an FCN
bears 8 bits, its scores do not: up-sampled and added, they lie close together.

For one image of 96 × 128 pixels in LiteRT, medians of 60 turns, the U-Net took 30 ms in float32, 9
in `integer` and 14 in `mixed`; the FCN-8s 98 in float32 and 39 in `mixed`.

## Bytes of an answer

The answers about the demonstration's photograph, {photograph}. REST writes numbers as text. The
PNG must have at most a hundredth of the bytes of the probabilities.

{bytes}

## Size of a batch and of an image

{sweep}, in TensorFlow's C++ loader, medians of {sweep_repeats} turns. `mask_png` computes one image
after the other, `serving_default` the whole batch at once.

![milliseconds per image by batch size, and by image size](exports.svg)
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """A model and a batch size: each contestant's seconds and peak bytes, and the ratio."""

    name: str
    batch: int
    seconds: dict[str, float]
    peak: dict[str, int]
    ratio: float


class DifferenceError(Exception):
    """A contestant gives other classes than Keras."""


def measured(files: contestants.Files, images: np.ndarray, repeats: int) -> Result:
    """Measures each contestant's memory alone, then the times of all in turns."""
    expected, peak = None, {}
    for name in CONTESTANTS:  # Keras is the first
        with contestants.loaded(name, files) as ask:
            class_map, _, peak[name] = ask(images)
        expected = class_map if expected is None else expected
        agreement = np.mean(class_map == expected)
        if agreement < LEAST_AGREEMENT and name != TFLITE_INT8:
            raise DifferenceError(
                f"{files.name}, {name}: {agreement:.3%} of the pixels have the class of Keras"
            )
    together = sum(peak.values()) < available()
    if not together:
        report("They do not fit into the memory together, so they run one after the other.")
    rounds = times(files, images, repeats, together=together)
    return Result(
        files.name,
        len(images),
        {name: statistics.median(turn[name] for turn in rounds) for name in CONTESTANTS},
        peak,
        ratio(files, images, repeats),
    )


def times(
    files: contestants.Files, images: np.ndarray, repeats: int, *, together: bool
) -> list[dict[str, float]]:
    """The seconds of each contestant in each round, without the first round."""
    order, rounds = random.Random(0), [{} for _ in range(repeats + 1)]
    names = CONTESTANTS
    for group in [names] if together else [(name,) for name in names]:
        with contextlib.ExitStack() as stack:
            asks = {name: stack.enter_context(contestants.loaded(name, files)) for name in group}
            for turns in rounds:
                for name in order.sample(group, len(group)):
                    turns[name] = asks[name](images)[1]
    return rounds[1:]


def ratio(files: contestants.Files, images: np.ndarray, repeats: int) -> float:
    """The fastest turn of `serving_default` divided by that of the bare graph.

    Both have two turns in a round. Other work on the machine makes some turns slower and none
    faster. It changes the medians more than the difference that is measured here.
    """
    turns = {BARE: [], SERVING_DEFAULT: []}
    with (
        contestants.loaded(BARE, files) as bare,
        contestants.loaded(SERVING_DEFAULT, files) as served,
    ):
        asks = {BARE: bare, SERVING_DEFAULT: served}
        for name in (BARE, SERVING_DEFAULT, SERVING_DEFAULT, BARE) * (repeats + 1):
            turns[name].append(asks[name](images)[1])
    return min(turns[SERVING_DEFAULT]) / min(turns[BARE])


def swept(files: contestants.Files, repeats: int) -> str:
    """Plots the milliseconds per image by batch size, and by image size."""
    batches, sides = {}, {}
    with process.loaded(files.served) as served:
        for name in (SERVING_DEFAULT, MASK_PNG):
            ask = contestants.answered_by(name, served)

            def image_ms(batch: int, side: int, ask: contestants.Ask = ask) -> float:
                images = textures(batch, (side, side), 3)
                turns = [ask(images)[1] for _ in range(repeats + 1)][1:]
                return 1000 * statistics.median(turns) / batch

            batches[name] = [(batch, image_ms(batch, 256)) for batch in SWEEP_BATCHES]
            sides[name] = [(side, image_ms(1, side)) for side in SWEEP_SIDES]
    panels = {
        "by batch, 256 × 256 pixels|images in the batch": batches,
        "by size, one image|pixels per side": sides,
    }
    return plot.svg(panels, y_label="ms per image")


def time_table(results: list[Result]) -> str:
    """A table with a row for each model and batch size."""
    rows = [
        (
            x.name,
            x.batch,
            *(f"{1000 * x.seconds[name]:.0f}" for name in CONTESTANTS),
            f"{x.ratio:.3f}",
        )
        for x in results
    ]
    return table(("model", "images", *CONTESTANTS, "ratio"), *rows)


def memory_table(results: list[Result]) -> str:
    """A table with a row for each model and batch size."""
    rows = [
        (
            x.name,
            x.batch,
            *(f"{x.peak[name] / 1e6:.0f}" for name in CONTESTANTS),
        )
        for x in results
    ]
    return table(("model", "images", *CONTESTANTS), *rows)


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables, writes them, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exports",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", choices=NARROW, metavar="MODEL", help=str([*NARROW]))
    parser.add_argument(
        "--full", action="store_true", help="use the authors' widths and only print"
    )
    parser.add_argument("--repeats", type=int, default=7, help="turns of each, 3 or more")
    parser.add_argument(
        "--demonstration", type=pathlib.Path, default=DEMONSTRATION, metavar="WORKDIR"
    )
    options = parser.parse_args(arguments)
    if options.repeats < 3:
        parser.error(f"the median needs 3 turns or more; received --repeats {options.repeats}")
    part = bool(options.models) or options.full
    try:
        sizes = None if part else answers.of_demonstration(options.demonstration)
        results, drawn = [], None
        for name in options.models or NARROW:
            image = textures(max(BATCHES), SIZE, 3)
            report(f"{name}: building and exporting …")
            model = random_nets.build(name, full=options.full, image=image[:1, :120, :160])
            with tempfile.TemporaryDirectory() as folder:
                files = contestants.write(model, pathlib.Path(folder), images=image)
                del model
                gc.collect()  # a Keras model refers to itself
                for batch in BATCHES:
                    report(f"{name}, {batch}: asking each contestant …")
                    results.append(measured(files, image[:batch], options.repeats))
                    report(time_table(results[-1:]).splitlines()[-1])
                if name == SWEEP and not part:
                    report("Batches and sizes …")
                    drawn = swept(files, options.repeats)
    except (DifferenceError, answers.MissingError) as error:
        report(f"{error}. Nothing is written.")
        return 1
    print(f"{time_table(results)}\n\n{memory_table(results)}")
    slow = [f"{x.name}, {x.batch}: {x.ratio:.3f}" for x in results if x.ratio > MOST_RATIO]
    if slow:
        report(f"serving_default takes too long compared with the bare graph: {'; '.join(slow)}.")
    if sizes:
        print(f"\n{answers.byte_table(sizes)}")
        if sizes.png > MOST_BYTES * sizes.probabilities:
            slow.append("bytes")
            report(f"The PNG has {sizes.png} bytes, the probabilities {sizes.probabilities}.")
    if slow:
        report("Nothing is written.")
        return 1
    if not part:
        names = ("tensorflow", "keras", "ai-edge-litert", "numpy")
        text = DOCUMENT_TEXT.format(
            versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in names),
            cores=os.cpu_count(),
            widths="A quarter of the authors' widths",
            repeats=options.repeats,
            height=SIZE[0],
            width=SIZE[1],
            most_ratio=MOST_RATIO,
            times=time_table(results),
            memory=memory_table(results),
            photograph=sizes.photograph,
            bytes=answers.byte_table(sizes),
            sweep=f"{SWEEP} of a quarter of the authors' widths",
            sweep_repeats=options.repeats,
        )
        write(drawn, PLOT)
        write(text, DOCUMENT)
        report(f"Wrote {DOCUMENT} and {PLOT}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
