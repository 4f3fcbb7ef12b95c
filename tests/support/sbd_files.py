"""Writes small data sets in the layout and the file formats of SBD and VOC2011."""

import pathlib

import numpy as np
import scipy.io
import scipy.sparse
from PIL import Image

import zoo.pictures

SBD, VOC = pathlib.Path("benchmark_RELEASE/dataset"), pathlib.Path("VOCdevkit/VOC2011")


def make_folders(folder):
    for part in ("img", "cls", "inst"):
        (folder / SBD / part).mkdir(parents=True)
    for part in ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (folder / VOC / part).mkdir(parents=True)


def write_lists(folder, train, val):
    (folder / SBD / "train.txt").write_text("\n".join(train) + "\n")
    (folder / VOC / "ImageSets/Segmentation/val.txt").write_text("\n".join(val) + "\n")


def write_train(folder, name, image, label, objects):
    """An image of SBD; `objects` has their numbers from 1 on, and 0."""
    Image.fromarray(image).save(folder / SBD / f"img/{name}.jpg", quality=95)
    write_cls(folder / SBD / f"cls/{name}.mat", label)
    write_inst(folder / SBD / f"inst/{name}.mat", label, objects)


def write_val(folder, name, image, label, objects):
    """An image of VOC; 255 in the label is 255 around the objects, too."""
    Image.fromarray(image).save(folder / VOC / f"JPEGImages/{name}.jpg", quality=95)
    zoo.pictures.save_class_map(folder / VOC / f"SegmentationClass/{name}.png", label)
    around = np.where(label == 255, label, objects).astype(np.uint8)
    zoo.pictures.save_class_map(folder / VOC / f"SegmentationObject/{name}.png", around)


def write_cls(file, label, **options):
    """A struct of the label, the outlines of each class, and which there are."""
    outlines = np.empty((20, 1), object)
    outlines[:, 0] = [scipy.sparse.csc_matrix(label == number) for number in range(1, 21)]
    present = np.unique(label[label > 0])[:, np.newaxis]
    truth = {"Boundaries": outlines, "Segmentation": label, "CategoriesPresent": present}
    scipy.io.savemat(file, {"GTcls": truth}, do_compression=True, **options)


def write_inst(file, label, objects):
    """A struct of the objects' numbers, the outline of each, and its class."""
    numbers = np.unique(objects[objects > 0])
    outlines, kinds = np.empty((len(numbers), 1), object), np.zeros((len(numbers), 1), np.uint8)
    for place, number in enumerate(numbers):
        outlines[place, 0] = scipy.sparse.csc_matrix(objects == number)
        kinds[place] = label[objects == number].max()
    truth = {"Boundaries": outlines, "Segmentation": objects, "Categories": kinds}
    scipy.io.savemat(file, {"GTinst": truth}, do_compression=True)
