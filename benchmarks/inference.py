"""What the methods of inference bring and cost, on scenes that training did not see.

    python -m benchmarks.inference --runs runs

The runs shapes_fcn8s, shapes_deconvnet and shapes_unet lie in the folder; those that do not are
trained first, with the seed of their recipes. Each row is a process of its own, one after the
other: it answers all held-out scenes, and reports the scores, the seconds for an image (the median,
without the first) and the most memory that it held. The program writes docs/inference.md and its
picture; with `--images` it answers fewer scenes, and only prints.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

import zoo
from benchmarks import scenes
from benchmarks.documents import table, write
from exports.runtimes import process
from recipes.training import environment
from zoo import files
from zoo.inference import Method, Scorer, class_map, proposals, scorer

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "inference.md"
PICTURE = ROOT / "docs" / "images" / "inference.png"
DISTANCE = 3  # pixels from an edge, for Boundary IoU
SHOWN = (0, 3, 8)  # scenes of the picture

LEAST = 0.002  # a smaller difference of the mean IoU is none
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "FCN-8s": ("shapes_fcn8s", {}),
    "FCN-8s, 2 flips": ("shapes_fcn8s", {"flips": "horizontal"}),
    "FCN-8s, 4 flips": ("shapes_fcn8s", {"flips": "four"}),
    "FCN-8s, 4 flips and turns": ("shapes_fcn8s", {"flips": "four", "turns": True}),
    "FCN-8s, 3 scales": ("shapes_fcn8s", {"scales": (0.75, 1.25)}),
    "FCN-8s, CRF": ("shapes_fcn8s", {"crf": True}),
    "DeconvNet": ("shapes_deconvnet", {}),
    "DeconvNet, proposals": ("shapes_deconvnet", {"proposals": True}),
    "DeconvNet, proposals at 96×96": ("shapes_deconvnet", {"proposals": True, "size": 96}),
    "DeconvNet, 4 flips": ("shapes_deconvnet", {"flips": "four"}),
    "ensemble of FCN-8s and DeconvNet": ("shapes_fcn8s", {"with": "shapes_deconvnet"}),
    "ensemble, product": ("shapes_fcn8s", {"with": "shapes_deconvnet", "product": True}),
    "ensemble of FCN-8s and U-Net": ("shapes_fcn8s", {"with": "shapes_unet"}),
    "ensemble of FCN-8s and U-Net, CRF": ("shapes_fcn8s", {"with": "shapes_unet", "crf": True}),
    "U-Net": ("shapes_unet", {}),
    "U-Net, 4 flips": ("shapes_unet", {"flips": "four"}),
    "U-Net, CRF": ("shapes_unet", {"crf": True}),
    "U-Net on mosaics": ("shapes_unet", {"mosaic": True}),
    "U-Net on mosaics, tiles of 160": ("shapes_unet", {"mosaic": True, "tile": 160}),
    "U-Net on mosaics, tiles of 160 that overlap by 16": (
        *("shapes_unet", {"mosaic": True, "tile": 160, "overlap": 16}),
    ),
}
PICTURED = (
    "FCN-8s",
    "FCN-8s, 4 flips",
    "FCN-8s, CRF",
    "DeconvNet",
    "DeconvNet, proposals",
    "U-Net",
)


TEXT = """\
# Methods of inference

Written by `python -m benchmarks.inference`; run it again instead of editing.

What happens after the network, on `shapes`: {images} scenes of 96×128 that training did not see.
The nets are those of the recipes `shapes_fcn8s`, `shapes_deconvnet` and `shapes_unet`: narrow,
trained from scratch for 800 steps, one seed each. `zoo predict` and `zoo evaluate` take each method
as an option.

![Three scenes, their labels and the answers]({picture})

{table}

Mean IoU and Boundary IoU (within {distance} pixels of an edge, Cheng et al., CVPR 2021) are over
all scenes. The gain is that of the mean IoU over the net alone, for an ensemble over FCN-8s;
"times" are the milliseconds as a multiple of its own. Milliseconds are the median of an answer; the
peak is that of a process that loads the nets and answers all scenes, most of which is TensorFlow
itself. Hardware: {hardware}; one row after the other.

{verdict}

The mosaics are of 3 × 3 scenes. The nets saw whole scenes at their own size, and never a window
that is enlarged, as DeconvNet's authors train theirs: proposals cannot help this DeconvNet.

One seed of narrow nets on drawn scenes: what helps here need not help on photographs, whose edges
and colours the settings of the CRF and of the proposals were chosen for.

## The methods

- `--tile`: tiles that overlap, of which the interior counts. U-Net (arXiv:1505.04597), Figure 2.
- `--flips`, `--turns`, `--scales`: the mean over mirrored, turned and scaled images. U-Net's
  release averages four flips.
- `--proposals`: boxes that are likely to hold an object, scaled to 224×224, and the largest of
  their scores. DeconvNet (arXiv:1505.04366), Section 4.4.
- `--ensemble`: the mean of the probabilities of several models (the same section); `--product`
  multiplies them, in the manner of the release.
- `--crf`: a fully connected CRF (Krähenbühl and Koltun, NIPS 2011) with the settings of DeconvNet's
  release.

Sliding windows, the alternative to a dense net, are in [dense_vs_windows.md](dense_vs_windows.md).
"""


def composed(runs: pathlib.Path, run: str, options: dict[str, Any]) -> Scorer:
    """The Scorer of a row."""
    size = options.get("size")
    options = {name: value for name, value in options.items() if name not in ("mosaic", "size")}
    others = [scorer(runs / options.pop("with"))] if "with" in options else []
    method = Method(**options)
    if size is not None:  # of the windows, which is no option
        rules = dataclasses.replace(proposals.PAPER, size=size)
        return proposals.proposals(method.scorer(runs / run), rules=rules)
    return method.composed(method.scorer(runs / run), others)


def measured(runs: pathlib.Path, row: str, images: int) -> dict[str, Any]:
    """The scores, seconds an image and peak memory of a row; run in a process of its own."""
    from recipes.data.sets import shapes

    run, options = ROWS[row]
    answer = composed(runs, run, options)
    dataset = shapes.load(runs / run / "data")["val"]
    classes = len(dataset.class_names)
    matrix, counts = np.zeros((classes, classes), np.int64), np.zeros((2, classes), np.int64)
    seconds = []
    for image, label in examples(dataset, images, mosaic="mosaic" in options):
        began = time.perf_counter()
        found = class_map(answer, image)
        seconds.append(time.perf_counter() - began)
        matrix += zoo.metrics.confusion_matrix(label, found, classes=classes)
        counts += zoo.metrics.boundary_counts(label, found, classes=classes, distance=DISTANCE)
    shown = [class_map(answer, dataset.example(index)[0]).tolist() for index in SHOWN]
    return {
        "mean_iou": zoo.metrics.scores(matrix)["mean_iou"],
        "boundary_iou": zoo.metrics.boundary_scores(counts)["mean_boundary_iou"],
        "seconds": statistics.median(seconds[1:]),
        "megabytes": process.peak_bytes() / 1e6,
        "class_maps": shown if row in PICTURED else None,
    }


def examples(dataset: Any, images: int, *, mosaic: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The images and labels of scenes, or of mosaics of 3 × 3 of them; what is left over is not."""
    scenes = map(dataset.example, range(images))
    if not mosaic:
        yield from scenes
        return
    while len(nine := list(itertools.islice(scenes, 9))) == 9:
        rows = [zip(*nine[first : first + 3], strict=True) for first in (0, 3, 6)]
        joined = [[np.concatenate(part, 1) for part in row] for row in rows]
        yield tuple(np.concatenate(part) for part in zip(*joined, strict=True))


def in_a_process(runs: pathlib.Path, row: str, images: int) -> dict[str, Any]:
    """`measured`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.inference", "--runs", str(runs), "--row", row]
    done = subprocess.run(
        [*command, "--images", str(images)], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout.splitlines()[-1])


def _base(row: str) -> str:
    """The row that another one is compared with: the net alone, FCN-8s for an ensemble."""
    return "FCN-8s" if row.startswith("ensemble") else row.partition(",")[0]


def results_table(found: dict[str, dict[str, Any]]) -> str:
    """A line for each row, with what it brings beside the net alone."""
    lines = []
    for row, result in found.items():
        base = found[_base(row)]
        gain = result["mean_iou"] - base["mean_iou"]
        lines.append(
            (
                row,
                f"{result['mean_iou']:.4f}",
                "" if base is result else f"{gain:+.4f}",
                f"{result['boundary_iou']:.4f}",
                f"{result['seconds'] * 1e3:.0f}",
                f"{result['seconds'] / base['seconds']:.1f}",
                f"{result['megabytes']:.0f}",
            )
        )
    head = ("method", "mean IoU", "gain", "Boundary IoU", "ms an image", "times", "peak MB")
    return table(head, *lines)


def sheet(runs: pathlib.Path, found: dict[str, dict[str, Any]]) -> Image.Image:
    """The scenes, their labels and the answers of the pictured rows, side by side."""
    from recipes.data.sets import shapes

    dataset = shapes.load(runs / "shapes_fcn8s" / "data")["val"]
    answers = {row: found[row]["class_maps"] for row in PICTURED}
    return scenes.sheet(dataset, SHOWN, answers)


def train_missing(runs: pathlib.Path) -> None:
    """Trains the runs that are not in the folder, or not finished."""
    for run in dict.fromkeys(run for run, _ in ROWS.values()):
        command = [sys.executable, "-m", "zoo", "train", run, "--workdir", str(runs / run)]
        subprocess.run(command, cwd=ROOT, check=True)


def main(arguments: list[str] | None = None) -> int:
    """Measures all rows, prints the table and writes the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=pathlib.Path, required=True, help="the folder of the runs")
    parser.add_argument("--images", type=int, default=100, help="default: 100, all of them")
    parser.add_argument("--row", choices=ROWS, metavar="NAME", help="measure this one, as JSON")
    given = parser.parse_args(arguments)
    if given.images < 2:
        parser.error(f"--images is 2 or more; received {given.images}. Pass 100.")
    runs = given.runs.absolute()
    if given.row:
        print(json.dumps(measured(runs, given.row, given.images)))
        return 0
    train_missing(runs)
    found = {}
    for row in ROWS:
        found[row] = in_a_process(runs, row, given.images)
        print(f"{row}: mean IoU {found[row]['mean_iou']:.4f}", flush=True)
    text = TEXT.format(
        images=given.images,
        picture=PICTURE.relative_to(DOCUMENT.parent),
        distance=DISTANCE,
        hardware=environment.hardware(),
        table=results_table(found),
        verdict=verdict(found),
    )
    print(text)
    if given.images == parser.get_default("images"):
        with files.replacing(PICTURE) as unfinished:
            sheet(runs, found).save(unfinished)
        write(text, DOCUMENT)
    return 0


def verdict(found: dict[str, dict[str, Any]]) -> str:
    """Which methods help and which do not, by their gain in mean IoU."""

    def gain(row: str) -> float:
        return found[row]["mean_iou"] - found[_base(row)]["mean_iou"]

    compared = [row for row in found if _base(row) != row]
    helps = [f"{row} ({gain(row):+.4f})" for row in compared if gain(row) > LEAST]
    harms = [f"{row} ({gain(row):+.4f})" for row in compared if gain(row) < -LEAST]
    none = [row for row in compared if abs(gain(row)) <= LEAST]
    said = {"Helps": helps, "Makes it worse": harms, f"Changes at most {LEAST}": none}
    return "\n".join(f"- **{word}:** {'; '.join(rows) or 'none'}." for word, rows in said.items())


if __name__ == "__main__":
    sys.exit(main())
