"""Nets without values cost nothing, then and later."""

import keras
import numpy as np
from keras.src.backend.common import global_state

import zoo
from tests.support.toys import build_toy, toy_images
from zoo.models.without_values import without_values


def test_a_net_of_full_size_is_never_given_values(monkeypatch):
    """A stateless call would give them, as recomputing makes it: 20 nets are 10 GB."""
    with without_values():
        large = zoo.build("fcn8s")
    assert large.count_params() == zoo.describe("fcn8s").parameters
    made = []
    initialize = keras.Variable._deferred_initialize
    monkeypatch.setattr(
        keras.Variable,
        "_deferred_initialize",
        lambda variable: (made.append(variable.path), initialize(variable)),
    )
    toy = build_toy("unet")
    state = toy.trainable_variables, toy.non_trainable_variables
    toy.stateless_call(*state, toy_images("unet"))
    assert made == []


def test_what_waits_for_its_values_before_gets_them():
    with keras.StatelessScope(initialize_variables=False):
        waiting = keras.layers.Dense(3)
        waiting.build((None, 2))
    with without_values():
        zoo.build("unet", filters=2)
    with keras.StatelessScope():
        pass
    assert np.abs(waiting.get_weights()[0]).max() > 0
    assert not global_state.get_global_attribute("uninitialized_variables")
