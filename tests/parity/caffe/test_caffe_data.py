"""From a file of a data set to OpenCV's answer: reader, options of the catalog and net together."""

import dataclasses
import pathlib

import cv2
import keras
import numpy as np
import pytest
import scipy.io
from PIL import Image

import zoo
from recipes import data
from tests.parity.caffe import definitions
from tests.parity.caffe.engine import image_of, random_blobs
from tests.parity.caffe.messages import write_caffemodel
from zoo.class_names import CLASS_NAMES
from zoo.weights import catalog

TOY = {"stages": (4, 6, 8, 8, 8), "fc_filters": 12}


def opencv(
    net: definitions.Net,
    file: pathlib.Path,
    data: np.ndarray | dict[str, np.ndarray],
    score: str,
) -> np.ndarray:
    """The scores `[h, w, classes]` of what the authors' data layer gives, each `[h, w, c]`."""
    inputs = data if isinstance(data, dict) else {"data": data}
    prototxt = net.prototxt(*next(iter(inputs.values())).shape[:2]).encode()
    engine = cv2.dnn.readNetFromCaffe(bytearray(prototxt), bytearray(file.read_bytes()))
    engine.enableWinograd(False)
    engine.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    for name, each in inputs.items():
        engine.setInput(np.ascontiguousarray(np.float32(each).transpose(2, 0, 1)[None]), name)
    return engine.forward(score)[0].transpose(1, 2, 0)


def check(record: catalog.Record, file: pathlib.Path, image: np.ndarray, expected: np.ndarray):
    """What the catalog says of the file gives the engine's class map of the image."""
    model = zoo.build(record.model, **TOY, **record.options, weights=file)
    check_same(keras.ops.convert_to_numpy(model(image[None].astype("float32")))[0], expected)


def check_same(scores: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(scores - expected).max() < 1e-5 * np.abs(expected).max()
    assert len(np.unique(expected.argmax(-1))) >= 3
    assert (scores.argmax(-1) == expected.argmax(-1)).mean() > 0.9999


@pytest.mark.parametrize(
    ("name", "images", "order", "mean"),
    [
        ("nyudv2", "images", [2, 1, 0], (116.190, 97.203, 92.318)),
        ("nyudv2_hha", "hha", [0, 1, 2], (132.431, 94.076, 118.477)),
    ],
)
def test_an_image_of_nyudv2_is_answered_as_the_authors_net_does(
    name, images, order, mean, tmp_path
):
    size = (97, 141)
    for part in (f"data/{images}", "segmentation"):
        (tmp_path / part).mkdir(parents=True)
    for split, number in (("train", 5002), ("val", 5003), ("test", 5001)):
        (tmp_path / f"{split}.txt").write_text(f"{number}\n")
    stored = image_of(size, 3)[0].astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "data" / images / "img_5001.png")
    label = {"segmentation": np.ones(size, np.uint8)}
    scipy.io.savemat(tmp_path / "segmentation/img_5001.mat", label)
    image, _ = data.load(name, tmp_path)["val"].example(0)

    kind = {"images": "color"}.get(images, images)
    (record,) = catalog.records(f"nyud-fcn32s-{kind}-heavy.caffemodel")
    net = definitions.fcn_vgg("fcn32s", classes=40, **TOY)
    file = write_caffemodel(tmp_path / "net.caffemodel", random_blobs(net))
    # The authors' data layer: colour as BGR, HHA as stored, minus their mean.
    expected = opencv(net, file, stored[..., order] - np.float32(mean), "score")
    check(record, file, image, expected)


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
def test_a_file_of_sift_flow_answers_with_both_heads(name, tmp_path, monkeypatch):
    """By its name alone: `zoo.load` finds options, heads and class names in the catalog."""
    image = image_of((64, 90), 3)[0].astype(np.uint8)
    (record,) = catalog.records(f"siftflow-{name}-heavy.caffemodel")
    assert record.model == f"{name}_two_heads"
    narrow = dataclasses.replace(record, options=record.options | TOY)
    monkeypatch.setattr(catalog, "RECORDS", (narrow,))
    net = definitions.siftflow(name, classes=33, **TOY)
    blobs = random_blobs(net)
    file = write_caffemodel(tmp_path / record.file, blobs)
    mean = np.float32([114.578, 115.294, 108.353])
    for head in ("sem", "geo"):  # biases with which several classes win
        scores = opencv(net, file, image[..., ::-1] - mean, f"score_{head}")
        blobs[f"score_fr_{head}"][1] -= scores.mean((0, 1))
    file = write_caffemodel(tmp_path / record.file, blobs)
    whole = zoo.load(file)
    answers = whole(image[None].astype("float32"))
    assert whole.spec.names == CLASS_NAMES["sift_flow"]
    for head, classes in (("semantic", 33), ("geometric", 3)):
        expected = opencv(net, file, image[..., ::-1] - mean, f"score_{head[:3]}")
        one = zoo.load(file, head=head)
        assert one.spec.classes == classes
        for scores in (answers[head], one(image[None].astype("float32"))):
            check_same(keras.ops.convert_to_numpy(scores)[0], expected)
    assert one.spec.names == ("sky", "horizontal", "vertical")


def test_a_file_of_late_fusion_answers_for_colour_and_hha(tmp_path, monkeypatch):
    colour, hha = np.split(image_of((64, 90), 6)[0].astype(np.uint8), 2, axis=-1)
    (record,) = catalog.records("nyud-fcn32s-color-hha-heavy.caffemodel")
    narrow = dataclasses.replace(record, options=record.options | TOY)
    monkeypatch.setattr(catalog, "RECORDS", (narrow,))
    net = definitions.late_fusion(classes=40, **TOY)
    file = write_caffemodel(tmp_path / record.file, random_blobs(net))
    model = zoo.load(file)
    expected = opencv(
        net,
        file,
        {
            "color": colour[..., ::-1] - np.float32([116.190, 97.203, 92.318]),
            "hha": hha - np.float32([132.431, 94.076, 118.477]),
        },
        "score",
    )
    images = {"color": colour[None].astype("float32"), "hha": hha[None].astype("float32")}
    check_same(keras.ops.convert_to_numpy(model(images))[0], expected)
    assert model.spec.names == CLASS_NAMES["nyudv2"]
