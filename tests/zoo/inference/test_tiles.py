"""Tiles give what the whole image gives, with bounded memory."""

import keras
import numpy as np
import pytest

import zoo
from zoo.inference.tiles import reach, tiled

TOYS = {
    "unet": {"filters": 3, "depth": 2, "channels": 1},
    "fcn8s": {"stages": (3, 3, 4, 4, 4), "head": 4},
    "fcn_alexnet": {"stages": (4, 4, 4, 4, 4), "head": 4},
    "deconvnet": {"stages": (3, 3, 4, 4, 4), "head": 4},
}


def scorer(model):
    return lambda image: model(image[np.newaxis].astype("float32"), training=False)[0].numpy()


def lively(name):
    """A toy whose scores depend on all that they see: no weight is zero."""
    keras.utils.set_random_seed(3)
    model = zoo.build(name, classes=3, **TOYS[name])
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        if "kernel" in variable.name and not np.any(variable.numpy()):
            variable.assign(rng.normal(0, 1, variable.shape))
    return model


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [
        ("unet", (301, 214), 192),
        ("fcn8s", (720, 1001), 704),
        ("fcn_alexnet", (700, 901), 640),
        ("deconvnet", (96, 1251), 1056),
    ],
)
def test_scores_of_tiles_are_those_of_the_whole_image(name, size, side):
    model = lively(name)
    image = np.random.default_rng(0).integers(0, 256, (*size, model.input_shape[-1]), np.uint8)
    margin, stride = reach(model)
    sizes, score = [], scorer(model)

    def noted(tile):
        sizes.append(tile.shape[:2])
        return score(tile)

    limit = min(side, int(np.sqrt(size[0] * size[1])) - 1)
    assert limit > 2 * margin + stride or name == "deconvnet"
    found = tiled(noted, margin=margin, stride=stride, side=side)(image)
    expected = score(image)
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)
