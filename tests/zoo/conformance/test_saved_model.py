"""A SavedModel gives the class map of the model."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import NAMES, toy_images, toy_scores


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_gives_the_class_map(name, exported_toy):
    images = toy_images(name)
    served = tf.saved_model.load(exported_toy(name, "saved_model")).signatures["serving_default"]
    class_map = served(image=tf.constant(images.astype("uint8")))["class_map"].numpy()
    np.testing.assert_array_equal(class_map, toy_scores(name).argmax(-1))
