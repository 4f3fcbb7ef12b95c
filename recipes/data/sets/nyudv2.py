"""NYUDv2: 40 classes of indoor scenes, in colour; see below for those with depth.

    data/images/img_NUMBER.png        colour, 425 × 560
    data/hha/img_NUMBER.png           disparity, height above ground and angle with gravity
    data/depth/img_NUMBER.png         millimetres, 16 bits
    segmentation/img_NUMBER.mat       variable segmentation: 1 to 40, and 0 for void
    train.txt, val.txt, test.txt      one NUMBER a line, from 5001 on: 381, 414 and 654

Download http://dl.caffe.berkeleyvision.org/nyud.tar.gz, the FCN authors' copy of the data of Gupta
et al. (CVPR 2013, ECCV 2014), and unpack it; put the three lists beside it, from `data/nyud` in
github.com/shelhamer/fcn.berkeleyvision.org; pass the folder as --data-dir. The layout is that of
their data layer, `nyud_layers.py`; the image size is that reported by others.

The splits are those of the FCN paper: "train" is train.txt and val.txt together, 795 images, and
"val" is test.txt. To choose between settings without the test images, give `read` other lists.

    nyudv2_hha           HHA images: three channels of 8 bits, in the order of the file
    nyudv2_depth         the logarithm of the depth: one channel of float32, see `read_depth`
    nyudv2_color_depth   RGB and behind it that logarithm: four channels of float32
    nyudv2_color_hha     RGB and behind it HHA: six channels of 8 bits

The authors' nets on HHA subtract 132.431, 94.076 and 118.477 from its channels, and their net of
early fusion 7.844 from the logarithm.

Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012.
"""

import functools
import pathlib
from collections.abc import Callable

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from recipes.data.listed import listed, read_rgb
from recipes.data.mat import read_label
from zoo.class_names import CLASS_NAMES
from zoo.depths import log_depth
from zoo.images import read_image

CLASSES = np.array([IGNORE_LABEL, *range(40)], np.uint8)  # of each number in the file
MEAN_LOG_DEPTH = 7.844  # that the authors' net of early fusion subtracts

_REMEDY = (
    "Pass the folder that holds data/images, data/hha, segmentation, train.txt, val.txt and "
    "test.txt as the data folder."
)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The colour images with the FCN paper's splits."""
    return read(data_dir, name="nyudv2", images="images")


def read(
    data_dir: pathlib.Path,
    *,
    name: str,
    images: str,
    beside: str | None = None,
    train: tuple[str, ...] = ("train", "val"),
    val: tuple[str, ...] = ("test",),
) -> dict[str, Dataset]:
    """The splits "train" and "val".

    Args:
        data_dir: The folder that holds the lists.
        name: The name of the data set.
        images: The folder in `data` with the images: "images", "depth" or "hha".
        beside: The folder of the images whose channels follow those of `images`.
        train: The lists of the split "train".
        val: The lists of the split "val".

    Raises:
        DataError: A list is missing or empty.
    """
    folders = [images, *([beside] if beside else [])]
    read_one = tuple(_READERS[folder] for folder in folders)
    return {
        split: listed(
            data_dir,
            tuple(f"{one}.txt" for one in lists),
            name=name,
            split=split,
            class_names=CLASS_NAMES["nyudv2"],
            image=f"data/{images}/img_{{}}.png",
            label="segmentation/img_{}.mat",
            read_label=_read_label,
            remedy=_REMEDY,
            beside=tuple(f"data/{folder}/img_{{}}.png" for folder in folders[1:]),
            read_image=functools.partial(_stacked, read_one) if beside else read_one[0],
            channels=sum(1 if folder == "depth" else 3 for folder in folders),
            image_type="float32" if "depth" in folders else "uint8",
        )
        for split, lists in (("train", train), ("val", val))
    }


def read_hha(file: pathlib.Path) -> np.ndarray:
    """The disparity, height and angle, uint8 `[h, w, 3]`."""
    image = read_image(file, upright=True)
    if image.shape[2] != 3:
        raise DataError(
            f"{file}: an HHA image has three channels; this one has {image.shape[2]}. Take the "
            "file of data/hha."
        )
    return image


def read_depth(file: pathlib.Path) -> np.ndarray:
    """The natural logarithm of a depth in millimetres, float32 `[h, w, 1]`.

    Where nothing was measured it is `MEAN_LOG_DEPTH`, which the authors' net subtracts.
    """
    return log_depth(file, missing=MEAN_LOG_DEPTH)


def _stacked(
    readers: tuple[Callable[[pathlib.Path], np.ndarray], ...], *files: pathlib.Path
) -> np.ndarray:
    """The channels of several images of one size, one behind the other."""
    images = [read_one(file) for read_one, file in zip(readers, files, strict=True)]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            sizes = ["×".join(map(str, one.shape[:2])) for one in (image, images[0])]
            raise DataError(
                f"{file}: both images of an example have one size; it is {sizes[0]} and {files[0]} "
                f"is {sizes[1]} (height × width). Replace one of them."
            )
    return np.concatenate(images, -1)


_READERS = {"images": read_rgb, "depth": read_depth, "hha": read_hha}


def _read_label(file: pathlib.Path) -> np.ndarray:
    return read_label(file, "segmentation", classes=CLASSES)
