"""PASCAL VOC: 20 classes of objects and background; and any data set in VOC's layout.

    JPEGImages/NAME.jpg
    SegmentationClass/NAME.png               palette PNG: class indices, and 255 around objects
    ImageSets/Segmentation/{train,val}.txt   one NAME a line; or two paths, of image and label

Download VOCtrainval_11-May-2012.tar from the PASCAL VOC challenge's site, unpack it, and pass
`--data-dir VOCdevkit/VOC2012`.

Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015.
"""

import pathlib

from recipes.data.dataset import Dataset
from recipes.data.listed import listed
from zoo.class_names import BACKGROUND, CLASS_NAMES
from zoo.images import read_class_map

_REMEDY = (
    "Pass the folder that holds JPEGImages, SegmentationClass and ImageSets as the data folder; "
    "its lists have one name a line."
)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """VOC's own splits from the folder that holds JPEGImages."""
    names, background = CLASS_NAMES["voc"], BACKGROUND["voc"]
    return read(data_dir, name="voc", class_names=names, background=background)


def read(
    folder: pathlib.Path,
    *,
    name: str,
    class_names: tuple[str, ...],
    background: int | None = None,
) -> dict[str, Dataset]:
    """The splits "train" and "val" of a folder in VOC's layout.

    Raises:
        DataError: A list of names is missing, is not text, or is empty.
    """
    return {
        split: listed(
            folder,
            (f"ImageSets/Segmentation/{split}.txt",),
            name=name,
            split=split,
            class_names=class_names,
            background=background,
            image="JPEGImages/{}.jpg",
            label="SegmentationClass/{}.png",
            read_label=read_class_map,
            remedy=_REMEDY,
        )
        for split in ("train", "val")
    }
