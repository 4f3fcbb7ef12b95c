"""A SavedModel gives the class map of the model."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import NAMES, build_toy, scores_of, toy_images


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_gives_the_class_map(name, exported_toy):
    model = build_toy(name)
    images = toy_images(name)
    served = tf.saved_model.load(exported_toy(name, "saved_model")).signatures["serving_default"]
    class_map = served(image=tf.constant(images.astype("uint8")))["class_map"].numpy()
    np.testing.assert_array_equal(class_map, scores_of(model, images).argmax(-1))
