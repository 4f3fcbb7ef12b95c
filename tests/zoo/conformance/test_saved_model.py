"""A SavedModel gives the class map of the model."""

import pytest
import tensorflow as tf

import zoo
from tests.support.exported import LIKE, WHOLE
from tests.support.toys import NAMES, TOYS, toy_images, toy_scores
from zoo.models.without_values import without_values


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_gives_the_class_map(name, exported_toy):
    images = toy_images(name)
    served = tf.saved_model.load(exported_toy(name, "saved_model")).signatures["serving_default"]
    class_map = served(image=tf.constant(images.astype("uint8")))["class_map"].numpy()
    # Not all: rounding decides between two nearly equal values of a pooling with switches.
    assert (class_map == toy_scores(name).argmax(-1)).mean() > 0.999


def test_whole_exports_have_each_kind_of_layer_of_the_nets_that_they_stand_for():
    with without_values():
        kinds = {
            name: {type(layer) for layer in zoo.build(name, **TOYS[name].options).layers}
            for name in NAMES
        }
    assert set(LIKE.values()) <= set(WHOLE)
    for name in LIKE:
        missing = kinds[name].difference(*(kinds[whole] for whole in WHOLE))
        assert not missing, f"Take {name} out of LIKE: no whole export has {missing}."
