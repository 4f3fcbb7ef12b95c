"""Whole images against patches and against loss sampling, as the FCN paper compares them.

    python -m benchmarks.sampling

Shelhamer, Long and Darrell, TPAMI 2017, Section 3.4 and Figure 5, say that drawing the loss from a
part of an image makes training no better step by step, and slower, since more images are computed
for as many pixels of loss. Here the recipe shapes_fcn8s is trained three times, each step on as
many labelled pixels, and scored on the way. Writes docs/sampling.md; `--steps` other than the
default only prints.
"""

import argparse
import csv
import dataclasses
import pathlib
import sys
import tempfile

from benchmarks.parity import table, write
from recipes.runs.shapes_fcn8s import RECIPE
from recipes.training import records
from recipes.training.train import train

STEPS, SCORED = 400, 4  # of a run; times that it is scored
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "sampling.md"
# The scenes are 96×128; what a crop has beyond them is void. 24 patches of 64×64 have as many
# pixels as 8 scenes.
VARIANTS = {
    "whole images": {"crop": 128, "batch_size": 8},
    "patches of 64×64": {"crop": 64, "batch_size": 24},
    "loss sampling, p = 0.5": {"crop": 128, "batch_size": 16, "loss_sampling": 0.5},
}
TEXT = """\
# Whole images, patches, loss sampling

Written by `python -m benchmarks.sampling`; run it again instead of editing.

The recipe `shapes_fcn8s` (a narrow FCN-8s from scratch, one seed) with {steps} steps, on the same
400 scenes of 96×128. Each step has the loss of 98,304 pixels: of 8 whole scenes, of 24 patches, or
of 16 scenes of which each cell of 32×32 is kept with probability 0.5. {hardware}, one
run after the other; seconds are those of the run with its scoring.

{table}

The mean IU is that of the 100 held-out scenes after so many steps.
"""


def measured(changes: dict, steps: int, folder: pathlib.Path, data: pathlib.Path) -> list[str]:
    """Trains one variant: its seconds, its seconds for each step, and its mean IU on the way."""
    recipe = dataclasses.replace(RECIPE, steps=steps, validate_every=steps // SCORED, **changes)
    train(recipe, folder, data_dir=data)
    with open(folder / "log.csv", newline="") as file:
        *_, last = csv.DictReader(file)
    with open(folder / "scores.csv", newline="") as file:
        scores = [f"{float(row['mean_iou']):.3f}" for row in csv.DictReader(file)]
    seconds = float(last["seconds"])
    return [f"{seconds:.0f}", f"{seconds / steps:.2f}", *scores]


def main(arguments: list[str] | None = None) -> int:
    """Trains, prints the table and writes it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default: {STEPS}")
    steps = parser.parse_args(arguments).steps
    if steps < SCORED or steps % SCORED:
        parser.error(f"--steps is a multiple of {SCORED}; received {steps}. Pass {STEPS}.")
    scored = [f"after {number * steps // SCORED}" for number in range(1, SCORED + 1)]
    rows = [("", "images a step", "seconds", "a step", *scored)]
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, changes) in enumerate(VARIANTS.items()):
            print(f"{name}:", flush=True)
            place = pathlib.Path(folder, str(number))
            found = measured(changes, steps, place, pathlib.Path(folder, "data"))
            rows.append((name, str(changes["batch_size"]), *found))
    text = TEXT.format(steps=steps, hardware=records.hardware(), table=table(*rows))
    print(text)
    if steps == STEPS:
        write(text, DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
