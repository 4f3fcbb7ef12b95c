"""Every registered model has a toy, and the toys' class maps can be told apart."""

import numpy as np
import pytest

import zoo
from tests.support.toys import ALL, ALL_TOYS, CLASSIFIERS, toy_scores


def test_every_model_has_a_toy():
    missing = sorted(set(zoo.list_models()) - set(ALL_TOYS))
    assert not missing, f"Add a toy of {missing} to tests/support/toys.py."
    assert set(ALL_TOYS) == set(zoo.list_models()), (
        "tests/support/toys.py holds a model that is not registered"
    )
    of_cards = [name for name in zoo.list_models() if zoo.describe(name).task == "classification"]
    assert of_cards == CLASSIFIERS


@pytest.mark.parametrize("name", ALL)
def test_every_class_wins_somewhere(name):
    """Without this the tests of class maps below could not fail."""
    class_map = toy_scores(name).argmax(-1)
    assert np.bincount(class_map.ravel(), minlength=4).min() > 0.01 * class_map.size
