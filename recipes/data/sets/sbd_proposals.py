"""Windows of VOC and SBD that may hold an object: DeconvNet's second stage.

The folder and the splits are those of `recipes/data/sets/sbd.py`. A window comes from a box whose
intersection over union with the box of an object is at least 0.5; the paper asks for "sufficient"
overlap. `recipes/data/windows.py` says how it is cut. All of its pixels keep their labels. Its
class, by which the windows are balanced, is that of the object that it overlaps most.

    proposals.csv    the boxes of each image, those most likely to hold an object first

If the list does not exist, it is written at the first use, with those of the first 2,000 EdgeBoxes
of each image that overlap an object. In "val" each object has only the first of its windows.
"""

import pathlib

import numpy as np

from recipes.data import boxes, windows
from recipes.data.dataset import DataError, Dataset
from recipes.data.sets import sbd, sbd_objects
from zoo.inference.edge_boxes import edge_boxes

OVERLAP = 0.5


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The splits from the folder that holds both data sets.

    Raises:
        DataError: A data set or OpenCV is missing, or a list cannot be written or read.
    """
    splits = sbd.load(data_dir)
    objects = sbd_objects.objects(splits, data_dir)

    def find(source: Dataset, index: int) -> np.ndarray:
        image, _ = source.example(index)
        try:
            proposed = edge_boxes(image)
        except ImportError as error:
            raise DataError(str(error)) from error
        return matched(proposed, objects[boxes.name_of(source, index)])[:, :4]

    file, text = data_dir / "proposals.csv", "searching windows that may hold an object"
    found = boxes.kept(file, splits, find, columns=boxes.BOX, text=text)
    found = {name: matched(proposed, objects[name]) for name, proposed in found.items()}
    for index in range(len(splits["val"])):
        name = boxes.name_of(splits["val"], index)
        _, first = np.unique(found[name][:, 4], return_index=True)
        found[name] = found[name][first]
    return {
        split: windows.dataset("sbd_proposals", source, found, one_object=False)
        for split, source in splits.items()
    }


def matched(proposed: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """The boxes that overlap an object, with the number and class of the one they overlap most.

    Args:
        proposed: int32 `[boxes, 4]`.
        objects: int32 `[objects, 6]`, as `boxes.OBJECT`.

    Returns:
        int32 `[boxes that overlap one, 6]`, in the order of `proposed`.
    """
    if not len(objects):
        return np.zeros((0, 6), np.int32)
    corners = proposed[:, np.newaxis]
    low = np.maximum(corners[..., :2], objects[:, :2])
    high = np.minimum(corners[..., 2:], objects[:, 2:4])
    both = np.prod(np.maximum(high - low, 0), -1)
    areas = [np.prod(one[..., 2:4] - one[..., :2], -1) for one in (corners, objects)]
    overlap = both / (areas[0] + areas[1] - both)
    most = overlap.argmax(1)
    rows = np.concatenate([proposed, objects[most, 4:]], 1)
    return rows[overlap.max(1) >= OVERLAP]
