"""Windows around single objects of VOC and SBD: DeconvNet's first stage.

The folder and the splits are those of `recipes/data/sets/sbd.py`. A box is the smallest around an
object; `recipes/data/windows.py` says how its window is cut. The object keeps its class; everything
else is background, other objects of the same class too; void stays void.

    objects.csv    the boxes, the number of each object in its image, and its class

The list is written beside the data set at the first use. Objects whose pixels are mostly labelled
as background or void are left out.

The authors train on VOC2012's training and validation images; here the 736 images of "val" are held
out.
"""

import pathlib

import numpy as np

from recipes.data import boxes, windows
from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from recipes.data.sets import sbd


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The splits from the folder that holds both data sets.

    Raises:
        DataError: A data set is missing, or objects.csv cannot be written or read.
    """
    splits = sbd.load(data_dir)
    found = objects(splits, data_dir)
    return {
        split: windows.dataset("sbd_objects", source, found, one_object=True)
        for split, source in splits.items()
    }


def objects(splits: dict[str, Dataset], data_dir: pathlib.Path) -> boxes.Boxes:
    """The boxes of all objects, with the columns `boxes.OBJECT`."""
    text = "searching the objects"
    file = data_dir / "objects.csv"
    return boxes.kept(file, splits, _objects, columns=boxes.OBJECT, text=text)


def _objects(source: Dataset, index: int) -> np.ndarray:
    _, label = source.example(index)
    numbers = source.instances(index)
    if numbers.shape != label.shape:
        sizes = ["×".join(map(str, shape)) for shape in (numbers.shape, label.shape)]
        raise DataError(
            f"{source.files[index][1]}: the objects have the label's size; they are {sizes[0]} and "
            f"it is {sizes[1]} (height × width). Replace one of them."
        )
    rows = []
    for number in np.unique(numbers[numbers > 0]):
        inside = numbers == number
        kind = np.bincount(label[inside]).argmax()
        if 0 < kind < IGNORE_LABEL:
            y, x = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
            rows.append((x[0], y[0], x[-1] + 1, y[-1] + 1, number, kind))
    return np.array(rows, np.int32)
