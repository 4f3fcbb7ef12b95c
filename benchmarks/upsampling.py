"""What the ways down and up bring and cost, from full resolution to U-Net.

    python -m benchmarks.upsampling

Each net is trained from scratch on `shapes` by the recipe shapes_unet, with the same widths and for
the same seconds: a short run tells how many steps fit into them, so that each learning rate falls
to zero at its end. Then it answers all held-out scenes. The program writes docs/upsampling.md and
its picture; with other `--seconds` than the default, or some `--rows` alone, it only prints. It
takes about 12 minutes.
"""

import argparse
import csv
import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

import zoo
from benchmarks import scenes
from benchmarks.documents import table, write
from recipes import runs
from recipes.data.sets import shapes
from recipes.training import environment
from recipes.training.train import train
from zoo import files
from zoo.inference import class_map, memory, scorer

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "upsampling.md"
PICTURE = ROOT / "docs" / "images" / "upsampling.png"
RECIPE = runs.find("shapes_unet")
SECONDS = 40  # of training
TIMED = 24  # steps of the run that tells how many fit into the seconds; the last two thirds count
DISTANCE = 3  # pixels from an edge, for Boundary IoU
SHOWN = (0, 3, 8)  # scenes of the picture

_LEVELS = {"filters": 16, "depth": 3}


def _levels(up: str, down: str = "pooling") -> tuple[str, dict[str, Any]]:
    return "encoder_decoder", _LEVELS | {"downsampling": down, "upsampling": up}


ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "full resolution": ("fullres", {"filters": 16, "depth": 8}),
    "nearest": _levels("nearest"),
    "bed of nails": _levels("bed_of_nails"),
    "max-unpooling": _levels("max_unpooling"),
    "transposed": _levels("transposed"),
    "bilinear": _levels("bilinear"),
    "strided": _levels("transposed", "strided"),
    "SegNet": ("segnet", {"filters": 16}),
    "U-Net": ("unet", _LEVELS),
}
TEXT = """\
# Down and up again

Written by `python -m benchmarks.upsampling`; run it again instead of editing.

The steps of a lecture ("Detection and Segmentation", Lecture 11 of CS231n, Stanford 2017) from
convolutions at full resolution to U-Net, on `shapes`: drawn scenes of 96×128. Each net is trained
from scratch by the recipe `shapes_unet` for {seconds} seconds, one seed, and answers {images}
scenes that training did not see.

![Three scenes, their labels and the answers]({picture})

{table}

- `full resolution` is `fullres`: 8 convolutions of 16 filters, without pooling.
- The next six are `encoder_decoder` with 16 filters and 3 levels: down by pooling and up by what
  the row says; `strided` goes down by strided and up by transposed convolutions.
- `SegNet` has VGG's 5 stages with 16 to 128 filters, and batch normalization, which the others have
  not.
- `U-Net` has the levels of `encoder_decoder`, and the skips.

Mean IoU and Boundary IoU (within {distance} pixels of an edge, Cheng et al., CVPR 2021) are over
all scenes. Steps are of 8 crops of 96×96. Bytes a pixel are what an answer takes beside the
weights, by `zoo.inference.memory`: the outputs of layers that live at the same time, twice.
Training keeps the outputs of all layers. Hardware: {hardware}; one row after the other.

{verdict}

One seed and {seconds} seconds of narrow nets: small differences are none, and a net that learns
slowly is not done. On other machines other numbers of steps fit into the seconds.
"""


def fitting(recipe: Any, seconds: float, folder: pathlib.Path, data: pathlib.Path) -> float:
    """How many steps of a recipe fit into some seconds, by a short run."""
    train(dataclasses.replace(recipe, steps=TIMED, log_every=TIMED // 3), folder, data_dir=data)
    return _rate(folder) * seconds


def _rate(folder: pathlib.Path) -> float:
    """Steps a second of a run, between its second row of the log and its last.

    The first row is that of the first step, in whose seconds the graph is traced.
    """
    with open(folder / "log.csv", newline="") as file:
        _, second, *_, last = csv.DictReader(file)
    steps, seconds = (float(last[name]) - float(second[name]) for name in ("step", "seconds"))
    return steps / seconds


def measured(
    row: str, seconds: float, images: int, folder: pathlib.Path, data: pathlib.Path
) -> dict[str, Any]:
    """Trains the net of a row for some seconds, and scores it."""
    model, options = ROWS[row]
    recipe = dataclasses.replace(RECIPE, model=model, options=options)
    steps = max(round(fitting(recipe, seconds, folder / "timed", data)), 3)
    run = folder / "run"
    recipe = dataclasses.replace(recipe, steps=steps, log_every=max(steps // 20, 1))
    train(recipe, run, data_dir=data)
    trained = zoo.load(run)
    answer, dataset = scorer(trained), shapes.load(data)["val"]
    classes = len(dataset.class_names)
    matrix, counts = np.zeros((classes, classes), np.int64), np.zeros((2, classes), np.int64)
    for image, label in map(dataset.example, range(images)):
        found = class_map(answer, image)
        matrix += zoo.metrics.confusion_matrix(label, found, classes=classes)
        counts += zoo.metrics.boundary_counts(label, found, classes=classes, distance=DISTANCE)
    return {
        "parameters": trained.count_params(),
        "steps": steps,
        "rate": _rate(run),
        "mean_iou": zoo.metrics.scores(matrix)["mean_iou"],
        "boundary_iou": zoo.metrics.boundary_scores(counts)["mean_boundary_iou"],
        "bytes": memory.bytes_per_pixel(trained),
        "class_maps": [class_map(answer, dataset.example(place)[0]) for place in SHOWN],
    }


def results_table(found: dict[str, dict[str, Any]]) -> str:
    """A line for each row."""
    head = ("net", "mean IoU", "Boundary IoU", "bytes a pixel", "steps/s", "steps", "parameters")
    lines = [
        (
            row,
            f"{x['mean_iou']:.4f}",
            f"{x['boundary_iou']:.4f}",
            f"{x['bytes']:.0f}",
            f"{x['rate']:.1f}",
            x["steps"],
            f"{x['parameters']:,}",
        )
        for row, x in found.items()
    ]
    return table(head, *lines)


def verdict(found: dict[str, dict[str, Any]]) -> str:
    """The order of the rows by each score, the best first."""
    lines = []
    for title, score in (("Mean IoU", "mean_iou"), ("Boundary IoU", "boundary_iou")):
        order = sorted(found, key=lambda row: -found[row][score])
        lines.append(f"- **{title}**, best first: {', '.join(order)}.")
    return "\n".join(lines)


def sheet(data: pathlib.Path, found: dict[str, dict[str, Any]]) -> Image.Image:
    """The scenes, their labels and the answer of each row."""
    answers = {row: result["class_maps"] for row, result in found.items()}
    return scenes.sheet(shapes.load(data)["val"], SHOWN, answers, scale=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and measures all rows, prints the table and writes the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.upsampling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"default: {SECONDS}")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=", ".join(ROWS))
    given = parser.parse_args(arguments)
    if given.seconds <= 0:
        parser.error(f"--seconds is more than 0; received {given.seconds:g}. Pass {SECONDS}.")
    found, images = {}, 100
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "data")
        for row in given.rows or ROWS:
            place = pathlib.Path(folder, row)
            found[row] = measured(row, given.seconds, images, place, data)
            print(f"{row}: mean IoU {found[row]['mean_iou']:.4f}", flush=True)
        text = TEXT.format(
            seconds=f"{given.seconds:g}",
            images=images,
            picture=PICTURE.relative_to(DOCUMENT.parent),
            distance=DISTANCE,
            hardware=environment.hardware(),
            table=results_table(found),
            verdict=verdict(found),
        )
        print(text)
        if given.seconds == SECONDS and not given.rows:
            with files.replacing(PICTURE) as unfinished:
                sheet(data, found).save(unfinished, format="png")
            write(text, DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
