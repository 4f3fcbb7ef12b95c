"""The class names of data sets, in the order of the class numbers, for legends and exports.

```python
zoo.pictures.overlay(image, class_map, CLASS_NAMES["voc"]).save("overlay.png")
```

The numbers and the spelling are those of the FCN authors' nets, whose lists "in model output order"
lie beside their data layers (`data/*/classes*.txt` in github.com/shelhamer/fcn.berkeleyvision.org).
255 is void everywhere and has no name. Label files of NYUDv2 and SIFT Flow count from 1 and mean
void by 0 (-1 in the geometric ones): subtract 1. Only VOC and PASCAL-Context have a background;
for the others, an overlay takes `background=None`.

Each list was compared with at least one more:

- voc: `pascal-classes.txt` of OpenCV's samples.
- pascal_context: `59_labels.txt` of the data set's authors, which say table, cloth and bedclothes
  where the FCN authors' list says diningtable, clothes and bedcloth. Others sort the names by the
  alphabet, which gives other numbers.
- nyudv2: the 40 classes of Gupta, Arbelaez and Malik, "Perceptual Organization and Recognition of
  Indoor Scenes from RGB-D Images", CVPR 2013, as in `eval_semseg.py` of facebookresearch/astmt.
- sift_flow: `siftflow.py` of BebDong/MXNetSeg. sift_flow_geometric: others' scripts on the data of
  Tighe and Lazebnik's SuperParsing, from which both labels come.
"""

from collections.abc import Sequence

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
        # Spelled so by the data set.
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
    "sift_flow_geometric": ("sky", "horizontal", "vertical"),
}

BACKGROUND = {"voc": 0, "pascal_context": 0}
"""The number of the class that is background, of the data sets that have one."""


def named(class_names: str | Sequence[str]) -> tuple[tuple[str, ...], int | None]:
    """The class names and the number of the background, or None.

    >>> named(["background", "coin"])
    (('background', 'coin'), 0)

    Args:
        class_names: The name of a data set in `CLASS_NAMES`, names separated by commas, or a
            sequence of names. A class called "background" is the background.
    """
    if isinstance(class_names, str):
        if class_names in CLASS_NAMES:
            return CLASS_NAMES[class_names], BACKGROUND.get(class_names)
        class_names = [name.strip() for name in class_names.split(",")]
    names = tuple(class_names)
    return names, names.index("background") if "background" in names else None
