"""From a `.caffemodel` into a model: layouts, constants, names, and what is refused."""

import re

import definitions
import keras
import numpy as np
import pytest
from messages import write_caffemodel

import zoo

FCN = {"classes": 4, "stages": (4, 6, 8, 8, 8), "head": 12}


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
    """Refused with this text, in which FILE is the file; the model is as it was."""
    before = model.get_weights()
    text = message.replace("FILE", str(tmp_path / "net.caffemodel"))
    with pytest.raises(ValueError, match=re.escape(text)):
        load(model, tmp_path, blobs, option=option, **form)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


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


def test_normalization_for_inference_is_a_scale_and_a_shift(tmp_path):
    options = FCN | {"stages": (4, 4, 4, 4, 4)}
    blobs = random_blobs(definitions.deconvnet(**options))
    model = load(zoo.build("deconvnet", **options), tmp_path, blobs)
    layer = model.get_layer("debn3_2")
    features = np.random.default_rng(0).normal(size=(1, 2, 2, 4)).astype("float32")
    scale, shift = blobs["debn3_2"]
    np.testing.assert_allclose(layer(features), features * scale + shift, rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize(
    ("layer", "change", "text"),
    [
        ("upscore2", lambda x: x + 0.01, "of shape [4, 4, 4, 4], where the fixed ones have "
         "[4, 4, 4, 4] and a largest of 0.5625"),
        ("upscore8", lambda x: np.roll(x, 1, 0), "of shape [4, 4, 16, 16]"),
        ("upscore8", lambda x: x[:, :1], "of shape [4, 1, 16, 16], where the fixed ones have "
         "[4, 4, 16, 16]"),
        ("upscore8", lambda x: x * np.float32(np.nan), "of shape [4, 4, 16, 16]"),
        ("scale_pool3", lambda x: x * 100, "of shape [8], where the fixed ones have [8] and a "
         "largest of 0.0001"),
    ],
)  # fmt: skip
def test_other_constants_are_refused(layer, change, text, model, blobs, tmp_path):
    blobs[layer] = [change(blobs[layer][0])]
    check_refused(
        model, tmp_path, blobs, f"{layer} is fixed here and FILE holds other numbers: {text}"
    )
    with pytest.raises(ValueError, match=r"Take the layers that both have with encoder_weights="):
        load(model, tmp_path, blobs)
    load(model, tmp_path, blobs, option="encoder_weights")  # the remedy


def test_fcn8s_and_its_at_once_form_are_told_apart_by_the_scales(model, tmp_path):
    """Their other layers have the same names and shapes, and give different scores."""
    plain = random_blobs(definitions.fcn_vgg("fcn8s", **FCN))
    check_refused(
        model,
        tmp_path,
        plain,
        "Weights fit the model that they were trained in; FILE lacks scale_pool4, scale_pool3. "
        "Build that model, or take the layers that both have with encoder_weights='FILE'.",
    )
    scaled = random_blobs(definitions.fcn_vgg("fcn8s_atonce", **FCN))
    fcn8s = zoo.build("fcn8s", **FCN)
    check_refused(fcn8s, tmp_path, scaled, "; fcn8s lacks scale_pool3, scale_pool4. Build")


def test_names_that_one_side_lacks(model, blobs, tmp_path):
    blobs["score_pool2"] = blobs.pop("score_pool3")
    del blobs["conv3_2"]
    check_refused(
        model,
        tmp_path,
        blobs,
        "FILE lacks conv3_2, score_pool3, and fcn8s_atonce lacks score_pool2. Build",
    )


def test_another_number_of_classes(blobs, tmp_path):
    model = zoo.build("fcn8s_atonce", **FCN | {"classes": 7})
    check_refused(
        model,
        tmp_path,
        blobs,
        "fcn8s_atonce with classes=7 has score_fr of shape [1, 1, 12, 7]; FILE has "
        "[1, 1, 12, 4]: they were trained for 4 classes. Build with classes=4, or keep yours and "
        "take all but the scores with encoder_weights='FILE'.",
    )
    load(model, tmp_path, blobs, option="encoder_weights")  # the remedy
    np.testing.assert_array_equal(model.get_layer("fc7").get_weights()[1], blobs["fc7"][1])
    assert not any(weight.any() for weight in model.get_layer("score_fr").get_weights())


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda arrays: [arrays[0][:, :3], arrays[1]], "[3, 3, 3, 8] and [8]"),
        (lambda arrays: arrays[:1], "[3, 3, 6, 8]"),
        (lambda arrays: [arrays[0].reshape(8, 54), arrays[1][:5]], "[3, 3, 6, 8] and [5]"),
        (lambda arrays: [arrays[0].ravel(), arrays[1]], "[432] and [8]"),
    ],
)
def test_other_shapes(option, change, text, model, blobs, tmp_path):
    blobs["conv3_1"] = change(blobs["conv3_1"])
    check_refused(
        model,
        tmp_path,
        blobs,
        f"fcn8s_atonce has conv3_1 with weights of shape [3, 3, 6, 8] and [8]; FILE has {text}. "
        "Build with the options that they were trained with: channels and the widths of the "
        "layers.",
        option=option,
    )


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite(option, value, model, blobs, tmp_path):
    kernel = blobs["score_pool3"][0].astype("float64")
    kernel[0, 1] = value
    blobs["score_pool3"][0] = kernel
    check_refused(
        model,
        tmp_path,
        blobs,
        "Weights are finite numbers; FILE has infinite or undefined ones in score_pool3. Take "
        "weights from before the training diverged.",
        option=option,
        double=True,
    )
