"""The names of each data set's classes, compared with a second source, and where they appear."""

import hashlib

import numpy as np
import pytest
from PIL import ImageDraw

import zoo
from recipes.data.sets import voc
from zoo.class_names import CLASS_NAMES

# The same lists as others print them, each from a source that is not the FCN authors'.
OTHERS = {
    # OpenCV, samples/data/dnn/pascal-classes.txt
    "voc": """background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog
        horse motorbike person pottedplant sheep sofa train tvmonitor""",
    # The data set's authors, 59_labels.txt, after the background
    "pascal_context": """background aeroplane bicycle bird boat bottle bus car cat chair cow table
        dog horse motorbike person pottedplant sheep sofa train tvmonitor bag bed bench book
        building cabinet ceiling cloth computer cup door fence floor flower food grass ground
        keyboard light mountain mouse curtain platform sign plate road rock shelves sidewalk sky
        snow bedclothes track tree truck wall water window wood""",
    # facebookresearch/astmt, fblib/evaluation/eval_semseg.py, without its background
    "nyudv2": """wall floor cabinet bed chair sofa table door window bookshelf picture counter
        blinds desk shelves curtain dresser pillow mirror floor-mat clothes ceiling books
        refridgerator television paper towel shower-curtain box whiteboard person night-stand
        toilet sink lamp bathtub bag otherstructure otherfurniture otherprop""",
    # BebDong/MXNetSeg, mxnetseg/data/siftflow.py
    "sift_flow": """awning balcony bird boat bridge building bus car cow crosswalk desert door fence
        field grass moon mountain person plant pole river road rock sand sea sidewalk sign sky
        staircase streetlight sun tree window""",
    # qubvel/segmentation_models, examples/multiclass segmentation (camvid).ipynb, and it says
    # "signsymbol"
    "camvid": """sky building pole road pavement tree sign-symbol fence car pedestrian
        bicyclist""",
    "sift_flow_geometric": "sky horizontal vertical",
}
# SHA-256 of the 1000 names in Keras's imagenet_class_index.json, a line each, with spaces for "_".
KERAS = "1f386e0d1cb6e28b9c2dac651c3dea6801e98ad1b41a14ce6bb1a093d72069f5"
OF_PIXELS = sorted(set(CLASS_NAMES) - {"imagenet"})
# Where the FCN authors' list says otherwise than the data set's.
RENAMED = {"table": "diningtable", "cloth": "clothes", "bedclothes": "bedcloth"}
COUNTS = {
    "voc": 21,
    "pascal_context": 60,
    "nyudv2": 40,
    "sift_flow": 33,
    "sift_flow_geometric": 3,
    "camvid": 11,
    "imagenet": 1000,
}


def test_the_lists_are_those_of_a_second_source():
    assert {data: len(names) for data, names in CLASS_NAMES.items()} == COUNTS
    for data, text in OTHERS.items():
        names = [name.replace("-", " ") for name in text.split()]
        if data == "pascal_context":
            names = [RENAMED.get(name, name) for name in names]
        assert list(CLASS_NAMES[data]) == names


@pytest.mark.parametrize("data", CLASS_NAMES)
def test_a_name_is_one_line_of_its_own_and_no_number_is_void(data):
    names = CLASS_NAMES[data]
    assert len(set(names)) == len(names)
    assert len(names) <= zoo.pictures.VOID == 255 or data == "imagenet"
    assert all(name == name.strip() and name.splitlines() == [name] for name in names)
    assert "void" not in names


def test_voc_is_read_with_them(tmp_path):
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split in ("train", "val"):
        (lists / f"{split}.txt").write_text("one\n")
    assert voc.load(tmp_path)["train"].class_names == CLASS_NAMES["voc"]


def test_imagenets_names_are_kerass():
    """Of all 1000 of Keras's `imagenet_class_index.json`, by their digest, and some to read."""
    first = [name.split(",")[0].split(" (")[0] for name in CLASS_NAMES["imagenet"]]
    known = {0: "tench", 134: "crane", 207: "golden retriever", 281: "tabby", 517: "crane"}
    known |= {639: "maillot", 850: "teddy", 999: "toilet tissue"}
    assert {number: first[number] for number in known} == known
    assert hashlib.sha256("\n".join(first).encode()).hexdigest() == KERAS
    assert CLASS_NAMES["imagenet"][281] == "tabby, tabby cat"
    assert CLASS_NAMES["imagenet"][517] == "crane (machine)"


@pytest.mark.parametrize("data", OF_PIXELS)
def test_a_legend_names_every_class_and_void(data, monkeypatch):
    written = []
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, at, text, **_: written.append(text)
    )
    numbers = [*range(len(CLASS_NAMES[data])), 255]
    class_map = np.array([numbers], np.uint8).repeat(4, 0)
    image = np.zeros((*class_map.shape, 3), np.uint8)
    zoo.pictures.overlay(image, class_map, CLASS_NAMES[data], background=None)
    assert written == [*CLASS_NAMES[data], "void"]
