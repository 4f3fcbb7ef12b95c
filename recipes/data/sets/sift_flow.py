"""SIFT Flow: outdoor scenes in 33 semantic classes, and 3 geometric (`sift_flow_geometric`).

    Images/OUTDOOR/NAME.jpg           256 × 256
    SemanticLabels/OUTDOOR/NAME.mat   variable S: 1 to 33, and 0 for void
    GeoLabels/OUTDOOR/NAME.mat        variable S: 1 to 3, and -1 for void
    trainval.txt, test.txt            one NAME a line: 2,486 and 200

OUTDOOR stands for spatial_envelope_256x256_static_8outdoorcategories. Download
http://www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip and unpack it; put the two
lists beside the three folders, from `data/sift-flow` in
github.com/shelhamer/fcn.berkeleyvision.org; pass their folder as --data-dir. The layout is that of
the FCN authors' data layer, `siftflow_layers.py`.

The splits are theirs: "train" is trainval.txt and "val" is test.txt; two images without labels are
on neither list. A net with the heads semantic and geometric learns both labels of each image.

No test image shows a cow, a desert or the moon. They are left out of the mean IoU, predicted or
not; in the authors' script their IoU is 0 once they are predicted, and its comment warns of that.

Liu, Yuen and Torralba, "Nonparametric Scene Parsing via Label Transfer", PAMI 2011; the geometric
labels: Tighe and Lazebnik, "SuperParsing", ECCV 2010.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.listed import listed
from recipes.data.mat import read_label
from zoo.class_names import CLASS_NAMES

OUTDOOR = "spatial_envelope_256x256_static_8outdoorcategories"
NOT_IN_TEST = ("cow", "desert", "moon")
_REMEDY = (
    "Pass the folder that holds Images, SemanticLabels, GeoLabels, trainval.txt and test.txt as "
    "the data folder."
)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """Both labels with the FCN authors' splits: the geometric ones are those of another head."""
    semantic = read(data_dir, name="sift_flow", labels="SemanticLabels", first=0)
    geometric = read(data_dir, name="sift_flow_geometric", labels="GeoLabels", first=-1)
    absent = tuple(CLASS_NAMES["sift_flow"].index(name) for name in NOT_IN_TEST)
    return {
        split: dataclasses.replace(
            dataset,
            other_heads={"geometric": geometric[split]},
            unscored=absent if split == "val" else (),
        )
        for split, dataset in semantic.items()
    }


def read(data_dir: pathlib.Path, *, name: str, labels: str, first: int) -> dict[str, Dataset]:
    """The splits "train" and "val".

    Args:
        data_dir: The folder that holds the lists.
        name: The name of the data set, a key of `CLASS_NAMES`.
        labels: The folder with the labels: "SemanticLabels" or "GeoLabels".
        first: The smallest number in them; those up to 0 are void.

    Raises:
        DataError: A list is missing or empty.
    """
    class_names = CLASS_NAMES[name]
    void = [IGNORE_LABEL] * (1 - first)
    classes = np.array([*void, *range(len(class_names))], np.uint8)
    return {
        split: listed(
            data_dir,
            (f"{one}.txt",),
            name=name,
            split=split,
            class_names=class_names,
            image=f"Images/{OUTDOOR}/{{}}.jpg",
            label=f"{labels}/{OUTDOOR}/{{}}.mat",
            read_label=functools.partial(_read_label, classes=classes, first=first),
            remedy=_REMEDY,
        )
        for split, one in (("train", "trainval"), ("val", "test"))
    }


def _read_label(file: pathlib.Path, *, classes: np.ndarray, first: int) -> np.ndarray:
    return read_label(file, "S", classes=classes, first=first)
