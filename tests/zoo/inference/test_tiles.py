"""Tiles give what the whole image gives, with bounded memory."""

import keras
import numpy as np
import pytest

import zoo
from zoo.inference.tiles import reach, tiled

TOYS = {
    "unet": {"filters": 3, "depth": 2, "channels": 1},
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
        ("unet", (150, 500), 160),
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

    found = tiled(noted, margin=margin, stride=stride, side=side)(image)
    assert len(sizes) > 1
    assert all(max(part) <= side for part in sizes)
    expected = score(image)
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def test_a_side_without_an_interior_is_an_error():
    with pytest.raises(ValueError, match=r"received side=300\. Pass side=352 or more\."):
        tiled(np.array, margin=144, stride=32, side=300)
    tiled(np.array, margin=144, stride=32, side=352)
