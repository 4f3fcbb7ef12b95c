"""The authors' nets give the same scores in OpenCV's Caffe engine and in the zoo.

One `.caffemodel` with random weights goes to both: there with a definition of the net written for
this test, here with `weights=`.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import cv2
import keras
import numpy as np
import pytest

import zoo
from tests.parity.caffe import definitions
from tests.parity.caffe.engine import image_for, image_of, opencv, random_blobs
from tests.parity.caffe.messages import caffemodel, write_caffemodel
from tests.support.toys import levelling
from zoo.models.plain import plain

# Their score layers are new: these tests look at the layers below.
pytestmark = pytest.mark.filterwarnings("ignore:encoder_weights left")


@dataclasses.dataclass(frozen=True)
class Case:
    """A definition, the zoo's name and options for it, and sizes that it is asked about.

    `head` is the one that is asked of a net with several; `score` has its biases.
    """

    name: str
    define: Callable[..., definitions.Net]
    options: dict[str, Any]
    more: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the zoo alone
    sizes: tuple[tuple[int, int], ...] = ((96, 160), (201, 133), (37, 50), (1, 1))
    score: str = "score_fr"
    head: str | None = None


VGG = {"classes": 4, "stages": (4, 6, 8, 8, 8), "fc_filters": 12}
ALEXNET = {"classes": 4, "stages": (8, 12, 8, 12, 8), "fc_filters": 12}
DECONVNET = {"classes": 4, "stages": (4, 4, 6, 6, 8), "fc_filters": 12}
UNET = {"classes": 4, "channels": 1, "filters": 6, "depth": 2}
SEGNET = {"classes": 4, "filters": 3}
# The engine's MaxUnpool has no size of its own: sides that are even at each pooling.
HALVED = ((96, 160), (352, 480), (224, 32))
TILES = dict(score="conv_u0d-score", sizes=((92, 160), (140, 44)))  # multiples of 4


def vgg_case(name: str, **options: Any) -> Case:
    return Case(name, functools.partial(definitions.fcn_vgg, name), VGG | options)


def case_of_2015(name: str) -> Case:
    define = functools.partial(definitions.fcn_vgg_2015, name)
    return Case(name, define, VGG, {"upsampling": "learned"}, score="score-fr")


def unet_case(definition: str) -> Case:
    define = functools.partial(definitions.unet, definition)
    return Case("unet", define, UNET, {"definition": definition, "border": "valid"}, **TILES)


def two_heads(name: str, head: str) -> Case:
    options = VGG | {"classes": 4 if head == "semantic" else 3}
    options["geometric_classes"] = 7 - options["classes"]
    define = functools.partial(definitions.siftflow, name)
    return Case(f"{name}_two_heads", define, options, score=f"score_fr_{head[:3]}", head=head)


GOOGLENET = {"classes": 4, "filters": 8}

CASES = {
    "fcn_googlenet": Case("fcn_googlenet", definitions.fcn_googlenet, GOOGLENET),
    "fcn_googlenet without its last pooling": Case(
        "fcn_googlenet", definitions.fcn_googlenet, GOOGLENET | {"final_pooling": "none"}
    ),
    "fcn_alexnet": Case("fcn_alexnet", definitions.fcn_alexnet, ALEXNET),
    "fcn32s": vgg_case("fcn32s"),
    "fcn16s": vgg_case("fcn16s"),
    "fcn8s": vgg_case("fcn8s"),
    "fcn8s on VGG-19": vgg_case("fcn8s", trunk="vgg19"),
    "fcn8s_atonce": vgg_case("fcn8s_atonce"),
    "fcn32s, semantic": two_heads("fcn32s", "semantic"),
    "fcn32s, geometric": two_heads("fcn32s", "geometric"),
    "fcn16s, semantic": two_heads("fcn16s", "semantic"),
    "fcn16s, geometric": two_heads("fcn16s", "geometric"),
    "fcn8s, semantic": two_heads("fcn8s", "semantic"),
    "fcn8s, geometric": two_heads("fcn8s", "geometric"),
    "early fusion": Case("fcn32s_early_fusion", definitions.early_fusion, VGG),
    "late fusion": Case("fcn32s_late_fusion", definitions.late_fusion, VGG, score="score_frcolor"),
    "fcn16s of 2015": case_of_2015("fcn16s"),
    "fcn8s of 2015": case_of_2015("fcn8s"),
    "deconvnet": Case("deconvnet", definitions.deconvnet, DECONVNET, score="seg-score-voc"),
    "segnet": Case("segnet", definitions.segnet, SEGNET, score="conv1_1_D", sizes=HALVED),
    "segnet_basic": Case(
        *("segnet", definitions.segnet_basic, SEGNET, {"definition": "basic"}),
        score="dense_softmax_inner_prod",
        sizes=HALVED,
    ),
    "unet": unet_case("paper"),
    "unet's release": unet_case("release"),
}
FCN_MEAN_BGR = (104.00699, 116.66877, 122.67892)
# The mean of each channel in the net's order.
MEANS = {
    "deconvnet": (104.00698793, 116.66876762, 122.67891434),
    **dict.fromkeys(
        ("fcn32s_two_heads", "fcn16s_two_heads", "fcn8s_two_heads"), (114.578, 115.294, 108.353)
    ),
    "fcn_googlenet": (104, 117, 123),
    "segnet": (0, 0, 0),
    "fcn32s_early_fusion": (116.190, 97.203, 92.318, 7.844),
    "fcn32s_late_fusion": (116.190, 97.203, 92.318, 132.431, 94.076, 118.477),
}


def engine_scores(case: Case, net: definitions.Net, caffemodel: bytes, image: np.ndarray):
    """OpenCV's scores [1, h, w, classes] of the image, prepared as the authors prepare it."""
    height, width = image.shape[1:3]
    if case.name == "deconvnet":  # black at the bottom and right: a multiple of 32, at least 224
        bottom, right = (max(224, -(-side // 32) * 32) - side for side in (height, width))
        image = np.pad(image, [(0, 0), (0, bottom), (0, right), (0, 0)])
    if case.name == "unet":
        data = image / np.float32(255)
    else:  # red, green and blue are reversed; depth and HHA are as stored
        data = np.concatenate([image[..., 2::-1], image[..., 3:]], -1)
        data = data - np.float32(MEANS.get(case.name, FCN_MEAN_BGR))
    answer = opencv(net, caffemodel, data, output=f"score_{case.head[:3]}" if case.head else None)
    return answer[:, :height, :width]


@functools.cache
def filled(label: str, folder: pathlib.Path) -> tuple[definitions.Net, bytes, keras.Model]:
    """The definition, its random weights as a file, and the zoo's model filled from that file."""
    case = CASES[label]
    net = case.define(**case.options)
    blobs = random_blobs(net)
    blobs[case.score][1] = level(case, net, blobs)
    path = write_caffemodel(folder / f"{label}.caffemodel", blobs)
    model = zoo.build(case.name, **case.options, **case.more, weights=path)
    return net, path.read_bytes(), plain(model, case.head)


def level(case: Case, net: definitions.Net, blobs: dict) -> np.ndarray:
    """Biases with which every class wins somewhere: else equal class maps prove nothing."""
    images, classes = [image_for(net, size) for size in case.sizes], len(blobs[case.score][1])

    def all_scores(bias: float) -> np.ndarray:
        blobs[case.score][1] = np.full(classes, bias, "float32")
        maps = [engine_scores(case, net, caffemodel(blobs), image) for image in images]
        return np.concatenate([each.reshape(1, 1, -1, classes) for each in maps], axis=2)

    scores = all_scores(0)
    response = all_scores(1) - scores
    bias = levelling(scores, response)
    assert set((scores + bias * response).argmax(-1).ravel()) == set(range(classes))
    return bias


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("caffemodels")


@pytest.mark.parametrize(
    ("label", "size"),
    [(label, size) for label, case in CASES.items() for size in case.sizes],
    ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value)),
)
def test_scores_are_those_of_opencv(label, size, folder):
    net, file, model = filled(label, folder)
    image = image_for(net, size)
    expected = engine_scores(CASES[label], net, file, image)
    scores = keras.ops.convert_to_numpy(model(image))
    assert scores.shape == expected.shape
    assert label.startswith("unet") or scores.shape[1:3] == size
    rounding = 1e-5 * np.abs(expected).max()
    assert np.abs(scores - expected).max() < rounding
    # Where two classes score alike but for rounding, processors differ in which is the first.
    first, second = -np.sort(-expected, axis=-1)[..., :2].transpose(3, 0, 1, 2)
    same, tie = scores.argmax(-1) == expected.argmax(-1), first - second < rounding
    assert (same | tie).all()
    assert same.mean() >= 0.9999
    assert min(size) < 64 or len(np.unique(expected.argmax(-1))) >= 3


def test_a_transplanted_fcn_alexnet_scores_as_caffenet_classifies(tmp_path):
    """On 227 × 227 pixels, without the padding of 100; fc8's scores through score_fr."""
    options = ALEXNET | {"classes": 9}
    net = definitions.caffenet(**options)
    blobs = random_blobs(net)
    path = write_caffemodel(tmp_path / "caffenet.caffemodel", blobs)
    image = image_of((227, 227), 3)
    data = np.ascontiguousarray((image[..., ::-1] - np.float32(FCN_MEAN_BGR)).transpose(0, 3, 1, 2))
    prototxt = net.prototxt(227, 227).encode()
    engine = cv2.dnn.readNetFromCaffe(bytearray(prototxt), bytearray(path.read_bytes()))
    engine.enableWinograd(False)
    engine.setInput(data)
    expected = engine.forward()

    model = zoo.build("fcn_alexnet", **options, encoder_weights=path)
    kernel, bias = blobs["fc8"]
    model.get_layer("score_fr").set_weights([kernel.T[None, None], bias])
    x = keras.Model(model.input, model.get_layer("pad100").input)(image)
    for layer in model.layers[model.layers.index(model.get_layer("pad100")) + 1 :]:
        x = layer(x)
        if layer.name == "score_fr":
            break
    assert x.shape == (1, 1, 1, 9)
    np.testing.assert_allclose(x[:, 0, 0], expected, atol=1e-5 * np.abs(expected).max())
