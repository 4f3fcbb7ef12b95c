"""A SavedModel gives the class map of the model."""

import numpy as np
import pytest
import tensorflow as tf

import exports.formats.saved_model
from tests.support.toys import NAMES, build_toy, scores_of, toy_images


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_gives_the_class_map(name, tmp_path):
    model = build_toy(name)
    images = toy_images(name)
    path = exports.formats.saved_model.export(model, tmp_path)
    served = tf.saved_model.load(path).signatures["serving_default"]
    class_map = served(image=tf.constant(images.astype("uint8")))["class_map"].numpy()
    np.testing.assert_array_equal(class_map, scores_of(model, images).argmax(-1))
