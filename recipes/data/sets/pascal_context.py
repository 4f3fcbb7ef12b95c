"""PASCAL-Context: every pixel of VOC 2010's images; the 59 most frequent classes and background.

    JPEGImages/NAME.jpg
    ImageSets/Main/{train,val}.txt   one NAME a line: 4,998 and 5,105
    trainval/NAME.mat                LabelMap: numbers 1 to 459
    labels.txt                       "NUMBER: CLASS", one of the 459 a line

Download VOCtrainval_03-May-2010.tar from the PASCAL VOC challenge's site and unpack it. Unpack
trainval.tar.gz from https://cs.stanford.edu/~roozbeh/pascal-context/ into VOCdevkit/VOC2010, put
labels.txt from there beside it, and pass `--data-dir VOCdevkit/VOC2010`.

The classes are numbered as in the FCN authors' nets; their data layer (`pascalcontext_layers.py` in
github.com/shelhamer/fcn.berkeleyvision.org) finds each by its name among the 459, three of
which have other names there. All other numbers are background, which is trained and scored.

Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild",
CVPR 2014.
"""

import functools
import pathlib

import numpy as np

from recipes.data.dataset import DataError, Dataset
from recipes.data.listed import listed
from recipes.data.lists import read_lines
from recipes.data.mat import read_label
from zoo.class_names import BACKGROUND, CLASS_NAMES

# What labels.txt calls three of the classes.
RENAMED = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}

_REMEDY = (
    "Pass VOC 2010's folder, which holds JPEGImages, ImageSets/Main, and PASCAL-Context's trainval "
    "and labels.txt, as the data folder."
)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """VOC 2010's own splits from the folder that holds JPEGImages.

    Raises:
        DataError: A list or labels.txt is missing or damaged.
    """
    classes = _classes(data_dir / "labels.txt")
    return {
        split: listed(
            data_dir,
            (f"ImageSets/Main/{split}.txt",),
            name="pascal_context",
            split=split,
            class_names=CLASS_NAMES["pascal_context"],
            background=BACKGROUND["pascal_context"],
            image="JPEGImages/{}.jpg",
            label="trainval/{}.mat",
            read_label=functools.partial(_read_label, classes=classes),
            remedy=_REMEDY,
        )
        for split in ("train", "val")
    }


def _read_label(file: pathlib.Path, *, classes: np.ndarray) -> np.ndarray:
    return read_label(file, "LabelMap", classes=classes)


def _classes(file: pathlib.Path) -> np.ndarray:
    """The class of each number, uint8 `[460]`; 0 and all numbers without a class are background."""
    numbers = {}
    for line in read_lines(file, remedy=_REMEDY).values():
        number, _, name = line.partition(":")
        numbers[name.strip()] = number
    if sorted(numbers.values()) != sorted(map(str, range(1, len(numbers) + 1))):
        raise DataError(
            f"{file}: a line is a number, a colon and a name, and the numbers are 1, 2, 3 and so "
            f"on; these are not. {_REMEDY}"
        )
    classes = np.zeros(len(numbers) + 1, np.uint8)
    for index, name in enumerate(CLASS_NAMES["pascal_context"][1:], 1):
        name = RENAMED.get(name, name)
        if name not in numbers:
            raise DataError(f"{file}: each class has a line; {name!r} has none. {_REMEDY}")
        classes[int(numbers[name])] = index
    return classes
