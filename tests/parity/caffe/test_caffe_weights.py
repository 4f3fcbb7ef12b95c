"""From a `.caffemodel` into a model: layouts, constants, names, and what is refused."""

import re

import keras
import numpy as np
import pytest

import zoo
from tests.parity.caffe import definitions
from tests.parity.caffe.messages import write_caffemodel
from tests.support import refusals

# Their score layers are new: these tests look at the layers below.
pytestmark = pytest.mark.filterwarnings("ignore:encoder_weights left")

FCN = {"classes": 4, "stages": (4, 6, 8, 8, 8), "fc_filters": 12}


def random_blobs(net: definitions.Net) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(3)
    blobs = {
        name: [rng.normal(size=shape).astype("float32") for shape in shapes]
        for name, shapes in net.shapes.items()
    }
    return blobs | {name: list(arrays) for name, arrays in net.fixed.items()}


@pytest.fixture
def blobs():
    return random_blobs(definitions.fcn_vgg("fcn8s_atonce", **FCN))


@pytest.fixture
def model():
    return zoo.build("fcn8s_atonce", **FCN)


def load(model, tmp_path, blobs, *, option="weights", **form):
    path = write_caffemodel(tmp_path / "net.caffemodel", blobs, **form)
    return zoo.weights.load(model, **{option: path})


def check_refused(model, tmp_path, blobs, message: str, *, option="weights", **form) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", blobs, **form)
    kind = zoo.weights.CaffeFileError
    refusals.check_refused(model, path, message, option=option, kind=kind)


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
def test_every_weight_is_set(option, model, blobs, tmp_path):
    load(model, tmp_path, blobs, option=option)
    for layer in model.layers:
        for weight, blob in zip(layer.get_weights(), blobs.get(layer.name, []), strict=False):
            order = (2, 3, 1, 0) if blob.ndim == 4 else (0,)
            np.testing.assert_array_equal(weight, blob.transpose(order))
    assert {layer.name for layer in model.layers if layer.weights} == set(blobs) - {
        "upscore2",
        "upscore_pool4",
        "upscore8",
        "scale_pool4",
        "scale_pool3",
    }


@pytest.mark.parametrize("name", ["fcn_alexnet", "deconvnet"])
def test_old_files_give_the_same_weights(name, tmp_path):
    """V1 layers, and every shape in four dimensions with ones in front, or as 1 × C × 1 × 1."""
    options = FCN | {"stages": (4, 8, 4, 4, 4)}
    blobs = random_blobs(getattr(definitions, name)(**options))
    new = load(zoo.build(name, **options), tmp_path, blobs)
    if name == "deconvnet":
        for layer, arrays in blobs.items():
            if "bn" in layer:
                blobs[layer] = [array.reshape(1, -1, 1, 1) for array in arrays]
    old = load(zoo.build(name, **options), tmp_path, blobs, v1=True, legacy_shapes=True)
    for ours, theirs in zip(new.get_weights(), old.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("averages", [False, True], ids=["folded", "mean and variance"])
def test_normalization_for_inference_is_a_scale_and_a_shift(averages, tmp_path):
    options = FCN | {"stages": (4, 4, 4, 4, 4)}
    blobs, rng = random_blobs(definitions.deconvnet(**options)), np.random.default_rng(0)
    mean, variance = np.zeros(4, "float32"), np.ones(4, "float32")
    if averages:
        for name in [name for name in blobs if "bn" in name]:
            width = blobs[name][0].size
            numbers = rng.normal(size=width), rng.uniform(0.5, 2, width)
            blobs[name] += [x.astype("float32").reshape(1, -1, 1, 1) for x in numbers]
        mean, variance = (blob.ravel() for blob in blobs["debn3_2"][2:])
    model = load(zoo.build("deconvnet", **options), tmp_path, blobs)
    layer = model.get_layer("debn3_2")
    features = rng.normal(size=(1, 2, 2, 4)).astype("float32")
    scale, shift = blobs["debn3_2"][:2]
    expected = (features - mean) / np.sqrt(variance) * scale + shift
    np.testing.assert_allclose(layer(features), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["fcn16s", "fcn8s", "fcn8s_atonce"])
def test_up_samplings_that_were_trained_under_the_names_of_the_release(name, tmp_path):
    """Without a bias, as the release has them; another fixed kernel is still an error."""
    net = definitions.fcn_vgg(name, **FCN)
    blobs, rng = random_blobs(net), np.random.default_rng(4)
    for layer in {"upscore2", "upscore_pool4"} & set(blobs):
        blobs[layer] = [rng.normal(size=blobs[layer][0].shape).astype("float32")]
    model = load(zoo.build(name, **FCN, upsampling="learned"), tmp_path, blobs)
    kernel, bias = model.get_layer("upscore2").get_weights()
    np.testing.assert_array_equal(kernel, blobs["upscore2"][0].transpose(2, 3, 1, 0))
    assert not bias.any()
    refused = "trained ones load with upsampling='learned'"
    check_refused(zoo.build(name, **FCN), tmp_path, blobs, refused)
    last = "upscore16" if name == "fcn16s" else "upscore8"
    blobs[last][0] = blobs[last][0] + 1
    check_refused(model, tmp_path, blobs, f"  {last}: [4, 4, ")


@pytest.mark.parametrize("form", [{}, {"v1": True, "legacy_shapes": True}], ids=["new", "old"])
@pytest.mark.parametrize("name", ["fcn_alexnet", "fcn32s", "deconvnet"])
def test_a_classifier_fills_the_trunk(name, form, tmp_path):
    """Fully connected fc6 and fc7 become convolutions; fc8 has no place; the rest stays."""
    model = zoo.build(name, **FCN | {"stages": (4, 8, 4, 4, 4)})
    window = 6 if name == "fcn_alexnet" else 7
    rng = np.random.default_rng(1)
    blobs = {
        layer.name: [
            rng.normal(size=np.transpose(kernel, (3, 2, 0, 1)).shape).astype("float32"),
            rng.normal(size=bias.shape).astype("float32"),
        ]
        for layer in model.layers
        if re.match(r"conv\d", layer.name) and "relu" not in layer.name
        for kernel, bias in [layer.get_weights()]
    }
    for fully_connected, shape in [
        ("fc6", (12, 4 * window**2)),
        ("fc7", (12, 12)),
        ("fc8", (9, 12)),
    ]:
        blobs[fully_connected] = [rng.normal(size=s).astype("float32") for s in (shape, shape[:1])]
    others = {layer.name: layer.get_weights() for layer in model.layers if layer.name not in blobs}
    load(model, tmp_path, blobs, option="encoder_weights", **form)
    # The definition of a fully connected layer: the window channel by channel, times a matrix.
    features = rng.normal(size=(1, window, window, 4)).astype("float32")
    matrix, bias = blobs["fc6"]
    expected = matrix @ features[0].transpose(2, 0, 1).ravel() + bias
    kernel, kernel_bias = model.get_layer("fc6").get_weights()
    found = keras.ops.conv(features, kernel) + kernel_bias
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found).ravel(), expected, rtol=2e-4)
    np.testing.assert_array_equal(
        model.get_layer("conv4_2" if window == 7 else "conv4").get_weights()[0],
        blobs["conv4_2" if window == 7 else "conv4"][0].transpose(2, 3, 1, 0),
    )
    for other, weights in others.items():
        for weight, old in zip(model.get_layer(other).get_weights(), weights, strict=True):
            np.testing.assert_array_equal(weight, old)


# What does not fit.


def refused_as(model: str, *lines: str) -> str:
    """The whole error about a file that does not fit."""
    listed = "".join(f"  {line}\n" for line in lines)
    return (
        f"The weights in FILE do not fit {model}, which is unchanged:\n{listed}Build the model "
        "that was trained, with its options, or copy the layers that both have with "
        "encoder_weights='FILE'."
    )


@pytest.mark.parametrize(
    ("layer", "change", "text"),
    [
        ("upscore2", lambda x: x + 0.01, "[4, 4, 4, 4] in the file, but fixed numbers "
         "[4, 4, 4, 4] of at most 0.5625 are required; trained ones load with "
         "upsampling='learned'"),
        ("upscore8", lambda x: np.roll(x, 1, 0), "[4, 4, 16, 16] in the file, but fixed "
         "numbers [4, 4, 16, 16] of at most 0.878906 are required"),
        ("upscore8", lambda x: x[:, :1], "[4, 4, 16, 16] in the file, but fixed"),
        ("upscore8", lambda x: x[:, :2], "[4, 2, 16, 16] in the file, but fixed"),
        ("upscore8", lambda x: x * np.float32(np.nan), "[4, 4, 16, 16] in the file, but fixed"),
        ("scale_pool3", lambda x: x * 100, "[8] in the file, but fixed numbers [8] of at most "
         "0.0001 are required"),
    ],
)  # fmt: skip
def test_other_constants_are_refused(layer, change, text, model, blobs, tmp_path):
    blobs[layer] = [change(blobs[layer][0])]
    check_refused(model, tmp_path, blobs, f"\n  {layer}: {text}")
    load(model, tmp_path, blobs, option="encoder_weights")  # the remedy


def test_a_bias_of_zeros_in_a_fixed_up_sampling_is_none(model, blobs, tmp_path):
    blobs["upscore8"].append(np.zeros(4, "float32"))
    load(model, tmp_path, blobs)
    blobs["upscore8"][1][2] = 1e-3
    text = "upscore8: [4, 4, 16, 16] and [4] in the file, but fixed numbers"
    check_refused(model, tmp_path, blobs, text)


def test_a_grouped_up_sampling_is_the_same(model, blobs, tmp_path):
    for layer in ("upscore2", "upscore_pool4", "upscore8"):
        kernel = blobs[layer][0]
        blobs[layer] = [kernel[range(4), range(4)][:, None]]  # the diagonal
    load(model, tmp_path, blobs)


def test_fcn8s_and_its_at_once_form_are_told_apart_by_the_scales(model, tmp_path):
    """Their other layers have the same names and shapes, and give different scores."""
    plain = random_blobs(definitions.fcn_vgg("fcn8s", **FCN))
    refused = refused_as("fcn8s_atonce", "not in the file: scale_pool4, scale_pool3")
    check_refused(model, tmp_path, plain, refused)
    scaled = random_blobs(definitions.fcn_vgg("fcn8s_atonce", **FCN))
    fcn8s = zoo.build("fcn8s", **FCN)
    refused = refused_as("fcn8s", "not in fcn8s: scale_pool3, scale_pool4")
    check_refused(fcn8s, tmp_path, scaled, refused)


def test_all_that_does_not_fit_is_in_one_error(blobs, tmp_path):
    model = zoo.build("fcn8s_atonce", **FCN | {"classes": 7})
    blobs["score_pool2"] = blobs.pop("score_pool3")
    del blobs["conv3_2"]
    blobs["conv1_1"][0] = blobs["conv1_1"][0][:, :2]
    blobs["conv1_2"][1][3] = np.nan
    blobs["fc7"] = blobs["fc7"][:1]
    blobs["fc6"][0] = blobs["fc6"][0].reshape(12, -1)[:, 1:]
    blobs["scale_pool4"][0][0] = 1
    check_refused(
        model,
        tmp_path,
        blobs,
        refused_as(
            "fcn8s_atonce",
            "not in the file: conv3_2, score_pool3",
            "not in fcn8s_atonce: score_pool2",
            "conv1_1: [3, 3, 2, 4] and [4] in the file, [3, 3, 3, 4] and [4] in fcn8s_atonce",
            "conv1_2: it holds NaN or infinity; take earlier weights",
            "fc6: [12, 391] and [12] in the file, [7, 7, 8, 12] and [12] in fcn8s_atonce",
            "fc7: [1, 1, 12, 12] in the file, [1, 1, 12, 12] and [12] in fcn8s_atonce",
            "score_fr: [1, 1, 12, 4] and [4] in the file, [1, 1, 12, 7] and [7] in fcn8s_atonce; "
            "trained with classes=4",
            "score_pool4: [1, 1, 8, 4] and [4] in the file, [1, 1, 8, 7] and [7] in "
            "fcn8s_atonce; trained with classes=4",
            "scale_pool4: [8] in the file, but fixed numbers [8] of at most 0.01 are required",
            "upscore2: [4, 4, 4, 4] in the file, but fixed numbers [7, 7, 4, 4] of at "
            "most 0.5625 are required",
            "upscore_pool4: [4, 4, 4, 4] in the file, but fixed numbers [7, 7, 4, 4] of "
            "at most 0.5625 are required",
            "upscore8: [4, 4, 16, 16] in the file, but fixed numbers [7, 7, 16, 16] of "
            "at most 0.878906 are required",
        ),
    )


def test_scores_of_other_classes_stay_as_they_are(blobs, tmp_path):
    for upsampling in ("fixed", "learned"):
        options = FCN | {"classes": 7, "upsampling": upsampling}
        model = zoo.build("fcn8s_atonce", **options)
        scores = [layer for layer in model.layers if "score" in layer.name and layer.weights]
        before = [layer.get_weights() for layer in scores]
        assert len(before) == (3 if upsampling == "fixed" else 5)
        load(model, tmp_path, blobs, option="encoder_weights")
        np.testing.assert_array_equal(model.get_layer("fc7").get_weights()[1], blobs["fc7"][1])
        for layer, weights in zip(scores, before, strict=True):
            for new, old in zip(layer.get_weights(), weights, strict=True):
                np.testing.assert_array_equal(new, old)


def test_the_trunk_of_another_width(model, blobs, tmp_path):
    blobs["conv3_1"][0] = blobs["conv3_1"][0][:, :3]
    blobs["fc7"][1][0] = np.inf
    check_refused(
        model,
        tmp_path,
        blobs,
        "The weights in FILE do not fit the trunk of fcn8s_atonce, which is unchanged:\n"
        "  conv3_1: [3, 3, 3, 8] and [8] in the file, [3, 3, 6, 8] and [8] in fcn8s_atonce\n"
        "  fc7: it holds NaN or infinity; take earlier weights\n"
        "Build with the channels and widths of the trained model, or give weights of the same "
        "trunk.",
        option="encoder_weights",
    )


def test_a_trunk_that_ends_too_soon(model, blobs, tmp_path):
    del blobs["fc7"]
    text = "FILE lacks fc7. Give weights that hold these layers too"
    check_refused(model, tmp_path, blobs, text, option="encoder_weights")
    text = "encoder_weights copies layers by their names; FILE has other, and fcn8s_atonce has"
    check_refused(model, tmp_path, {"other": blobs["fc6"]}, text, option="encoder_weights")


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite(option, value, model, blobs, tmp_path):
    kernel = blobs["score_pool3"][0].astype("float64")
    kernel[0, 1] = value
    blobs["score_pool3"][0] = kernel
    text = "  score_pool3: it holds NaN or infinity; take earlier weights\n"
    check_refused(model, tmp_path, blobs, text, option=option, double=True)
