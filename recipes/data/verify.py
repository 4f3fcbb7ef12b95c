"""Reads every example before training, and names each file that cannot be used."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from recipes.data import palettes, watching
from recipes.data.class_balance import median_frequency
from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from zoo.images import ImageError
from zoo.progress import told
from zoo.terminal import counted


@dataclasses.dataclass(frozen=True)
class Examined:
    """What a split holds.

    `pixels` counts the pixels of each class, int64 `[classes]`, `pixels_around` all pixels of the
    images in which it occurs, and `ignored` those of void; `sizes` counts the images of each
    (height, width). `sha256` is over the class names and over the shapes and pixels of all images
    and labels in their order. `dataset` is the split, whose examples raise a DataError once they
    are no longer those that were examined.
    """

    pixels: np.ndarray
    pixels_around: np.ndarray
    ignored: int
    sizes: collections.Counter
    sha256: str
    dataset: Dataset


def verify(
    splits: dict[str, Dataset], *, shown: int | None = 10, instances: bool = True
) -> dict[str, Examined]:
    """Reads all splits of a data set.

    Args:
        splits: By their names.
        shown: How many problems of a split are listed; all if None.
        instances: Also reads the numbers of the objects, if the data set has them.

    Raises:
        DataError: A file is missing or unreadable; an image differs in size from its label or its
            objects; a label holds other values than classes and 255, shows a class in the colour of
            another, or uses 255 as a class; or a split has too few classes. Each file is named.
    """
    looked = {split: _look_at_all(dataset, instances) for split, dataset in splits.items()}
    looked = _compared(splits, looked)
    has_void = any(example.has_void for examples in looked.values() for example in examples)
    found, problems = {}, []
    for split, dataset in splits.items():
        try:
            found[split] = _examined(dataset, looked[split], has_void, shown, instances)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return found


def examine(dataset: Dataset, *, shown: int | None = 10, instances: bool = True) -> Examined:
    """Reads one split, as `verify`."""
    return verify({dataset.split: dataset}, shown=shown, instances=instances)[dataset.split]


def check(dataset: Dataset, index: int, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Counts the label's pixels of each value, int64 `[256]`.

    Raises:
        DataError: The label has another size than the image, or other values than classes and 255.
    """
    image_file, label_file, *_ = dataset.files[index]
    sizes = label.shape, image_file, image.shape[:2]
    _check_size(label_file, "a label has its image's size", *sizes)
    # np.bincount converts the label to int64 first, which takes twice as long.
    pixels = np.array(Image.fromarray(label).histogram())
    classes = len(dataset.class_names)
    outside = [value for value in np.flatnonzero(pixels) if classes <= value < IGNORE_LABEL]
    if outside:
        raise DataError(
            f"{label_file}: a label holds the classes 0 to {classes - 1} and 255; it holds "
            f"{_values(outside)} too. Give these pixels a class, or 255 for void."
        )
    return pixels


def table(dataset: Dataset, examined: Examined) -> str:
    """The examples of a split, their sizes, the pixels of each class and the SHA-256.

    For "train" also the weight that each class has with `--class-weights balanced`.
    """
    heights, widths = zip(*examined.sizes, strict=True)
    sizes = f"{heights[0]}×{widths[0]}"
    if len(heights) > 1:
        sizes = f"{len(heights)} sizes, {min(heights)}–{max(heights)}×{min(widths)}–{max(widths)}"
    lines = [f"{dataset.split}: {counted(len(dataset), 'example')}, {sizes} (height × width)"]
    counts = dict(zip(dataset.class_names, examined.pixels, strict=True))
    counts[f"{IGNORE_LABEL} (void)"] = examined.ignored
    first, total = max(map(len, counts)), sum(counts.values())
    weights = {}
    if dataset.split == "train":
        found = median_frequency(examined.pixels, examined.pixels_around)
        weights = dict(zip(dataset.class_names, found, strict=True))
    for name, count in counts.items():
        weight = f"  balanced weight {weights[name]:.4f}" if name in weights else ""
        lines.append(f"  {name:<{first}} {count:>14,} pixels  {count / total:7.2%}{weight}")
    return "\n".join([*lines, f"  sha256 {examined.sha256}"])


class _Example(NamedTuple):
    """What an example holds, or else its problem."""

    label_file: str
    problem: str | None = None
    values: np.ndarray | None = None  # that occur in the label
    counts: np.ndarray | None = None
    size: tuple[int, int] | None = None
    sha256: bytes = b""  # of image and label
    whole: bytes = b""  # of the objects too
    stamps: tuple = ()
    colours: dict[int, tuple[int, int, int]] = {}  # noqa: RUF012

    @property
    def has_void(self) -> bool:
        """Whether 255 is beside other classes than 0, so that it is no class itself."""
        return self.problem is None and IGNORE_LABEL in self.values and len(self.values) > 2

    @property
    def has_only_void(self) -> bool:
        """Whether 255 may be meant as a class: there is nothing else but 0."""
        return self.problem is None and IGNORE_LABEL in self.values and set(self.values) <= {0, 255}


def _source(dataset: Dataset) -> Dataset:
    """The split whose examples are read: each image has hundreds of windows but is read once."""
    return dataset.cut_from[0] if dataset.cut_from else dataset


def _look_at_all(dataset: Dataset, instances: bool) -> list[_Example]:
    source = _source(dataset)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda index: _look(source, index, instances), range(len(source)))
        text = f"verifying the examples of {source.name} ({source.split})"
        return list(told(looked, text, len(source)))


def _compared(
    splits: dict[str, Dataset], looked: dict[str, list[_Example]]
) -> dict[str, list[_Example]]:
    """The examples, after a comparison of all palettes of a data set."""
    used = {
        colour
        for examples in looked.values()
        for example in examples
        for index, colour in example.colours.items()
        if index != IGNORE_LABEL
    }
    seen: dict[int, tuple] = {}

    def compared(example: _Example, dataset: Dataset) -> _Example:
        contradiction = palettes.contradiction(seen, example.colours, example.label_file)
        misplaced = palettes.misplaced(example.label_file, example.colours, dataset, used)
        return example._replace(problem=example.problem or misplaced or contradiction)

    return {
        split: [compared(example, _source(splits[split])) for example in examples]
        for split, examples in looked.items()
    }


def _look(dataset: Dataset, index: int, instances: bool) -> _Example:
    _, label_file, *objects_file = dataset.files[index]
    # Before the files are read: a later change is noticed.
    stamps = watching.stamps(dataset.files[index])
    try:
        image, label = dataset.example(index)
        pixels = check(dataset, index, image, label)
        values = np.flatnonzero(pixels)
        colours = palettes.shown(label_file, values)
        # Hashed here, in the threads, and not where the examples are collected.
        sha256 = hashlib.sha256(f"{image.shape} {label.shape}".encode())
        sha256.update(image.ravel())
        sha256.update(label.ravel())
        whole = sha256.copy()
        if instances and dataset.instances:
            numbers = dataset.instances(index)
            file = objects_file[0] if objects_file else label_file
            sizes = numbers.shape, label_file, label.shape
            _check_size(file, "objects have their label's size", *sizes)
            whole.update(numbers.ravel())
    except (DataError, ImageError) as error:
        return _Example(label_file, str(error))
    counts = pixels[values]
    hashes = sha256.digest(), whole.digest()
    return _Example(label_file, None, values, counts, label.shape, *hashes, stamps, colours)


def _examined(
    dataset: Dataset, examples: list[_Example], has_void: bool, shown: int | None, instances: bool
) -> Examined:
    problems = [example.problem for example in examples if example.problem]
    if not has_void:
        problems += [
            f"{example.label_file}: 255 is void; this label holds {_values(example.values)} only, "
            "and no other has void beside a class above 0. If 255 means a class here, save it as "
            "that class, such as 1; else take the image out."
            for example in examples
            if example.has_only_void
        ]
    if problems:
        lines = problems[:shown]
        if len(lines) < len(problems):
            lines.append(
                f"and {len(problems) - len(lines)} more: zoo verify {dataset.name} DIR "
                "lists all of them"
            )
        raise DataError(
            f"{len(problems)} of the {counted(len(examples), 'example')} of {dataset.name} "
            f"({dataset.split}) cannot be used:\n  " + "\n  ".join(lines)
        )
    pixels, pixels_around = np.zeros((2, 256), np.int64)
    sizes = collections.Counter()
    sha256 = hashlib.sha256("\0".join(dataset.class_names).encode())
    if dataset.cut_from:
        sha256.update(dataset.cut_from[1])
    for example in examples:
        pixels[example.values] += example.counts
        pixels_around[example.values] += example.counts.sum()
        sizes[example.size] += 1
        sha256.update(example.sha256)
    classes = pixels[: len(dataset.class_names)]
    needed = 2 if dataset.split == "train" else 1
    if np.count_nonzero(classes) < needed:
        raise DataError(
            f"The labels of {dataset.name} ({dataset.split}) hold at least "
            f"{('one class', 'two classes')[needed - 1]}; these hold "
            f"{_values(np.flatnonzero(pixels))} only. Add labels with others to this split."
        )
    return Examined(
        *(classes, pixels_around[: len(classes)], int(pixels[IGNORE_LABEL])),
        *(sizes, sha256.hexdigest()),
        watching.watched(
            *(dataset, _source(dataset)),
            stamps=[example.stamps for example in examples],
            hashes=[example.whole for example in examples],
            look=lambda index: _look(_source(dataset), index, instances),
            instances=instances,
        ),
    )


def _check_size(
    file: str, rule: str, size: tuple[int, int], other: str, other_size: tuple[int, int]
) -> None:
    if size != other_size:
        sizes = [f"{height}×{width}" for height, width in (size, other_size)]
        raise DataError(
            f"{file}: {rule}; it is {sizes[0]} and {other} is {sizes[1]} (height × width). Replace "
            "one of them."
        )


def _values(values: list[int] | np.ndarray) -> str:
    return ", ".join(map(str, values)) or "nothing"
