"""Compares U-Net's borders in training: mirrored crops, real context, padding with zeros.

    python -m benchmarks.unet_borders

Each row is the recipe shapes_unet with another border, on mosaics of 3 × 3 scenes, in which the
image goes on around nearly every crop. A row is a process of its own, one after the other. It takes
some steps to learn how many fit into the seconds that each row gets, trains so many from scratch,
for each seed, and scores the held-out mosaics. The program writes docs/unet_borders.md; with other
`--seconds` or `--seeds` than the defaults it only prints.
"""

import argparse
import csv
import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
from PIL import Image

import zoo
from benchmarks.documents import table, write
from exports.runtimes import process
from recipes import runs, scoring
from recipes.data.sets import folder as folders
from recipes.data.sets import shapes
from recipes.training import environment
from recipes.training.recipe import Recipe
from recipes.training.train import train
from zoo.layers import MirrorPadding, PadToMultiple

SECONDS, SEEDS = 45, 2
TRAINING, HELD_OUT = 40, 11  # mosaics, of nine scenes each
FIRST, LAST = 4, 20  # the steps whose time tells the rate
RECIPE = dataclasses.replace(
    runs.find("shapes_unet"), data="folder", batch_size=4, log_every=1, save_every=10**6
)
ROOT = pathlib.Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "unet_borders.md"
ROWS: dict[str, dict[str, Any]] = {
    "mirrored crops": {"context": False},
    "real context": {},
    "padded with zeros": {"options": RECIPE.options | {"border": "same"}},
}
TEXT = """\
# U-Net's border in training

Written by `python -m benchmarks.unet_borders`; run it again instead of editing.

U-Net's convolutions lose pixels at the border of what they see, so a crop that is scored needs
pixels around it. There are three ways to them:

- **mirrored crops** (`--no-context`): the crop is mirrored at its edges, though the image goes on;
- **real context** (the default): the crop lies in a tile of the image, as in the paper; only what
  lies outside of the image is mirrored. The weights are those of the same net;
- **padded with zeros** (`--options '{{"border": "same"}}'`): no pixel is lost, as in most
  re-implementations. It is another function of the same weights.

The recipe `shapes_unet` (narrow, depth {depth}, from scratch) takes batches of {batch} crops of
{crop} × {crop} from {training} mosaics of 3 × 3 scenes, 288 × 384 pixels. The seconds of training
for each row and seed: {seconds}; seeds: {seeds}. Hardware: {hardware}; one row after the other.

{table}

Mean IoU is over {held_out} mosaics that training did not see, answered whole: the mean of the
seeds, and the least and the largest. The pixels are those of the image that a crop makes the net
compute. The peak is that of a process that trains, most of which is TensorFlow itself.

{verdict}

The net of the paper, of depth 4, computes {paper_mirrored}² pixels for a crop of 256 with either of
the first two, and {paper_padded}² when it pads with zeros: {paper_times:.1f} times fewer.

These are few seconds, narrow nets and drawn scenes: on photographs, and after hours, the order may
be another.
"""


def write_mosaics(folder: pathlib.Path, *, training: int, held_out: int) -> None:
    """Draws mosaics of 3 × 3 scenes as a folder of images and masks."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(shapes.CLASS_NAMES), encoding="utf-8")
    names = [f"{index:03d}" for index in range(training + held_out)]
    for index, name in enumerate(names):
        scenes = [shapes.scene(0, 9 * index + place) for place in range(9)]
        for part, pixels in zip(("images", "masks"), zip(*scenes, strict=True), strict=True):
            rows = [np.concatenate(pixels[first : first + 3], 1) for first in (0, 3, 6)]
            Image.fromarray(np.concatenate(rows)).save(folder / part / f"{name}.png")
    for split, part in (("train", names[:training]), ("val", names[training:])):
        (folder / f"{split}.txt").write_text("\n".join(part), encoding="utf-8")


def recipe_of(row: str) -> Recipe:
    """The recipe of a row."""
    return dataclasses.replace(RECIPE, **ROWS[row])


def computed(row: str, *, depth: int, crop: int) -> int:
    """The side of the image that the net of a row computes for a crop, in pixels."""
    border = recipe_of(row).options.get("border", "mirror")
    model = zoo.build("unet", filters=1, depth=depth, border=border)
    (layer,) = (x for x in model.layers if isinstance(x, MirrorPadding | PadToMultiple))
    return layer.compute_output_shape((1, crop, crop, 3))[1]


def rate(folder: pathlib.Path) -> float:
    """The steps per second of a run, without its first steps, in which the graph is built."""
    with open(folder / "log.csv", newline="", encoding="utf-8") as file:
        rows = {int(row["step"]): float(row["seconds"]) for row in csv.DictReader(file)}
    last = max(rows)
    return (last - FIRST) / (rows[last] - rows[FIRST])


def measured(row: str, data: pathlib.Path, *, seconds: float, seeds: int) -> dict[str, Any]:
    """Steps, rate, scores and peak memory of a row; run in a process of its own."""
    recipe = recipe_of(row)
    held_out = folders.load(data)["val"]
    with tempfile.TemporaryDirectory() as place:
        first = pathlib.Path(place, "rate")
        train(dataclasses.replace(recipe, steps=LAST), first, data_dir=data)
        steps = max(LAST, round(seconds * rate(first)))
        models, rates = [], []
        for seed in range(seeds):
            workdir = pathlib.Path(place, str(seed))
            seeded = dataclasses.replace(recipe, steps=steps, seed=seed)
            models.append(train(seeded, workdir, data_dir=data))
            rates.append(rate(workdir))
    peak = process.peak_bytes()  # before whole mosaics are answered
    scores = [scoring.measure(scoring.of_model(model), held_out) for model in models]
    return {
        "steps": steps,
        "rate": statistics.mean(rates),
        "mean_iou": [float(score["mean_iou"]) for score in scores],
        "megabytes": peak / 1e6,
    }


def in_a_process(row: str, data: pathlib.Path, *, seconds: float, seeds: int) -> dict[str, Any]:
    """`measured`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.unet_borders", "--row", row, "--data", str(data)]
    command += ["--seconds", str(seconds), "--seeds", str(seeds)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def results_table(found: dict[str, dict[str, Any]]) -> str:
    """A line for each row."""
    lines = []
    for row, result in found.items():
        side = computed(row, depth=RECIPE.options["depth"], crop=RECIPE.crop)
        ious = result["mean_iou"]
        lines.append(
            (
                *(row, f"{side}²", f"{result['rate']:.2f}", result["steps"]),
                f"{statistics.mean(ious):.4f}",
                f"{min(ious):.4f} to {max(ious):.4f}",
                f"{result['megabytes']:.0f}",
            )
        )
    head = ("", "pixels of a crop", "steps/s", "steps", "mean IoU", "of the seeds", "peak MB")
    return table(head, *lines)


def verdict(found: dict[str, dict[str, Any]]) -> str:
    """Which row has the best mean IoU, and whether every seed of it beats all other seeds."""
    means = {row: statistics.mean(result["mean_iou"]) for row, result in found.items()}
    order = sorted(means, key=means.get, reverse=True)
    best, second = order[:2]
    clear = min(found[best]["mean_iou"]) > max(
        iou for row in order[1:] for iou in found[row]["mean_iou"]
    )
    seeds = "every seed of it is above all others" if clear else "the seeds overlap"
    return (
        f"**In this time the best is: {best}** ({means[best]:.4f}). The next is {second} "
        f"({means[second]:.4f}); {seeds}."
    )


def text_of(found: dict[str, dict[str, Any]], *, seconds: float, seeds: int) -> str:
    """The document."""
    mirrored, padded = (
        computed(row, depth=4, crop=256) for row in ("mirrored crops", "padded with zeros")
    )
    return TEXT.format(
        seconds=f"{seconds:g}",
        seeds=seeds,
        depth=RECIPE.options["depth"],
        batch=RECIPE.batch_size,
        crop=RECIPE.crop,
        training=TRAINING,
        held_out=HELD_OUT,
        hardware=environment.hardware(),
        table=results_table(found),
        verdict=verdict(found),
        paper_mirrored=mirrored,
        paper_padded=padded,
        paper_times=mirrored**2 / padded**2,
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures all rows, prints the document and writes it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.unet_borders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of a training; default: {SECONDS}"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default: {SEEDS}")
    parser.add_argument("--row", choices=ROWS, metavar="NAME", help="measure this one, as JSON")
    parser.add_argument("--data", type=pathlib.Path, help="with --row: the folder of the mosaics")
    given = parser.parse_args(arguments)
    if not given.seconds > 0 or given.seeds < 1:
        parser.error(
            f"--seconds is above 0 and --seeds at least 1; received {given.seconds:g} and "
            f"{given.seeds}. Pass {SECONDS} and {SEEDS}."
        )
    budget = {"seconds": given.seconds, "seeds": given.seeds}
    if given.row:
        print(json.dumps(measured(given.row, given.data, **budget)))
        return 0
    found = {}
    with tempfile.TemporaryDirectory() as place:
        data = pathlib.Path(place, "mosaics")
        write_mosaics(data, training=TRAINING, held_out=HELD_OUT)
        for row in ROWS:
            found[row] = in_a_process(row, data, **budget)
            print(f"{row}: {found[row]}", flush=True)
    text = text_of(found, **budget)
    print(text)
    if (given.seconds, given.seeds) == (SECONDS, SEEDS):
        write(text, DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
