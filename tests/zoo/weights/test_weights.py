"""Weights from Keras's files: every weight or a clear refusal, and then the model is as it was."""

import re

import h5py
import keras
import numpy as np
import pytest

import zoo
from tests.support.refusals import check_refused
from tests.support.toys import TOYS, build_toy, keras_vgg
from zoo.weights import imagenet

# Their score layers are new: these tests look at the layers below.
pytestmark = pytest.mark.filterwarnings("ignore:encoder_weights left")

FCN = TOYS["fcn8s"].options


@pytest.fixture
def model():
    return zoo.build("fcn8s", **FCN)


@pytest.fixture
def path(tmp_path):
    """A file of weights, to be damaged."""
    path = tmp_path / "saved.weights.h5"
    build_toy("fcn8s").save_weights(path)
    return path


def check_same(model: keras.Model, other: keras.Model) -> None:
    for weight, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
@pytest.mark.parametrize("name", sorted(TOYS))
def test_every_model_comes_back_from_its_files(name, ending, tmp_path):
    saved = build_toy(name)
    path = tmp_path / f"saved.{ending}"
    saved.save_weights(path) if ending == "weights.h5" else saved.save(path)
    check_same(zoo.build(name, **TOYS[name].options, weights=path), saved)
    check_same(zoo.build(name, **TOYS[name].options, weights=str(path)), saved)


def test_a_trained_models_optimizer_is_not_weights(tmp_path, model):
    saved = build_toy("fcn8s")
    saved.compile("adam", "mse")
    image, scores = np.zeros((1, 8, 8, 3)), np.ones((1, 8, 8, 4))
    saved.fit(image, scores, verbose=0)
    saved.save(tmp_path / "trained.keras")
    check_same(zoo.weights.load(model, weights=tmp_path / "trained.keras"), saved)


def test_nothing_given_changes_nothing(model):
    before = model.get_weights()
    assert zoo.weights.load(model) is model
    assert all(map(np.array_equal, model.get_weights(), before))


def test_mixed_precision_keeps_float32_weights(path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.build("fcn8s", **FCN, weights=path)
    finally:
        keras.config.set_dtype_policy("float32")
    check_same(model, build_toy("fcn8s"))


# What the options take.


def test_both_options(model, path):
    text = (
        "weights sets every layer and would overwrite encoder_weights; received "
        f"weights={str(path)!r} and encoder_weights='imagenet'. Pass one."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        zoo.weights.load(model, weights=path, encoder_weights="imagenet")


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
@pytest.mark.parametrize(
    "file", ["model.hdf5", "model.pth", "folder", "model.weights.H5", "", 5, True]
)
def test_unknown_endings(option, file, model):
    text = f"{option} is the path of a file that ends in .weights.h5, .h5, .keras or .caffemodel"
    check_refused(model, file, f"{text}; received {str(file)!r}. Give such a file.", option=option)


def test_imagenet_is_for_the_encoder(model):
    check_refused(
        model,
        "imagenet",
        "received 'imagenet'. Give such a file. Or did you mean encoder_weights=\"imagenet\"?",
    )


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
@pytest.mark.parametrize("ending", ["weights.h5", "keras", "caffemodel"])
def test_missing_file(option, ending, model, tmp_path):
    (tmp_path / f"folder.{ending}").mkdir()
    for name in ("none", "folder"):
        check_refused(
            model,
            tmp_path / f"{name}.{ending}",
            f"{option} is the path of a file; there is none at 'FILE'. Check the path; it is "
            "relative to the current directory.",
            option=option,
            kind=FileNotFoundError,
        )


# Weights of another net.


def test_weights_of_another_model(path):
    check_refused(
        zoo.build("fcn16s", **FCN),
        path,
        "The weights in FILE do not fit fcn16s, which is unchanged:\n  they were saved from fcn8s\n"
        "  not in fcn16s: score_pool3\nBuild the model that was trained, with its "
        "options, or copy the layers that both have with encoder_weights='FILE'.",
    )
    # Same names and shapes as fcn8s, other scores.
    check_refused(zoo.build("fcn8s_atonce", **FCN), path, "  they were saved from fcn8s\nBuild")


def test_another_trunk(tmp_path, model):
    saved = zoo.build("fcn8s", **FCN, trunk="vgg19")
    path = tmp_path / "vgg19.weights.h5"
    saved.save_weights(path)
    check_refused(
        model,
        path,
        "fcn8s, which is unchanged:\n  not in fcn8s: conv3_4, conv4_4, conv5_4\nBuild the model",
    )


@pytest.mark.parametrize("name", sorted(TOYS))
def test_another_number_of_classes(name, tmp_path):
    path = tmp_path / "saved.weights.h5"
    build_toy(name).save_weights(path)
    model = zoo.build(name, **TOYS[name].options | {"classes": 21})
    score = model.get_layer(TOYS[name].score)
    shape = list(score.kernel.shape)
    check_refused(
        model,
        path,
        f"  {score.name}: {[*shape[:-1], 4]} and [4] in the file, {shape} and [21] in {name}; "
        "trained with classes=4\n",
    )


def test_other_widths(path):
    check_refused(
        zoo.build("fcn8s", **FCN | {"fc_filters": 5}),
        path,
        "  fc6: [7, 7, 8, 12] and [12] in the file, [7, 7, 8, 5] and [5] in fcn8s\n"
        "  fc7: [1, 1, 12, 12] and [12] in the file, [1, 1, 5, 5] and [5] in fcn8s\n"
        "  score_fr: [1, 1, 12, 4] and [4] in the file, [1, 1, 5, 4] and [4] in fcn8s\n",
    )
    check_refused(zoo.build("fcn8s", **FCN, channels=1), path, "  conv1_1: [3, 3, 3, 4] and")


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_numbers_that_are_not_finite(option, value, model, path):
    with h5py.File(path, "a") as file:
        file["layers/conv2d_17/vars/1"][2] = value
    check_refused(
        model,
        path,
        "  score_pool3: it holds NaN or infinity; take earlier weights\n",
        option=option,
    )


# The trunk alone.


def test_a_coarse_net_fills_a_finer_one(path, tmp_path):
    coarse = build_toy("fcn32s")
    coarse.save_weights(path)
    fine = zoo.build("fcn16s", **FCN, encoder_weights=path)
    for layer in coarse.layers:
        for weight, expected in zip(
            fine.get_layer(layer.name).get_weights() if layer.weights else [],
            layer.get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(weight, expected)
    assert not any(weight.any() for weight in fine.get_layer("score_pool4").get_weights())


def test_scores_of_other_classes_stay_as_they_are(path):
    model = zoo.build("fcn8s", **FCN | {"classes": 7}, encoder_weights=path)
    kernel, _ = build_toy("fcn8s").get_layer("fc7").get_weights()
    np.testing.assert_array_equal(model.get_layer("fc7").get_weights()[0], kernel)
    for name in ("score_fr", "score_pool4", "score_pool3"):
        assert not any(weight.any() for weight in model.get_layer(name).get_weights())


def test_the_encoder_lacks_layers(tmp_path, model):
    path = tmp_path / "trunk.weights.h5"
    whole = build_toy("fcn8s")
    keras.Model(whole.input, whole.get_layer("pool5").output).save_weights(path)
    check_refused(
        model,
        path,
        "encoder_weights fills the whole trunk of fcn8s; FILE lacks fc6, fc7. Give weights that "
        "hold these layers too; the fully connected ones belong to the trunk.",
        option="encoder_weights",
    )


def test_the_encoder_has_nothing_in_common(tmp_path, model):
    path = tmp_path / "unet.weights.h5"
    zoo.build("unet", classes=2, filters=2, depth=1).save_weights(path)
    check_refused(
        model,
        path,
        "encoder_weights copies layers by their names; FILE has conv_d0a-b, conv_d0b-c, "
        "conv_d1a-b, conv_d1b-c, conv_u0b-c, conv_u0c-d, conv_u0d-score, upconv_d1c_u0a, and fcn8s "
        "has conv1_1, conv1_2, conv2_1, conv2_2, conv3_1, conv3_2, conv3_3, conv4_1 and 10 more. "
        "Give weights of the same trunk.",
        option="encoder_weights",
    )


def test_the_encoder_has_other_widths(path):
    check_refused(
        zoo.build("fcn16s", **FCN | {"fc_filters": 5}),
        path,
        "  fc6: [7, 7, 8, 12] and [12] in the file, [7, 7, 8, 5] and [5] in fcn16s\n",
        option="encoder_weights",
    )


def check_holds_vgg(model: keras.Model, vgg: keras.Model) -> None:
    """The trunk's features are the classifier's, up to and including fc7."""
    for layer in vgg.layers:
        name = imagenet.author_name(layer.name)
        for weight, expected in zip(
            model.get_layer(name).get_weights() if layer.weights and name != "fc8" else [],
            layer.get_weights() if name != "fc8" else [],
            strict=True,
        ):
            np.testing.assert_array_equal(weight.ravel(), expected.ravel())
    features = np.random.default_rng(0).normal(size=(1, 7, 7, FCN["stages"][-1]))
    expected = vgg.get_layer("fc1")(features.reshape(1, -1))
    found = model.get_layer("fc6")(features)[:, 0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
@pytest.mark.parametrize("trunk", ["vgg16", "vgg19"])
def test_a_file_of_keras_vgg_fills_the_trunk(trunk, ending, tmp_path):
    vgg = keras_vgg(FCN["stages"], FCN["fc_filters"], trunk=trunk)
    path = tmp_path / f"vgg.{ending}"
    vgg.save_weights(path) if ending == "weights.h5" else vgg.save(path)
    check_holds_vgg(zoo.build("fcn8s", **FCN, trunk=trunk, encoder_weights=path), vgg)


@pytest.mark.parametrize("trunk", ["vgg16", "vgg19"])
def test_imagenet(trunk, monkeypatch, model):
    """Keras is asked for the weights of the model's own trunk."""
    vgg = keras_vgg(FCN["stages"], FCN["fc_filters"], trunk=trunk)

    def trained(*, weights):
        assert weights == "imagenet"
        return vgg

    key = {"vgg16": "conv5_3", "vgg19": "conv5_4"}[trunk]
    monkeypatch.setattr(imagenet, "VGG", {**imagenet.VGG, key: trained})
    shapes = {name: tuple(model.get_layer(name).kernel.shape) for name in imagenet.SHAPES}
    monkeypatch.setattr(imagenet, "SHAPES", shapes)
    filled = zoo.build("fcn8s", **FCN, trunk=trunk, encoder_weights="imagenet")
    check_holds_vgg(filled, vgg)
    told = []
    zoo.weights.load(filled, encoder_weights="imagenet", progress=lambda *n: told.append(n))
    assert told[-1][0] == told[-1][1] > 0


def test_imagenet_for_a_net_on_the_convolutions_alone(monkeypatch):
    """It has no fc6 and fc7, and its decoder keeps its initial values."""
    options = TOYS["unet_vgg16"].options
    vgg = keras_vgg(options["stages"], 12)
    monkeypatch.setattr(imagenet, "VGG", {**imagenet.VGG, "conv5_3": lambda *, weights: vgg})
    model = zoo.build("unet_vgg16", **options)
    names = ("conv1_1", "conv5_3")
    shapes = {name: tuple(model.get_layer(name).kernel.shape) for name in names}
    monkeypatch.setattr(imagenet, "SHAPES", shapes | {"fc7": (1, 1, 4096, 4096)})
    before = model.get_layer("bottom_1").get_weights()
    zoo.weights.load(model, encoder_weights="imagenet")
    convolutions = [x for x in vgg.layers if x.name.startswith("block") and x.weights]
    assert len(convolutions) == 13
    for layer in convolutions:
        found = model.get_layer(imagenet.author_name(layer.name)).get_weights()
        for one, other in zip(found, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(model.get_layer("bottom_1").get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("trunk", ["vgg16", "vgg19"])
def test_keras_names_and_shapes_are_those_of_the_trunk(trunk):
    build = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[trunk]
    assert imagenet.VGG[{"vgg16": "conv5_3", "vgg19": "conv5_4"}[trunk]] is build
    vgg = build(weights=None, include_top=False, input_shape=(32, 32, 3))
    ours = zoo.build("fcn8s", trunk=trunk, fc_filters=2)
    shapes = {layer.name: layer.kernel.shape for layer in ours.layers if layer.weights}
    kernels = {imagenet.author_name(x.name): x.kernel.shape for x in vgg.layers if x.weights}
    trunk_shapes = {name: shape for name, shape in shapes.items() if name.startswith("conv")}
    assert kernels == trunk_shapes
    assert {imagenet.author_name(name) for name in ("fc1", "fc2")} == {"fc6", "fc7"}


@pytest.mark.parametrize("name", ["unet", "fcn_alexnet"])
def test_imagenet_for_a_net_without_vgg(name):
    check_refused(
        zoo.build(name, **TOYS[name].options),
        "imagenet",
        f'encoder_weights="imagenet" is for nets on VGG; {name} is not one. Give the path of a '
        ".caffemodel of its trunk, or leave encoder_weights out.",
        option="encoder_weights",
    )


def test_imagenet_for_other_widths(model):
    """Refused before anything is fetched."""
    check_refused(
        model,
        "imagenet",
        'encoder_weights="imagenet" fits VGG in its own widths; conv1_1 of this fcn8s has the '
        "shape [3, 3, 3, 4] and not [3, 3, 3, 64]. Build with channels=3 and leave the widths "
        "as they are.",
        option="encoder_weights",
    )


def test_imagenet_without_a_network(model, monkeypatch):
    def failing(*, weights):
        raise Exception("URL fetch failure on https://…: None -- unreachable")

    monkeypatch.setattr(imagenet, "VGG", {"conv5_3": failing})
    monkeypatch.setattr(imagenet, "SHAPES", {})
    check_refused(
        model,
        "imagenet",
        "The ImageNet weights could not be fetched: URL fetch failure on https://…: None -- "
        "unreachable. Connect this machine to the network, or put the file into ~/.keras/models, "
        "Keras's cache.",
        option="encoder_weights",
        kind=OSError,
    )
