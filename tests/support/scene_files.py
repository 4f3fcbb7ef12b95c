"""Writes small data sets in the layouts and file formats of the originals, a few images each.

The images of a set differ; a class has a colour, so that there is something to learn.
"""

import numpy as np
import scipy.io
from PIL import Image

from recipes.data.sets import pascal_context, sift_flow
from zoo.class_names import CLASS_NAMES

SIZE = (64, 72)
NYUDV2 = {"train": ("5449", "6140"), "val": ("5010",), "test": ("5001", "5002")}
SIFT_FLOW = {"trainval": ("coast_natu975", "street_urb885", "forest_nat717"), "test": ("gre37",)}
PASCAL_CONTEXT = {"train": ("2008_000002", "2008_000003"), "val": ("2008_000007",)}
CAMVID = {
    "train": ("0001TP_006690", "0006R0_f00930", "0016E5_00390"),
    "val": ("0016E5_07959", "0016E5_07961"),
    "test": ("Seq05VD_f00000",),
}
ALL = ("nyudv2", "sift_flow", "pascal_context", "camvid")


def write(folder, name):
    """Writes the set of this name, or of the variants that begin with it, into a folder."""
    writers = {"nyudv2": _nyudv2, "sift_flow": _sift_flow, "pascal_context": _pascal_context}
    (writers | {"camvid": _camvid})[name](folder)


def areas(number, classes):
    """Three areas of different classes from 0 on, which differ with the number: `[h, w]`."""
    area = np.zeros(SIZE, np.uint8)
    area[:, 20 + number % 9 :] = 1
    area[40 + number % 7 :, 10:60] = 2
    return (area + np.uint8(number % max(1, classes - 2))).astype(np.uint8)


def _write_image(file, values, channels=3):
    noise = np.random.default_rng(0).integers(0, 30, (*SIZE, channels))
    pixels = 60 * values[..., np.newaxis].astype(int) + noise
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)


def write_label(file, variable, label):
    file.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(file, {variable: label}, do_compression=True)


def _write_list(file, names):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(names) + "\n")


def _nyudv2(folder):
    for split, names in NYUDV2.items():
        _write_list(folder / f"{split}.txt", names)
        for index, name in enumerate(names):
            label = areas(index, 40) + np.uint8(1)
            label[0] = 0
            for part in ("images", "hha"):
                _write_image(folder / f"data/{part}/img_{name}.png", label)
            depth = (1000 * label.astype(np.uint16)) + np.uint16(500)
            (folder / "data/depth").mkdir(parents=True, exist_ok=True)
            Image.fromarray(depth).save(folder / f"data/depth/img_{name}.png")
            write_label(folder / f"segmentation/img_{name}.mat", "segmentation", label)


def _sift_flow(folder):
    for split, names in SIFT_FLOW.items():
        _write_list(folder / f"{split}.txt", names)
        for index, name in enumerate(names):
            label = areas(index, 33) + np.uint8(1)
            label[0] = 0
            _write_image(folder / f"Images/{sift_flow.OUTDOOR}/{name}.jpg", label)
            file = f"{sift_flow.OUTDOOR}/{name}.mat"
            write_label(folder / "SemanticLabels" / file, "S", label)
            geometric = areas(index, 3).astype(float) + 1
            geometric[:2] = -1
            write_label(folder / "GeoLabels" / file, "S", geometric)


def _pascal_context(folder):
    names = [*CLASS_NAMES["pascal_context"][1:]]
    names = [pascal_context.RENAMED.get(name, name) for name in names]
    lines = [f"{number}: {name}" for number, name in enumerate(names, 1)]
    _write_list(folder / "labels.txt", [*lines, f"{len(names) + 1}: unknown"])
    for split, examples in PASCAL_CONTEXT.items():
        _write_list(folder / f"ImageSets/Main/{split}.txt", examples)
        for index, name in enumerate(examples):
            label = areas(index, 60) + np.uint16(1)
            label[0] = len(names) + 1
            _write_image(folder / f"JPEGImages/{name}.jpg", label)
            write_label(folder / f"trainval/{name}.mat", "LabelMap", label)


def _camvid(folder):
    for split, names in CAMVID.items():
        lines = [
            f"/SegNet/CamVid/{split}/{x}.png /SegNet/CamVid/{split}annot/{x}.png" for x in names
        ]
        _write_list(folder / f"{split}.txt", lines)
        (folder / f"{split}annot").mkdir(parents=True, exist_ok=True)
        for index, name in enumerate(names):
            label = areas(index, 11)
            label[0] = 11
            _write_image(folder / f"{split}/{name}.png", label)
            Image.fromarray(label).save(folder / f"{split}annot/{name}.png")
