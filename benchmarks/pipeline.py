"""Times the reading, augmenting and batching of examples by the zoo, a plain loop and PyTorch.

    python -m benchmarks.pipeline

The program draws a data set in PASCAL VOC's layout into a temporary folder: JPEG images of 500×500
and palette PNG labels. The contestants make batches of 8 examples, images and labels in uint8:

    zoo          recipes.data.pipeline.batches
    loop         Pillow and NumPy, one example after the other
    DataLoader   the same code in torch.utils.data.DataLoader, with a worker for each core

Before anything is timed, the code of loop and DataLoader must make the same examples as the zoo
from the same random numbers. Grey levels may differ by 3 at most and by 0.5 on average, and 98 % of
the label must be equal; otherwise the exit code is 1. In every turn each contestant has one run, in
random order, so that a busy moment of the machine affects all of them. The first and last batches
of a run are not counted, because queues are empty or full then. A ratio is the median over the
turns.

Then the memory is measured. A new process reads images from few files, and another one reads as
many images from many files, which are links to the few. The program needs Linux and takes some
minutes. Without options it also writes docs/pipeline.md.
"""

import argparse
import dataclasses
import importlib.metadata
import io
import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

import zoo.pictures
from benchmarks.documents import report, table, write
from benchmarks.unpooling import INSTALL
from recipes.data import pipeline
from recipes.data.dataset import Dataset
from recipes.data.sets import voc
from recipes.training.environment import hardware

try:
    import torch
except ImportError:
    torch = None

CONTESTANTS = ("zoo", "loop", "DataLoader")
SIZE, BATCH = 500, 8
BEFORE, COUNTED, AFTER = 6, 16, 4  # batches of a run
FILES = 48  # in the data set that is timed
# The crop, and what is augmented.
CASES = {
    "whole images: flip": (SIZE, ("flip",)),
    "whole images: flip, light": (SIZE, ("flip", "light")),
    "crops of 384: scale, flip, light": (384, ("scale", "flip", "light")),
}
# A program of its own, because this module imports PyTorch.
READER = """
import zoo, pathlib, sys
from exports.runtimes.process import peak_bytes
from recipes.data import pipeline
from recipes.data.sets import voc
dataset, last = voc.load(pathlib.Path(sys.argv[1]))["train"], int(sys.argv[2]) // 8
options = dict(seed=0, crop=384, augment=("scale", "flip", "light"))
for _ in pipeline.batches(dataset, batch_size=8, first=0, last=last, **options):
    pass
print(peak_bytes() / 2**20)
"""
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "pipeline.md"
DOCUMENT_TEXT = """\
# Speed and memory of the data pipeline

Written by `python -m benchmarks.pipeline`; run it again instead of editing. The program's docstring
explains what is compared.

{hardware}; {versions}.
Medians of {turns} turns, on a machine whose load was {load} at the start.

## Images per second

In parentheses is the time of all cores per image in milliseconds; other programs change it less
than the rate. The last column is the zoo's rate divided by that of the faster of the other two.

{rates}

The work of a row is that of a recipe with these values of `--augment`; the last row is the work of
`folder_fcn8s`. All three decode the same files with Pillow, whose libjpeg-turbo and zlib take
{decoding:.1f} ms for an image and its label: nothing that decodes them whole makes more than
{bound:.0f} images per second on these cores.

## Memory

The peak memory of a process that reads {images:,} images for crops of 384, with TensorFlow:

{memory}
"""


class DifferenceError(Exception):
    """Two contestants do not make the same examples."""


def draw_files(folder: pathlib.Path, count: int) -> None:
    """Draws a data set in VOC's layout: blurred colours at three scales, noise, and discs."""
    names = [f"{index:06d}" for index in range(count)]
    layout(folder, names)
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        image = 120 + rng.normal(0, 6, (SIZE, SIZE, 1))
        for cells, contrast in ((6, 70), (25, 40), (100, 18)):
            coarse = rng.normal(0, contrast, (3, cells, cells)).astype(np.float32)
            planes = [Image.fromarray(plane).resize((SIZE, SIZE)) for plane in coarse]
            image = image + np.stack(planes, -1)
        label = np.zeros((SIZE, SIZE), np.uint8)
        rows, columns = np.indices(label.shape)
        for kind in rng.integers(1, 21, 4):
            row, column, radius = rng.uniform((50, 50, 40), (450, 450, 140))
            away = np.hypot(rows - row, columns - column)
            label[away < radius + 3] = 255
            label[away < radius - 3] = kind
        picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
        picture.save(folder / "JPEGImages" / f"{name}.jpg", quality=90)
        zoo.pictures.save_class_map(folder / "SegmentationClass" / f"{name}.png", label)


def layout(folder: pathlib.Path, names: list[str]) -> None:
    """Makes the folders and lists of a data set in VOC's layout."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    for split in ("train", "val"):
        file = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        file.write_text("\n".join(names), encoding="utf-8")


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples in plain Pillow and NumPy, as a data set for PyTorch's DataLoader."""

    files: tuple[tuple[str, str], ...]
    crop: int
    augment: tuple[str, ...]

    def __len__(self) -> int:
        return (BEFORE + COUNTED + AFTER) * BATCH

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((0, position, 0))
        image_file, label_file = self.files[position % len(self.files)]
        with Image.open(image_file) as file:
            image = file.convert("RGB")
        with Image.open(label_file) as file:
            label = file.copy()
        if "scale" in self.augment:
            factor = 2 ** rng.uniform(-1, 1)
            size = round(image.width * factor), round(image.height * factor)
            image = image.resize(size, Image.Resampling.BILINEAR)
            label = label.resize(size, Image.Resampling.NEAREST)
        image, label = np.asarray(image), np.asarray(label)
        short = [(0, max(0, self.crop - side)) for side in label.shape]
        if any(lacking for _, lacking in short):
            image = np.pad(image, (*short, (0, 0)), mode="edge")
            label = np.pad(label, short, constant_values=255)
        top, left = (rng.integers(side - self.crop + 1) for side in label.shape)
        image, label = (x[top:, left:][: self.crop, : self.crop] for x in (image, label))
        if rng.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        if "light" in self.augment:
            light = image.astype(np.float32) * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25)
            image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
        return image.copy(), label.copy()  # PyTorch takes no views with negative strides


def check_equal(examples: Examples, dataset: Dataset, count: int = 12) -> None:
    """Raises a DifferenceError unless the examples are those that the zoo draws."""
    for position in range(count):
        example = dataset.example(position % len(dataset))
        one = dataclasses.replace(
            dataset, files=dataset.files[:1], example=lambda _, example=example: example
        )
        options = dict(seed=0, crop=examples.crop, augment=examples.augment)
        image, label = pipeline.draw(one, position, **options)
        other_image, other_label = examples[position]
        if image.shape != other_image.shape or label.shape != other_label.shape:
            raise DifferenceError(f"the sizes of example {position} differ")
        levels = np.abs(image.astype(int) - other_image)
        if levels.max() > 3 or levels.mean() > 0.5:
            raise DifferenceError(
                f"image {position} differs by {levels.max()} grey levels, on average "
                f"{levels.mean():.2f}"
            )
        share = np.mean(label != other_label)
        if share > 0.02:
            raise DifferenceError(f"{share:.0%} of label {position} differ")


def contestants(dataset: Dataset, case: str) -> dict[str, Callable[[], Iterator]]:
    """For each contestant, a function that starts a run."""
    crop, augment = CASES[case]
    examples = Examples(dataset.files, crop, augment)

    def zoo_batches() -> Iterator:
        last = len(examples) // BATCH
        options = dict(batch_size=BATCH, first=0, last=last, seed=1, crop=crop, augment=augment)
        return iter(pipeline.batches(dataset, **options))

    def loop() -> Iterator:
        for first in range(0, len(examples), BATCH):
            parts = [examples[position] for position in range(first, first + BATCH)]
            yield tuple(map(np.stack, zip(*parts, strict=True)))

    starts = {"zoo": zoo_batches, "loop": loop}
    if torch is not None:
        workers = dict(num_workers=os.cpu_count(), persistent_workers=True)
        loader = torch.utils.data.DataLoader(examples, BATCH, **workers)
        starts["DataLoader"] = lambda: iter(loader)
    return starts


@dataclasses.dataclass(frozen=True)
class Run:
    """The speed of one run of a contestant."""

    rate: float  # images per second
    cpu: float  # milliseconds of all cores per image


def timed(start: Callable[[], Iterator]) -> Run:
    """One run; its first and last batches are not counted."""
    batches = start()
    for _ in range(BEFORE):
        next(batches)
    began, cpu = time.perf_counter(), _cpu_seconds()
    for _ in range(COUNTED):
        next(batches)
    took, cpu, images = time.perf_counter() - began, _cpu_seconds() - cpu, COUNTED * BATCH
    for _ in batches:
        pass
    return Run(images / took, 1000 * cpu / images)


def _cpu_seconds() -> float:
    """The time that this process and its workers have computed, in seconds."""
    workers = [child.pid for child in multiprocessing.active_children()]
    nanoseconds = [
        int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in workers
    ]
    return time.process_time() + sum(nanoseconds) / 1e9


def decoding(dataset: Dataset) -> float:
    """The milliseconds that one core takes to decode an image and its label, and nothing else."""
    took = []
    for files in dataset.files:
        contents = [io.BytesIO(pathlib.Path(file).read_bytes()) for file in files]
        began = time.process_time()
        for content in contents:
            Image.open(content).load()
        took.append(1000 * (time.process_time() - began))
    return statistics.median(took)


def row(case: str, runs: dict[str, list[Run]]) -> tuple[str, ...]:
    """A row of the table of rates."""
    rates = {name: statistics.median(run.rate for run in runs[name]) for name in runs}
    cpu = {name: statistics.median(run.cpu for run in runs[name]) for name in runs}
    best = max((name for name in rates if name != "zoo"), key=rates.get)
    ratio = statistics.median(
        ours.rate / other.rate for ours, other in zip(runs["zoo"], runs[best], strict=True)
    )
    cells = [f"{rates[name]:.0f} ({cpu[name]:.1f})" for name in rates]
    return case, *cells, *["not installed"] * (3 - len(cells)), f"{ratio:.1f}"


def memory(drawn: pathlib.Path, folder: pathlib.Path, files: int, images: int) -> float:
    """The peak MB of a process that reads images from a new folder of links to drawn files."""
    names = [f"{index:06d}" for index in range(files)]
    layout(folder, names)
    for part in ("JPEGImages", "SegmentationClass"):
        sources = sorted((drawn / part).iterdir())
        for index, name in enumerate(names):
            source = sources[index % len(sources)]
            os.link(source, folder / part / f"{name}{source.suffix}")
    command, root = [sys.executable, "-c", READER, str(folder), str(images)], DOCUMENT.parents[1]
    run = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return float(run.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables, writes them, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--turns", type=int, default=25, help="runs of each (default: 25)")
    parser.add_argument(
        "--files",
        nargs="+",
        type=int,
        default=[200, 20_000],
        metavar="COUNT",
        help="files of the data sets for the memory (default: 200 20000)",
    )
    options = parser.parse_args(arguments)
    if options.turns < 5:
        parser.error(f"the median needs 5 turns or more; received --turns {options.turns}")
    if torch is None:
        report(INSTALL)
    with tempfile.TemporaryDirectory() as folder:
        drawn = pathlib.Path(folder) / "drawn"
        report("drawing a data set …")
        load = os.getloadavg()[0]
        draw_files(drawn, FILES)
        dataset = voc.load(drawn)["train"]
        starts = {case: contestants(dataset, case) for case in CASES}
        for case, (crop, augment) in CASES.items():
            try:
                check_equal(Examples(dataset.files, crop, augment), dataset)
            except DifferenceError as error:
                report(f"{case}: {error}. Nothing is timed.")
                return 1
        # PyTorch forks its workers from this process, so they start before TensorFlow has threads.
        for name in reversed(CONTESTANTS):
            for case in CASES:
                if name in starts[case]:
                    timed(starts[case][name])
        alone = decoding(dataset)
        rows, order = [], random.Random(0)
        for case in CASES:
            report(f"{case}: timing …")
            runs = {name: [] for name in starts[case]}
            for _ in range(options.turns):
                for name in order.sample(list(runs), len(runs)):
                    runs[name].append(timed(starts[case][name]))
            rows.append(row(case, runs))
        images, most = max(options.files), []
        for files in options.files:
            report(f"{files:,} files: reading {images:,} images …")
            held = memory(drawn, pathlib.Path(folder) / f"{files}", files, images)
            most.append((f"{files:,}", f"{held:.0f}"))
    packages = ("tensorflow", "numpy", "pillow", *(["torch"] if torch else []))
    text = DOCUMENT_TEXT.format(
        hardware=hardware(),
        versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages),
        turns=options.turns,
        load=f"{load:.1f}",
        decoding=alone,
        bound=1000 * (os.cpu_count() or 1) / alone,
        rates=table(("work", *CONTESTANTS, "zoo / best other"), *rows),
        images=images,
        memory=table(("files", "MB"), *most, left=0),
    )
    print(text)
    if torch and vars(options) == vars(parser.parse_args([])):
        write(text, DOCUMENT)
        report(f"Wrote {DOCUMENT}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
