"""TFLite files: image sizes and types, and their operations."""

import re

import keras
import numpy as np
import pytest
from toys import TOYS, build_toy, toy_images

import exports
from exports import check

# Its pooling reaches past a border that is unknown until run time.
FIXED_SIZE_ONLY = {"fcn_alexnet"}


def runner_of(path):
    return check.interpreter()(model_path=str(path)).get_signature_runner()


def share_of_same(model, runner, images) -> float:
    class_map = np.concatenate([runner(image=image[None])["class_map"] for image in images])
    return np.mean(class_map == np.asarray(model(images.astype("float32"))).argmax(-1))


@pytest.mark.parametrize("name", sorted(set(TOYS) - FIXED_SIZE_ONLY))
def test_one_file_takes_images_of_any_size(name, tmp_path):
    model = build_toy(name)
    runner = runner_of(exports.tflite.export(model, tmp_path))
    takes = runner.get_input_details()["image"]
    assert (takes["shape_signature"].tolist(), takes["dtype"]) == ([1, -1, -1, 3], np.uint8)
    height, width = TOYS[name].size
    for size in ((height, width), (height + 9, width - 3), (height, width)):
        images = toy_images(name, 1, size).astype("uint8")
        assert share_of_same(model, runner, images) > 0.999


@pytest.mark.parametrize("name", sorted(FIXED_SIZE_ONLY))
def test_a_model_that_cannot_take_any_size_is_refused_with_the_reason(name, tmp_path):
    text = f"{name!r} at any size needs Conv2D. Pass a size, replace the layer that uses it, or"
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.tflite.export(build_toy(name), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_for_any_size_is_asked_about_two(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    path = exports.tflite.export(keras.Model(image, image, name="same"), tmp_path)

    class OtherWhenSmall(keras.layers.Layer):
        def call(self, x):
            small = keras.ops.cast(keras.ops.shape(x)[1] < 97, "float32")
            return x + small * [0.0, 99.0, 0.0]

    other = keras.Model(image, OtherWhenSmall()(image), name="other")
    with pytest.raises(check.MismatchError, match="LiteRT, another size, class_map: "):
        check.tflite(other, path)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_are_0_to_255_in_either_type(dtype, tmp_path):
    model, images = build_toy("unet"), toy_images("unet")
    path = exports.tflite.export(model, tmp_path, size=images.shape[1:3], dtype=dtype)
    runner = runner_of(path)
    assert runner.get_input_details()["image"]["dtype"] == np.dtype(dtype)
    assert share_of_same(model, runner, images.astype(dtype)) == 1


def test_another_type_is_refused(tmp_path):
    text = "takes images uint8 or float32, both 0-255; received 'int8'. Pass dtype=\"uint8\"."
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.tflite.export(build_toy("unet"), tmp_path, dtype="int8")
