"""Windows of VOC and SBD that may hold an object: DeconvNet's second stage.

The folder is that of `recipes/data/sets/sbd.py`, and so are the splits. A window comes from a box
that overlaps the box of an object by half (intersection over union), where the paper asks for
"sufficient" overlap; `recipes/data/windows.py` says how it is cut. All in it is labelled, and its
class, by which the windows are balanced, is that of the object that it overlaps most.

    proposals.csv    the boxes of each image, those most likely to hold an object first

Where the list is not there, it is written at the first use: of the first 2,000 EdgeBoxes of each
image those that overlap an object. Of "val" each object has the first of its windows only.
"""

import pathlib

import numpy as np

from recipes.data import boxes, windows
from recipes.data.dataset import Dataset
from recipes.data.edge_boxes import edge_boxes
from recipes.data.sets import sbd, sbd_objects

OVERLAP = 0.5


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The splits from the folder that holds both data sets.

    Raises:
        DataError: A data set is not there, a list cannot be written or read, or OpenCV is missing.
    """
    splits = sbd.load(data_dir)
    objects = sbd_objects.objects(splits, data_dir)

    def find(source: Dataset, index: int) -> np.ndarray:
        image, _ = source.example(index)
        return matched(edge_boxes(image), objects[boxes.name_of(source, index)])[:, :4]

    file, text = data_dir / "proposals.csv", "looking for windows that may hold an object"
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
    """The boxes that overlap an object, each with the number and class of the one it overlaps most.

    Args:
        proposed: int32 `[boxes, 4]`.
        objects: int32 `[objects, 6]`, as `boxes.OBJECT`.

    Returns:
        int32 `[boxes that do, 6]`, in their order.
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
