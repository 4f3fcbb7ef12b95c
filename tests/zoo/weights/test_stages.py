"""What a net that starts from another one answers: the classifier's scores, the coarser net's."""

import pathlib
import warnings

import keras
import numpy as np
import pytest

import zoo
from tests.parity.caffe import definitions
from tests.parity.caffe.engine import random_blobs
from tests.parity.caffe.messages import write_caffemodel
from tests.support.toys import TOYS, build_toy, keras_vgg, toy_images

# Their score layers are new: these tests look at the layers below.
pytestmark = pytest.mark.filterwarnings("ignore:encoder_weights left")

VGG = {"stages": (4, 6, 8, 8, 8), "fc_filters": 12}


def classifier(path: pathlib.Path) -> keras.Model:
    """A VGG-16 with random weights, biases too, that is saved in a file."""
    model = keras_vgg(**VGG)
    rng = np.random.default_rng(2)
    for weight in model.weights:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 8
        weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape))
    model.save_weights(path)
    return model


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"])
def test_a_transplanted_fcn_scores_as_the_classifier_classifies(name, tmp_path):
    """On 224 × 224 pixels with the classifier's padding of 1 in the place of 100."""
    path = tmp_path / "vgg16.weights.h5"
    vgg = classifier(path)
    model = zoo.build(name, classes=9, **VGG, encoder_weights=path)
    kernel, bias = vgg.get_layer("predictions").get_weights()
    model.get_layer("score_fr").set_weights([kernel[None, None], bias])

    image = toy_images("fcn8s", 1, (224, 224))
    pad = model.get_layer("pad100")
    x = prepared = keras.Model(model.input, pad.input)(image)
    x = keras.layers.ZeroPadding2D(1)(x)
    names = [layer.name for layer in model.layers if layer.name[:4] in ("conv", "pool")]
    for layer in (*sorted(names, key=lambda n: (n[4], n[:4], n)), "fc6", "fc7", "score_fr"):
        x = model.get_layer(layer)(x)
    expected = keras.ops.convert_to_numpy(vgg(prepared))
    assert x.shape == (1, 1, 1, 9)
    np.testing.assert_allclose(x[:, 0, 0], expected, atol=1e-5 * np.abs(expected).max())


def test_a_transplanted_deconvnet_reduces_the_image_to_the_classifiers_features(tmp_path):
    """Its normalizations, made to change nothing, leave the classifier's fc7."""
    path = tmp_path / "vgg16.weights.h5"
    vgg = classifier(path)
    model = zoo.build("deconvnet", classes=9, **VGG, encoder_weights=path)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(np.zeros(layer.beta.shape))
    image = toy_images("deconvnet", 1, (224, 224))
    first = model.get_layer("conv1_1")
    fc7 = keras.Model(model.input, [first.input, model.get_layer("bnfc7").output])
    prepared, features = fc7(image)
    expected = keras.Model(vgg.input, vgg.get_layer("fc2").output)(prepared)
    found = np.maximum(features[:, 0, 0], 0)
    assert (found > 0).any()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def between_the_samples(size: int, spacing: int) -> np.ndarray:
    """Where two steps of linear interpolation are one: in the middle half of each interval.

    A pixel lies at (pixel + 3.5 - spacing / 2) / spacing of the coarser samples; doubling puts its
    own at every quarter and three quarters, and draws a straight line between them.
    """
    place = (np.arange(size) + 3.5 - spacing / 2) / spacing % 1
    return (place >= 0.25) & (place <= 0.75)


@pytest.mark.parametrize(
    ("coarse", "fine", "spacing"), [("fcn32s", "fcn16s", 32), ("fcn16s", "fcn8s", 16)]
)
def test_a_finer_net_begins_with_the_answers_of_the_coarser(coarse, fine, spacing, tmp_path):
    path = tmp_path / "coarse.weights.h5"
    before = build_toy(coarse)
    before.save_weights(path)
    after = zoo.build(fine, **TOYS[fine].options, encoder_weights=path)
    image = toy_images(fine, 1, (97, 150))
    expected, found = (keras.ops.convert_to_numpy(model(image)) for model in (before, after))
    difference = np.abs(found - expected).max((0, 3)) / np.abs(expected).max()
    same = np.outer(between_the_samples(97, spacing), between_the_samples(150, spacing))
    assert 0.2 < same.mean() < 0.3
    assert difference[same].max() < 1e-5
    assert difference[~same].max() > 1e-3  # the straight line cuts a corner of the coarser one


def test_each_stage_adds_one_score_layer_of_zeros(tmp_path):
    for coarse, fine, added in [
        ("fcn32s", "fcn16s", "score_pool4"),
        ("fcn16s", "fcn8s", "score_pool3"),
    ]:
        path = tmp_path / f"{coarse}.weights.h5"
        before = build_toy(coarse)
        before.save_weights(path)
        after = zoo.build(fine, **TOYS[fine].options, encoder_weights=path)
        names = {layer.name for layer in before.layers if layer.weights}
        assert {layer.name for layer in after.layers if layer.weights} - names == {added}
        assert not any(weight.any() for weight in after.get_layer(added).get_weights())
        for name in names:
            ours, theirs = (model.get_layer(name).get_weights() for model in (after, before))
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("default:encoder_weights left")
@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"])
def test_a_net_whose_scores_are_all_zero_says_so(name, tmp_path):
    path = tmp_path / "vgg16.weights.h5"
    classifier(path)
    with pytest.warns(UserWarning, match=rf"left score_fr.* at zero, so {name} answers class 0"):
        model = zoo.build(name, classes=9, **VGG, encoder_weights=path)
    assert not model(toy_images("fcn8s", 1, (20, 30))).numpy().any()
    # A coarser net brings scores, and nothing is to be said.
    path = tmp_path / "coarse.weights.h5"
    build_toy("fcn32s").save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zoo.build(name, **TOYS[name].options, encoder_weights=path)


@pytest.mark.parametrize("said", ["by a Spec", "by the name", "by Caffe's scales"])
@pytest.mark.parametrize(
    ("source", "target", "copied"),
    [
        ("fcn8s", "fcn8s_atonce", False),
        ("fcn8s_atonce", "fcn8s", False),
        ("fcn8s_atonce", "fcn8s_atonce", True),
        ("fcn8s", "fcn16s", True),
    ],
)
def test_scores_of_scaled_pools_are_not_those_of_plain_ones(said, source, target, copied, tmp_path):
    """A pool at 0.01 times its numbers needs other scores; score_fr is the same for both."""
    saved = build_toy(source)
    path = tmp_path / "net.weights.h5"
    if said == "by a Spec":
        zoo.weights.save(saved, path)
    elif said == "by the name":
        saved.save_weights(path)
    else:
        net = definitions.fcn_vgg(source, **TOYS[source].options)
        path = write_caffemodel(tmp_path / "net.caffemodel", random_blobs(net))
    started = zoo.build(target, **TOYS[target].options, encoder_weights=path)
    assert np.any(started.get_layer("score_fr").kernel)
    assert np.any(started.get_layer("score_pool4").kernel) == copied
