"""Compares training on whole images, on patches and with loss sampling, as the FCN paper does.

    python -m benchmarks.sampling

Shelhamer, Long and Darrell, TPAMI 2017, Section 3.4 and Figure 5, take the loss over a part of each
image. They report that this is not better per step, and that it is slower, because more images are
computed for the same number of pixels. Here the recipe shapes_fcn8s is trained three times, each
step with the loss of the same number of pixels, and scored four times. The program writes
docs/sampling.md; with other `--steps` than the default it only prints.
"""

import argparse
import csv
import dataclasses
import pathlib
import sys
import tempfile

from benchmarks.documents import table, write
from recipes import runs
from recipes.training import environment
from recipes.training.train import train

STEPS, SCORED = 400, 4  # steps of a run; how often it is scored
RECIPE = runs.find("shapes_fcn8s")
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "sampling.md"
# The scenes are 96×128; a larger crop is filled with void. 24 patches of 64×64 have as many pixels
# as 8 scenes.
VARIANTS = {
    "whole images": {"crop": 128, "batch_size": 8},
    "patches of 64×64": {"crop": 64, "batch_size": 24},
    "loss sampling, p = 0.5": {"crop": 128, "batch_size": 16, "loss_sampling": 0.5},
}
TEXT = """\
# Whole images, patches, loss sampling

Written by `python -m benchmarks.sampling`; run it again instead of editing.

The recipe `shapes_fcn8s` (a narrow FCN-8s from scratch, one seed) is trained for {steps} steps on
the same 400 scenes of 96×128. The loss of each step is over 98,304 pixels: 8 whole scenes, 24
patches, or 16 scenes in which each cell of 32×32 is kept with probability 0.5. Hardware:
{hardware}; one run after the other. The seconds include the scoring.

{table}

The last columns are the mean IoU on the 100 held-out scenes after that many steps.
"""


def measured(changes: dict, steps: int, folder: pathlib.Path, data: pathlib.Path) -> list[str]:
    """Trains one variant. Returns its seconds, seconds per step, and mean IoU at each scoring."""
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
    text = TEXT.format(steps=steps, hardware=environment.hardware(), table=table(*rows))
    print(text)
    if steps == STEPS:
        write(text, DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
