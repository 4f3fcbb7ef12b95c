"""From a file of a data set to OpenCV's answer: reader, options of the catalog and net together."""

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
from tests.parity.caffe.messages import write_caffemodel
from tests.parity.caffe.test_caffe_scores import image_of, random_blobs
from zoo.weights import catalog

TOY = {"stages": (4, 6, 8, 8, 8), "head": 12}


def opencv(net: definitions.Net, file: pathlib.Path, data: np.ndarray, score: str) -> np.ndarray:
    """The scores `[h, w, classes]` of what the authors' data layer gives, `[h, w, c]`."""
    prototxt = net.prototxt(*data.shape[:2]).encode()
    engine = cv2.dnn.readNetFromCaffe(bytearray(prototxt), bytearray(file.read_bytes()))
    engine.enableWinograd(False)
    engine.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    engine.setInput(np.ascontiguousarray(np.float32(data).transpose(2, 0, 1)[None]))
    return engine.forward(score)[0].transpose(1, 2, 0)


def check(record: catalog.Record, file: pathlib.Path, image: np.ndarray, expected: np.ndarray):
    """What the catalog says of the file gives the engine's class map of the image."""
    model = zoo.build(record.model, **TOY, **record.options, weights=file)
    scores = keras.ops.convert_to_numpy(model(image[None].astype("float32")))[0]
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
def test_the_semantic_head_of_sift_flow_is_loaded(name, tmp_path):
    image = image_of((64, 90), 3)[0].astype(np.uint8)
    (record,) = catalog.records(f"siftflow-{name}-heavy.caffemodel")
    net = definitions.siftflow(name, classes=33, **TOY)
    file = write_caffemodel(tmp_path / "net.caffemodel", random_blobs(net))
    mean = np.float32([114.578, 115.294, 108.353])
    expected = opencv(net, file, image[..., ::-1] - mean, "score_sem")
    check(record, file, image, expected)
    assert record.model == name
