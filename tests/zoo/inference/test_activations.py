"""The strongest maps of layers, of every model, and the sheet of them."""

import keras
import numpy as np
import pytest

from tests.support.toys import ALL, build_toy, scores_of, toy_images
from zoo.inference.activations import activations, outputs, sheet, shown_layers

SHOWN = {
    "caffenet_heatmap": ["pool1", "pool2", "pool5", "fc8"],
    "deconvnet": [
        *("unpool5", "derelu5_3", "unpool4", "derelu4_3", "unpool3", "derelu3_3"),
        *("unpool2", "derelu2_2", "unpool1", "derelu1_2"),
    ],
    "encoder_decoder": ["up_u1", "up_u0"],
    "fcn16s_two_heads": ["score_fr_sem", "score_pool4_sem", "fuse_pool4_sem"],
    "fcn32s_early_fusion": ["score_fr"],
    "fcn32s_late_fusion": ["score_frcolor", "score_frhha", "score_fused"],
    "fcn32s_two_heads": ["score_fr_sem"],
    "fcn8s_two_heads": [
        *("score_fr_sem", "score_pool4_sem", "fuse_pool4_sem", "score_pool3_sem"),
        "fuse_pool3_sem",
    ],
    "fcn_googlenet": ["score_fr"],
    "fcn16s": ["score_fr", "score_pool4", "fuse_pool4"],
    "fcn32s": ["score_fr"],
    "fcn8s": ["score_fr", "score_pool4", "fuse_pool4", "score_pool3", "fuse_pool3"],
    "fcn8s_atonce": ["score_fr", "score_pool4", "fuse_pool4", "score_pool3", "fuse_pool3"],
    "fcn_alexnet": ["score_fr"],
    "fullres": ["conv_1", "conv_2", "conv_3"],
    "segnet": [
        *("upsample5", "relu5_1_D", "upsample4", "relu4_1_D", "upsample3", "relu3_1_D"),
        *("upsample2", "relu2_1_D", "upsample1", "relu1_2_D"),
    ],
    "unet": ["upconv_d2c_u1a", "upconv_u1d_u0a"],
    "unet_vgg16": [f"upconv{stage}" for stage in (5, 4, 3, 2, 1)],
    "vgg16_heatmap": [*(f"pool{stage}" for stage in range(1, 6)), "fc8"],
    "vgg19_heatmap": [*(f"pool{stage}" for stage in range(1, 6)), "fc8"],
}


@pytest.mark.parametrize("name", ALL)
def test_the_layers_of_every_model_are_shown_in_the_order_of_the_net(name):
    model = build_toy(name)
    assert shown_layers(model) == SHOWN[name]
    image = toy_images(name, 1)[0]
    found = activations(model, image)
    assert [one.layer for one in found] == SHOWN[name]
    for one in found:
        shape = keras.tree.flatten(model.get_layer(one.layer).output)[0].shape
        assert one.channels == shape[-1] > one.channel >= 0
        assert one.map.ndim == 2
    assert sheet(image.astype(np.uint8), found).width > 280


def test_the_strongest_map_has_the_largest_sum_without_negative_numbers():
    model = build_toy("unet")
    image = toy_images("unet", 1)
    found = {one.layer: one for one in activations(model, image[0])}
    for name, one in found.items():
        layer = keras.Model(model.input, model.get_layer(name).output)
        features = keras.ops.convert_to_numpy(layer(image))[0]
        sums = [features[..., channel].clip(0).sum() for channel in range(features.shape[-1])]
        assert one.channel == int(np.argmax(sums))
        assert min(features.sum((0, 1))) < 0  # so that the rule matters
        np.testing.assert_allclose(one.map, features[..., one.channel], rtol=1e-5, atol=1e-5)
        assert one.class_name is None


def test_scores_are_shown_of_the_class_that_wins():
    model = build_toy("fcn8s")
    image = toy_images("fcn8s", 1)
    won = np.bincount(scores_of(model, image).argmax(-1).ravel(), minlength=4)
    first, second = np.argsort(-won)[:2]
    names = ["a", "b", "c", "d"]
    for background, expected in ((None, first), (int(first), second), (int(second), first)):
        model.spec = model.spec.replace(class_names=names, background=background)
        found = activations(model, image[0])
        assert {one.class_name for one in found} == {names[expected]}
        assert {one.channel for one in found} == {expected}


def test_a_background_that_wins_everywhere_is_shown():
    model = build_toy("fcn32s")
    model.get_layer("score_fr").bias.assign([1e6, 0, 0, 0])
    model.spec = model.spec.replace(background=0)
    (one,) = activations(model, toy_images("fcn32s", 1)[0])
    assert one.class_name == "class 0"


def test_other_layers_by_their_names():
    model = build_toy("deconvnet")
    image = toy_images("deconvnet", 1)[0]
    found = activations(model, image, ["pool1", "fc6"])
    assert [(one.layer, one.map.shape) for one in found] == [("pool1", (112, 128)), ("fc6", (1, 2))]
    (pooled,) = outputs(model, image, ["pool1"])  # and not its switches
    np.testing.assert_array_equal(found[0].map, pooled[..., found[0].channel])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("unpool_5", r"deconvnet has none that is called 'unpool_5'\. Did you mean unpool5\?"),
        ("x", r"none that is called 'x'\. model\.summary\(\) lists them"),
    ],
)
def test_an_unknown_layer(layer, message):
    with pytest.raises(ValueError, match=message):
        activations(build_toy("deconvnet"), toy_images("deconvnet", 1)[0], [layer])


def test_another_model_is_asked_for_layers():
    x = image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 3, name="mine")(x)
    pooled = keras.layers.GlobalMaxPooling2D(name="flat")(x)
    model = keras.Model(image, x)
    with pytest.raises(ValueError, match=r"Name some with layers=, or --layers, such as mine"):
        activations(model, np.zeros((9, 9, 3)))
    (one,) = activations(model, np.zeros((9, 9, 3)), ["mine"])
    assert one.map.shape == (7, 7)
    with pytest.raises(ValueError, match=r"feature maps .*; flat gives others\. Leave it out"):
        outputs(keras.Model(image, pooled), np.zeros((9, 9, 3)), ["flat"])


@pytest.mark.parametrize("image", [np.zeros((9, 9)), np.zeros((9, 9, 4)), np.zeros((1, 9, 9, 3))])
def test_an_image_that_does_not_fit(image):
    with pytest.raises(
        ValueError, match=r"with the 3 channels of the model; received .*Read it wi"
    ):
        activations(build_toy("unet"), image)
