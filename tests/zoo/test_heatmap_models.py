"""The nets of the heat maps are the ImageNet classifiers, and what they are not for is refused."""

import dataclasses

import keras
import numpy as np
import pytest

import exports
import zoo
import zoo.inference
from recipes import runs
from recipes.training import model as training
from tests.parity.caffe import definitions
from tests.parity.caffe.engine import image_of, random_blobs
from tests.parity.caffe.messages import write_caffemodel
from tests.support.toys import (
    CLASSIFIER_TOYS,
    CLASSIFIERS,
    build_toy,
    difference,
    keras_vgg,
    scores_of,
    toy_images,
)
from zoo.class_names import CLASS_NAMES
from zoo.weights import imagenet

VGG = CLASSIFIER_TOYS["vgg16_heatmap"].options


def vgg_scores(vgg: keras.Model, images: np.ndarray) -> np.ndarray:
    """What Keras's classifier gives for images of 224 × 224, prepared as Keras does it."""
    prepared = keras.applications.vgg16.preprocess_input(images.copy())
    return keras.ops.convert_to_numpy(vgg(prepared))


def random_biases(vgg: keras.Model) -> keras.Model:
    """Keras's start at zero, with which the borders of windows would not matter."""
    rng = np.random.default_rng(1)
    for layer in vgg.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    return vgg


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
@pytest.mark.parametrize("trunk", ["vgg16", "vgg19"])
def test_a_file_of_kerass_vgg_makes_the_classifier(trunk, ending, tmp_path, tolerance):
    vgg = random_biases(keras_vgg(VGG["stages"], VGG["fc_filters"], trunk=trunk, classes=4))
    path = tmp_path / f"vgg.{ending}"
    vgg.save_weights(path) if ending == "weights.h5" else vgg.save(path)
    model = zoo.load(path, model=f"{trunk}_heatmap", class_names=list("abcd"), **VGG)
    assert model.spec.class_names == ("a", "b", "c", "d")
    images = toy_images("vgg16_heatmap", 2, (224, 224))
    scores = scores_of(model, images)
    assert scores.shape == (2, 1, 1, 4)
    assert difference(scores[:, 0, 0], vgg_scores(vgg, images)) < tolerance.same


def test_the_whole_vgg16_is_kerass_and_its_classes_are_imagenets(monkeypatch, tolerance):
    """At full size, once: what is promised for the net is tried on the net (1.1 GB)."""
    trained = random_biases(keras.applications.VGG16(weights=None, classifier_activation=None))
    monkeypatch.setitem(imagenet.VGG, "conv5_3", lambda *, weights: trained)
    model = zoo.build("vgg16_heatmap", weights="imagenet")
    assert model.spec.class_names == CLASS_NAMES["imagenet"]
    assert model.spec.class_names[281] == "tabby, tabby cat"
    images = toy_images("vgg16_heatmap", 1, (224, 224))
    scores = scores_of(model, images)
    assert scores.shape == (1, 1, 1, 1000)
    assert difference(scores[:, 0, 0], vgg_scores(trained, images)) < tolerance.same


def test_a_file_of_caffenet_makes_the_classifier(tmp_path, tolerance):
    """OpenCV's Caffe engine runs the authors' definition, with fully connected layers."""
    options = CLASSIFIER_TOYS["caffenet_heatmap"].options
    net = definitions.caffenet(**options)
    path = write_caffemodel(tmp_path / "caffenet.caffemodel", random_blobs(net))
    cv2 = pytest.importorskip("cv2")
    image = image_of((227, 227), 3)
    data = image[..., ::-1] - np.float32((104.00699, 116.66877, 122.67892))
    prototxt = net.prototxt(227, 227).encode()
    engine = cv2.dnn.readNetFromCaffe(bytearray(prototxt), bytearray(path.read_bytes()))
    engine.enableWinograd(False)
    engine.setInput(np.ascontiguousarray(data.transpose(0, 3, 1, 2)))
    scores = scores_of(zoo.build("caffenet_heatmap", **options, weights=path), image)
    assert scores.shape == (1, 1, 1, 4)
    assert difference(scores[:, 0, 0], engine.forward()) < tolerance.same


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_cell_depends_on_what_it_sees_alone(name, tolerance):
    """Inside the image a cell is that of any crop that holds its receptive field."""
    model = build_toy(name)
    image = toy_images(name, 1, (608, 640))
    whole = scores_of(model, image)
    # 544 pixels: beyond the receptive field of the middle cell on both sides, for VGG-19 too.
    part = scores_of(model, image[:, 32:576, 64:608])
    middle = part.shape[1] // 2
    cell = whole[:, middle + 1, middle + 2]
    assert difference(cell, part[:, middle, middle]) < tolerance.same
    assert difference(whole[:, 1, 2], part[:, 0, 0]) > 1e-3  # zeros are beside this one


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_small_image_is_padded_with_the_mean(name, tolerance):
    """At the bottom and right, where the net sees zeros then."""
    model = build_toy(name)
    small = toy_images(name, 1, (100, 300))
    window = 227 if name == "caffenet_heatmap" else 224
    padded = np.empty((1, window, 300, 3), np.float32)
    padded[:] = model.spec.options["mean"]
    padded[:, :100] = small
    assert difference(scores_of(model, small), scores_of(model, padded)) < tolerance.same


def test_another_number_of_classes_leaves_the_classifier_as_it_is(tmp_path):
    vgg = keras_vgg(VGG["stages"], VGG["fc_filters"], classes=4)
    vgg.save_weights(tmp_path / "vgg.weights.h5")
    options = VGG | {"classes": 7}
    filled = zoo.build("vgg16_heatmap", **options, encoder_weights=str(tmp_path / "vgg.weights.h5"))
    expected = vgg.get_layer("fc2").get_weights()[0]
    np.testing.assert_array_equal(filled.get_layer("fc7").get_weights()[0][0, 0], expected)
    assert filled.get_layer("fc8").kernel.shape == (1, 1, 12, 7)


def test_an_fcn_gives_its_trunk_which_has_no_scores_of_imagenet(tmp_path):
    fcn = build_toy("fcn8s")
    fcn.save_weights(tmp_path / "fcn.weights.h5")
    filled = zoo.build("vgg16_heatmap", **VGG, encoder_weights=str(tmp_path / "fcn.weights.h5"))
    for name in ("conv1_1", "conv5_3", "fc6", "fc7"):
        kernel = filled.get_layer(name).get_weights()[0]
        np.testing.assert_array_equal(kernel, fcn.get_layer(name).get_weights()[0])


def test_caffenet_has_no_weights_of_keras():
    text = 'weights="imagenet" is for nets on VGG; caffenet_heatmap is not one. Give the path of a '
    with pytest.raises(ValueError, match=text + r"\.caffemodel of its trunk, or leave weights out"):
        zoo.build("caffenet_heatmap", **VGG | {"stages": (2,) * 5}, weights="imagenet")


def test_its_spec_with_a_thousand_names_comes_back_from_its_file(tmp_path):
    model = zoo.build("vgg16_heatmap", **VGG | {"classes": 1000})
    model.spec = model.spec.replace(class_names=CLASS_NAMES["imagenet"])
    path = zoo.weights.save(model, tmp_path / "net.weights.h5")
    assert zoo.read_spec(path) == model.spec
    assert zoo.load(path).spec.class_names[-1] == "toilet tissue, toilet paper, bathroom tissue"


def test_what_needs_an_answer_for_each_pixel_refuses_it(tmp_path):
    model = build_toy("vgg16_heatmap")
    with pytest.raises(ValueError, match=r"coarse grid\. Make heat maps .*, or --heatmaps tabby"):
        zoo.inference.scorer(model)
    with pytest.raises(ValueError, match=r"coarse grid\. Export it with Keras .*model\.export"):
        exports.export(model, tmp_path)
    assert not list(tmp_path.iterdir())
    model.export(tmp_path / "kept", verbose=False)  # as the error says
    recipe = runs.find("shapes_fcn32s")
    recipe = dataclasses.replace(recipe, model="vgg16_heatmap", options={})
    with pytest.raises(ValueError, match=r"vgg16_heatmap is a classifier.* such as fcn32s"):
        training.check(recipe)
