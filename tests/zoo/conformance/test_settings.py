"""Keras's global settings: honoured, or refused with a remedy, by every builder."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.support.toys import (
    ALL,
    ALL_TOYS,
    build_toy,
    dtype_policy,
    scores_of,
    toy_images,
    toy_scores,
)


@pytest.fixture
def setting() -> Iterator[Callable[[str, Any], None]]:
    """Sets one of Keras's settings until the test ends."""

    def set_(name: str, value: Any) -> None:
        before = getattr(keras.config, name)()
        setter = getattr(keras.config, f"set_{name}")
        restored.append((setter, before))
        setter(value)

    restored = []
    yield set_
    for setter, before in reversed(restored):
        setter(before)


@pytest.mark.parametrize("name", ALL)
def test_the_image_format_is_channels_last_whatever_the_setting(name, setting):
    expected = toy_scores(name)
    setting("image_data_format", "channels_first")
    scores = scores_of(build_toy(name), toy_images(name))
    np.testing.assert_array_equal(scores, expected)
    assert keras.config.image_data_format() == "channels_first"


@pytest.mark.parametrize("floatx", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_another_type_of_numbers_is_refused(name, floatx, setting):
    setting("floatx", floatx)
    with pytest.raises(ValueError, match=f"must be 'float32'; received '{floatx}'. Call keras"):
        zoo.build(name, **ALL_TOYS[name].options)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "int8_from_float32"])
def test_a_policy_without_whole_weights_is_refused(policy):
    with (
        dtype_policy(policy),
        pytest.raises(ValueError, match=rf"one of float32, .*; received '{policy}'. Call keras"),
    ):
        zoo.build("unet", **ALL_TOYS["unet"].options)


@pytest.mark.parametrize("name", ALL)
def test_double_precision_and_another_epsilon_change_no_answer(name, setting, tolerance):
    expected = toy_scores(name)
    setting("epsilon", 1e-3)
    with dtype_policy("float64"):
        scores = scores_of(build_toy(name), toy_images(name))
    assert scores.dtype == np.float32
    assert np.abs(scores - expected).max() < tolerance.engine * np.abs(expected).max()
