"""The authors' nets give the same scores in OpenCV's Caffe engine and in the zoo.

One `.caffemodel` with random weights goes to both: there with a definition of the net written for
this test, here with `weights=`.
"""

import cv2
import definitions
import keras
import numpy as np
import pytest
from messages import caffemodel, write_caffemodel
from toys import levelling

import zoo

VGG = {"classes": 4, "stages": (4, 6, 8, 8, 8), "head": 12}
NETS = {
    "fcn_alexnet": {"classes": 4, "stages": (8, 12, 8, 12, 8), "head": 12},
    "fcn32s": VGG,
    "fcn16s": VGG,
    "fcn8s": VGG,
    "fcn8s_atonce": VGG,
    "deconvnet": {"classes": 4, "stages": (4, 4, 6, 6, 8), "head": 12},
}
SIZES = [(96, 160), (201, 133), (37, 50), (1, 1)]
MEAN_BGR = {"deconvnet": (104.00698793, 116.66876762, 122.67891434)}
FCN_MEAN_BGR = (104.00699, 116.66877, 122.67892)


def define(name: str, options: dict) -> definitions.Net:
    if name.startswith("fcn") and name != "fcn_alexnet":
        return definitions.fcn_vgg(name, **options)
    return getattr(definitions, name)(**options)


def random_blobs(net: definitions.Net, seed: int = 3) -> dict[str, list[np.ndarray]]:
    """He-normal kernels; what the authors scale down is drawn larger, so that it matters."""
    rng, blobs = np.random.default_rng(seed), {}
    for name, (kernel, *rest) in net.shapes.items():
        gain = 1 / net.fixed.get(name.replace("score", "scale"), [np.ones(1)])[0][0]
        if len(kernel) == 1:  # scale and shift of a normalization
            blobs[name] = [rng.uniform(0.5, 1.5, kernel), rng.normal(0, 0.1, kernel)]
        else:
            fan_in = kernel[0] if name.startswith(("deconv", "fc6-")) else np.prod(kernel[1:])
            deviation = gain * np.sqrt(2 / fan_in)
            blobs[name] = [rng.normal(0, deviation, kernel), rng.normal(0, 1, *rest)]
    blobs = {name: [x.astype("float32") for x in arrays] for name, arrays in blobs.items()}
    return blobs | net.fixed


def image_of(size: tuple[int, int], seed: int = 5) -> np.ndarray:
    """Random colours in blocks of 8 pixels, RGB 0-255 [1, h, w, 3]."""
    blocks = [-(-side // 8) for side in size]
    colours = np.random.default_rng(seed).integers(0, 256, (1, *blocks, 3))
    image = colours.repeat(8, 1).repeat(8, 2)[:, : size[0], : size[1]]
    return image.astype("float32")


def engine_scores(name: str, net: definitions.Net, caffemodel: bytes, image: np.ndarray):
    """OpenCV's scores [1, h, w, classes] of the image, prepared as the authors prepare it."""
    height, width = image.shape[1:3]
    if name == "deconvnet":  # black at the bottom and right, to a multiple of 32 of at least 224
        bottom, right = (max(224, -(-side // 32) * 32) - side for side in (height, width))
        image = np.pad(image, [(0, 0), (0, bottom), (0, right), (0, 0)])
    data = image[..., ::-1] - np.float32(MEAN_BGR.get(name, FCN_MEAN_BGR))
    prototxt = net.prototxt(*image.shape[1:3]).encode()
    engine = cv2.dnn.readNetFromCaffe(bytearray(prototxt), bytearray(caffemodel))
    engine.enableWinograd(False)
    engine.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    engine.setInput(np.ascontiguousarray(data.transpose(0, 3, 1, 2)))
    return engine.forward().transpose(0, 2, 3, 1)[:, :height, :width]


@pytest.fixture(scope="module", params=NETS)
def case(request, tmp_path_factory):
    """A net of each kind: name, definition, file and the zoo's model filled from it."""
    name = request.param
    net = define(name, NETS[name])
    blobs = random_blobs(net)
    path = tmp_path_factory.mktemp(name) / "random.caffemodel"
    last = "seg-score-voc" if name == "deconvnet" else "score_fr"
    blobs[last][1] = level(name, net, blobs, last)
    write_caffemodel(path, blobs)
    return name, net, path, zoo.build(name, **NETS[name], weights=path)


def level(name: str, net: definitions.Net, blobs: dict, last: str) -> np.ndarray:
    """Biases with which every class wins somewhere: else equal class maps prove nothing."""

    def all_scores(bias: float) -> np.ndarray:
        blobs[last][1] = np.full(4, bias, "float32")
        file = caffemodel(blobs)
        maps = [engine_scores(name, net, file, image_of(size)) for size in SIZES]
        return np.concatenate([each.reshape(1, 1, -1, 4) for each in maps], axis=2)

    scores = all_scores(0)
    response = all_scores(1) - scores
    bias = levelling(scores, response)
    assert set((scores + bias * response).argmax(-1).ravel()) == {0, 1, 2, 3}
    return bias


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_scores_are_those_of_opencv(case, size):
    name, net, path, model = case
    image = image_of(size)
    expected = engine_scores(name, net, path.read_bytes(), image)
    scores = keras.ops.convert_to_numpy(model(image))
    assert scores.shape == expected.shape == (1, *size, 4)
    assert np.abs(scores - expected).max() < 1e-5 * np.abs(expected).max()
    assert (scores.argmax(-1) == expected.argmax(-1)).all()
    assert min(size) < 64 or len(np.unique(expected.argmax(-1))) >= 3
