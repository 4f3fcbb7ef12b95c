"""Toys of nets with several heads or images, with weights that let every class win somewhere."""

import functools

import keras
import numpy as np

import zoo
from exports.images import textures
from tests.support.toys import levelling
from zoo.models.plain import heads, plain

SIZE = (70, 90)
HEADS = ("semantic", "geometric")
NAMES = {"semantic": ("sky", "sea", "sand", "sun"), "geometric": ("flat", "upright", "above")}

_TOY = {"classes": 4, "stages": (4, 6, 8, 8, 8), "fc_filters": 12}


@functools.cache
def two_heads() -> keras.Model:
    """FCN-8s with the heads `HEADS`, of 4 and 3 classes, that have names."""
    model = _filled(zoo.build("fcn8s_two_heads", **_TOY))
    labels = zoo.spec.Labels(NAMES["geometric"], background=0)
    model.spec = model.spec.replace(
        class_names=NAMES["semantic"], background=1, other_heads={"geometric": labels}
    )
    return model


@functools.cache
def late_fusion() -> keras.Model:
    """A net of two images."""
    return _filled(zoo.build("fcn32s_late_fusion", **_TOY))


@functools.cache
def early_fusion() -> keras.Model:
    """A net whose image holds the logarithm of a depth."""
    return _filled(zoo.build("fcn32s_early_fusion", **_TOY))


def images(model: keras.Model, count: int = 2) -> np.ndarray:
    """Textures uint8 `[count, *SIZE, c]` with the channels of all images of a net."""
    return textures(count, SIZE, model.spec.channels)


def class_maps(model: keras.Model, images: np.ndarray, head: str | None = None) -> np.ndarray:
    """The class of each pixel, by Keras."""
    scores = plain(model, head)(images.astype("float32"))
    return keras.ops.convert_to_numpy(scores).argmax(-1)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Another head or another order of images changes a tenth of the pixels, a tie few of them."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    assert (found == expected).mean() > 0.99


def _filled(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(6)
    for variable in model.variables:
        fan_in = np.prod(variable.shape[:-1]) if variable.name == "kernel" else 200
        variable.assign(rng.normal(0, np.sqrt(2 / fan_in), variable.shape))
    given = images(model).astype("float32")
    for head in heads(model) or (None,):
        one = plain(model, head)
        scores = keras.ops.convert_to_numpy(one(given))
        last = next(x for x in reversed(one.layers) if x.name.startswith("score_fr"))
        last.bias.assign_add(keras.ops.ones_like(last.bias))
        response = keras.ops.convert_to_numpy(one(given)) - scores
        last.bias.assign_add(levelling(scores, response) - 1)
        scores = keras.ops.convert_to_numpy(one(given))
        assert len(np.unique(scores.argmax(-1))) == scores.shape[-1]
    return model
