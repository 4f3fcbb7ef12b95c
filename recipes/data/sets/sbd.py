"""VOC with SBD's many labels, split as FCN's authors did: 8,498 images to train, 736 to score.

    benchmark_RELEASE/dataset/img/NAME.jpg                SBD: images of VOC2011
    benchmark_RELEASE/dataset/cls/NAME.mat                GTcls.Segmentation: 0 to 20, without void
    benchmark_RELEASE/dataset/inst/NAME.mat               GTinst.Segmentation: numbers of objects
    benchmark_RELEASE/dataset/train.txt                   one NAME a line
    VOCdevkit/VOC2011/JPEGImages/NAME.jpg                 VOC2011; or TrainVal/VOCdevkit/VOC2011,
    VOCdevkit/VOC2011/SegmentationClass/NAME.png          as its archive unpacks
    VOCdevkit/VOC2011/SegmentationObject/NAME.png         numbers of objects, and 255 around them
    VOCdevkit/VOC2011/ImageSets/Segmentation/val.txt

Unpack benchmark.tgz of the Semantic Boundaries Dataset
(http://www.cs.berkeley.edu/~bharath2/codes/SBD/download.html) and VOCtrainval_25-May-2011.tar of
the PASCAL VOC challenge into one folder, and pass it as --data-dir. The images come from Flickr,
whose terms of use apply.

The split "train" is SBD's own. "val" is VOC2011's list of validation images for segmentation minus
SBD's "train", with VOC's labels: the authors' list seg11valid. With VOC2012's list other images
would remain, and the scores could not be compared.

Hariharan et al., "Semantic Contours from Inverse Detectors", ICCV 2011.
"""

import functools
import pathlib

import numpy as np

from recipes.data import mat
from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset, pair
from recipes.data.listed import read_rgb
from recipes.data.lists import read_entries
from zoo.class_names import BACKGROUND, CLASS_NAMES
from zoo.images import read_class_map

TRAIN, VAL = 8498, 736  # the number of images of the authors' splits
_CLASSES = np.arange(len(CLASS_NAMES["voc"]), dtype=np.uint8)
_REMEDY = "Pass the folder that holds benchmark_RELEASE and VOCdevkit as the data folder."


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The authors' splits from the folder that holds both data sets.

    Each has `instances`.

    Raises:
        DataError: One of them is missing, or its list is not the one that gives these splits.
    """
    sbd = data_dir / "benchmark_RELEASE" / "dataset"
    devkit = data_dir / "VOCdevkit"
    if not devkit.exists():
        devkit = data_dir / "TrainVal" / "VOCdevkit"
    voc2011 = devkit / "VOC2011"
    train = _names(sbd / "train.txt")
    val_list = voc2011 / "ImageSets" / "Segmentation" / "val.txt"
    trained = set(train)
    val = [name for name in _names(val_list) if name not in trained]
    # A part of the data is allowed; the whole of it must give the authors' images.
    if not val or (len(train) == TRAIN and len(val) != VAL):
        raise DataError(
            f"{val_list}: without SBD's training images, {VAL} of VOC2011's remain to be scored; "
            f"here {len(val)} remain. Put VOC2011's own list there."
        )
    files = {
        "train": [(sbd / "img" / f"{name}.jpg", sbd / "cls" / f"{name}.mat") for name in train],
        "val": [
            (
                voc2011 / "JPEGImages" / f"{name}.jpg",
                voc2011 / "SegmentationClass" / f"{name}.png",
            )
            for name in val
        ],
    }
    return {split: _split(split, pairs) for split, pairs in files.items()}


def _names(file: pathlib.Path) -> list[str]:
    return [entry.name for entry in read_entries(file, remedy=_REMEDY)]


def _split(split: str, pairs: list[tuple[pathlib.Path, pathlib.Path]]) -> Dataset:
    files = tuple((str(image), str(label), str(_objects(label))) for image, label in pairs)
    parts = (functools.partial(read, files) for read in (_example, _instances))
    background = BACKGROUND["voc"]
    return Dataset("sbd", split, CLASS_NAMES["voc"], 3, files, *parts, background=background)


def _objects(label: pathlib.Path) -> pathlib.Path:
    """The file with the numbers of the objects in a label."""
    folder = {".png": "SegmentationObject", ".mat": "inst"}[label.suffix]
    return label.parents[1] / folder / label.name


def _example(files: tuple[tuple[str, ...], ...], index: int) -> tuple[np.ndarray, np.ndarray]:
    image, label = map(pathlib.Path, files[index][:2])
    if label.suffix == ".png":
        return pair(lambda: read_rgb(image), lambda: read_class_map(label))
    return pair(
        lambda: read_rgb(image),
        lambda: mat.read_label(label, "GTcls", "Segmentation", classes=_CLASSES),
    )


def _instances(files: tuple[tuple[str, ...], ...], index: int) -> np.ndarray:
    file = pathlib.Path(files[index][2])
    if file.suffix == ".png":
        numbers = read_class_map(file)
        return np.where(numbers == IGNORE_LABEL, 0, numbers).astype(np.int32)
    return mat.read_array(file, "GTinst", "Segmentation").astype(np.int32)
