"""The limits of a request follow from the memory of the server."""

import re

import keras
import numpy as np
import pytest

from exports.formats import request_memory
from exports.formats.saved_model import saved_for_conversion
from exports.graph import MAX_PIXELS
from exports.graph.limits import Limits
from exports.graph.signatures import signatures
from exports.runtimes import process


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Takes 100 channels of float32 for each pixel, and some more."""
    image = keras.Input((None, None, 3), name="image")
    hidden = keras.layers.Conv2D(100, 3, padding="same")(image)
    scores = keras.layers.Conv2D(4, 3, padding="same")(hidden)
    return keras.Model(image, scores, name="wide")


def limited(model, memory=4.0, limits=None, given=False):
    lines = []
    found, record = request_memory.limited(
        model, limits or Limits(3), memory=memory, given=given, report=lines.append
    )
    return found, record, lines


def test_the_largest_image_takes_no_more_than_the_memory(model):
    limits, record, lines = limited(model, memory=1.0)
    assert 400 < record["per_pixel"] < 3000
    assert 5e7 < record["model"] < 6e8
    assert record["bytes"] == 10**9
    expected = (0.8e9 - record["model"]) / record["per_pixel"]
    assert limits.max_pixels == limits.max_request_pixels == pytest.approx(expected, rel=0.01)
    assert f"an image has at most {limits.max_pixels:,} pixels" in lines[0]
    traced = signatures(model, max_pixels=limits.max_pixels)
    with (
        saved_for_conversion(model, traced["scores"]) as saved,
        process.loaded(saved) as ask,
    ):
        largest = np.zeros((1, *limits.fit(10_000, 10_000), 3), np.uint8)
        peak = ask("serving_default", {"image": largest}).peak_bytes
    assert 0.6e9 < peak < 1e9


def test_more_memory_takes_more_up_to_what_can_be_decoded(model):
    few, _, _ = limited(model, memory=1.0, limits=Limits(3, max_batch=2))
    many, _, _ = limited(model, memory=1000)
    assert few.max_request_pixels == few.max_pixels < 1_000_000
    assert many.max_pixels == MAX_PIXELS
    assert many.max_request_pixels == 16 * MAX_PIXELS


def test_a_limit_that_is_given_stays_and_its_memory_is_told(model):
    limits, _, lines = limited(model, memory=1.0, limits=Limits(3, 2048 * 2048), given=True)
    assert limits.max_pixels == limits.max_request_pixels == 2048 * 2048
    told = re.search(r"^max_pixels was given: .* needs memory=([\d.]+) GB$", lines[-1])
    assert 2 < float(told[1]) < 20


def test_too_little_memory_for_the_model_is_told_with_enough(model):
    text = r"with memory=0.1 GB it would refuse everything: 'wide' takes .* Pass memory=([\d.]+)"
    with pytest.raises(ValueError, match=text) as error:
        limited(model, memory=0.1)
    enough = float(re.search(text, str(error.value))[1])
    assert limited(model, memory=enough)[0].max_pixels >= 64 * 64


def test_a_system_that_does_not_tell_sets_no_limit(model, monkeypatch):
    monkeypatch.setattr(request_memory, "_peaks", lambda *_: (None, None))
    limits, record, lines = limited(model)
    assert (limits, record) == (Limits(3), None)
    assert "does not tell" in lines[0]
