"""What a Scorer is made of, and what it answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.support import specs
from tests.support.toys import NAMES, TOYS, build_toy, difference, toy_images
from zoo.inference import Scorer, class_map, scorer
from zoo.inference.reach import reach, reach_of


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", ["unet", "fcn8s"])
def test_a_model_gives_probabilities_or_scores(name):
    model, images = build_toy(name), toy_images(name)
    scores = model(images, training=False).numpy()
    np.testing.assert_allclose(scorer(model).answer(images), softmax(scores), atol=1e-4)
    found = scorer(model, scores=True)
    assert difference(found(images[1]), scores[1]) < 1e-5
    assert (found.gives, scorer(model).gives) == ("scores", "probabilities")
    numbers = class_map(found, images[1])
    np.testing.assert_array_equal(numbers, scores[1].argmax(-1))
    assert numbers.dtype == np.uint8
    assert len(np.unique(numbers)) == 4


def test_bytes_are_answered_as_floats_are():
    model, (image, *_) = build_toy("unet"), toy_images("unet")
    as_bytes = image.astype(np.uint8)
    np.testing.assert_array_equal(scorer(model)(as_bytes), scorer(model)(image))


def test_weights_that_change_change_the_answer():
    model, (image, *_) = build_toy("unet"), toy_images("unet")
    answer = scorer(model)
    before = answer(image)
    model.set_weights([0 * weight for weight in model.get_weights()])
    assert np.ptp(before) > 0.2
    np.testing.assert_allclose(answer(image), 0.25)


def test_a_scorer_is_given_back():
    answer = scorer(build_toy("unet"))
    assert scorer(answer) is answer


@pytest.mark.parametrize("name", NAMES)
def test_the_reach_of_a_spec_is_that_of_its_model(name):
    model = build_toy(name)
    assert reach_of(model.spec) == reach(model)


def test_a_valid_unet_from_a_file_answers_the_whole_image(tmp_path):
    model = zoo.build("unet", **TOYS["unet"].options, border="valid")
    file = zoo.weights.save(model, tmp_path / "valid.weights.h5")
    (image, *_) = toy_images("unet")
    assert scorer(file)(image).shape == (*image.shape[:2], 4)
    with pytest.raises(ValueError, match=r"border='valid' gives a smaller one\. Build it with bor"):
        scorer(model)


def test_a_model_of_ones_own_needs_scores_for_each_pixel():
    image = keras.Input((None, None, 3))
    whole = keras.Model(image, keras.layers.Conv2D(5, 1)(image))
    assert scorer(whole).spec.classes == 5
    vector = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ValueError, match=r"takes \(None, None, None, 3\) and gives \(None, 3\)"):
        scorer(vector)


def test_too_little_memory_names_the_pixels_and_a_way_on(monkeypatch):
    def no_memory(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor\n at x")

    model, (image, *_) = build_toy("unet"), toy_images("unet")
    monkeypatch.setattr(tf, "function", lambda *arguments, **options: no_memory)
    with pytest.raises(MemoryError, match=r"1 × 33 × 50 pixels at once \(OOM when allocating a t"):
        scorer(model)(image)


@pytest.mark.parametrize("form", ["saved_model", "tflite", "onnx", "openvino"])
def test_an_exported_file_answers_as_its_model(form, exported_toy):
    file = exported_toy("unet", form)
    (image, *_) = toy_images("unet")
    answer, expected = scorer(file), scorer(build_toy("unet"))(image)
    if form == "saved_model":
        assert answer.gives == "probabilities"
        np.testing.assert_allclose(answer(image), expected, atol=1e-5)
    else:
        assert answer.gives == "classes"
        np.testing.assert_array_equal(answer(image), np.eye(4)[expected.argmax(-1)])
    assert answer.spec == specs.UNET
    assert (answer.margin, answer.stride) == (
        reach(build_toy("unet")) if form == "saved_model" else (0, answer.stride)
    )


def test_a_folder_of_versions_is_its_newest(exported_toy, tmp_path):
    version = exported_toy("unet", "saved_model")
    for number in (2, 10):
        (tmp_path / "unet" / str(number)).mkdir(parents=True)
    (tmp_path / "unet/2/saved_model.pb").touch()
    (tmp_path / "unet/10").rmdir()
    (tmp_path / "unet/10").symlink_to(version)
    assert scorer(tmp_path / "unet").spec == specs.UNET


def test_images_of_another_size_are_scaled_to_a_file_of_one(exported_toy):
    answer = scorer(exported_toy("unet", "tflite"))
    (image,) = toy_images("unet", 1, (66, 100))
    with pytest.warns(UserWarning, match=r"takes images of 33×50 \(height × width\): others are s"):
        found = answer(image)
    assert found.shape == (66, 100, 4)
    np.testing.assert_array_equal(found.sum(-1), 1)


def test_files_give_no_scores(exported_toy):
    file = exported_toy("unet", "tflite")
    with pytest.raises(ValueError, match=r"gives no scores before the softmax; received .* Give t"):
        scorer(file, scores=True)


@pytest.mark.parametrize("shape", [(2, 30, 40, 3), (30, 40), (30, 40, 1), (0, 40, 3)])
def test_one_image_with_the_channels_of_the_model_is_answered(shape):
    with pytest.raises(ValueError, match=r"of this model is \[h, w, 3\]; received \["):
        scorer(build_toy("unet"))(np.zeros(shape))


def test_what_is_no_model_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is none at"):
        scorer(tmp_path / "x.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"there is none at .*x\.onnx"):
        scorer(tmp_path / "x.onnx")
    (tmp_path / "x.tflite").write_bytes(b"no such file" * 9)
    with pytest.raises(ValueError, match=r"x\.tflite cannot be read as a file that takes an image"):
        scorer(tmp_path / "x.tflite")


def test_a_scorer_is_made_of_any_function():
    answer = Scorer(
        lambda images: np.zeros((*images.shape[:3], 4), np.float32), specs.UNET, margin=0, stride=1
    )
    assert class_map(answer, np.zeros((5, 6, 3))).shape == (5, 6)


def of_ones_own(*layers, classes=5):
    image = keras.Input((None, None, 3))
    x = image
    for layer in (*layers, keras.layers.Conv2D(classes, 1)):
        x = layer(x)
    return keras.Model(image, x)


def test_a_model_that_gives_a_smaller_answer_is_an_error():
    answer = scorer(of_ones_own(keras.layers.Conv2D(4, 3)))
    with pytest.raises(ValueError, match=r"gives 28 × 38 for one of 30 × 40\. Pass a model whose"):
        answer(np.zeros((30, 40, 3)))


@pytest.mark.parametrize("classes", [1, 256])
def test_a_class_map_has_2_to_255_classes(classes):
    with pytest.raises(ValueError, match=rf"has 2 to 255 classes; .* gives {classes}\. Pass one"):
        scorer(of_ones_own(classes=classes))


def test_a_model_that_ends_in_a_softmax_gives_its_probabilities():
    model = of_ones_own(keras.layers.Conv2D(4, 3, padding="same"))
    image = toy_images("unet", 1)[0]
    expected = softmax(model(image[np.newaxis]).numpy()[0] / 50)
    layer = model.layers[-1]
    layer.set_weights([weight / 50 for weight in layer.get_weights()])
    for last in (keras.layers.Softmax(), keras.layers.Activation("softmax")):
        ends = keras.Model(model.input, last(model.output))
        np.testing.assert_allclose(scorer(ends)(image), expected, atol=1e-4)
        with pytest.raises(ValueError, match="is a softmax: the model gives no scores before it"):
            scorer(ends, scores=True)


def test_a_dilated_convolution_sees_further():
    near = reach(of_ones_own(keras.layers.Conv2D(4, 3, padding="same")))
    far = reach(of_ones_own(keras.layers.Conv2D(4, 3, padding="same", dilation_rate=16)))
    assert far[0] - near[0] == 15


def test_a_sequential_model_is_a_model():
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, padding="same")]
    assert scorer(keras.Sequential(layers))(np.zeros((6, 7, 3))).shape == (6, 7, 4)
    with pytest.raises(ValueError, match="has one, and received 'semantic'"):
        scorer(keras.Sequential(layers), head="semantic")
    inner = keras.Sequential(layers)
    nested = of_ones_own(inner)
    with pytest.raises(ValueError, match=r"holds the model .* Build it of layers alone\."):
        scorer(nested)
