"""Crops with their real context: a U-Net sees the image around what it scores."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from recipes import data
from recipes.data import pipeline
from recipes.training import context
from recipes.training.recipe import Recipe, difference, read
from tests.support.toys import build_toy, scores_of
from tests.support.toys import difference as relative

CROP, DEPTH = 24, 2  # of the toy U-Net
RECIPE = Recipe(model="unet", data="coins", steps=4, batch_size=2, crop=CROP, learning_rate=1e-3)
MOVES = ("scale", "shift", "rotate", "elastic", "flip", "turn")


def places(height: int = 110, width: int = 130) -> data.Dataset:
    """One image whose red and green are the row and the column, and so is the label: the row."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    noise = np.random.default_rng(3).integers(0, 256, (height, width), np.uint8)
    image = np.stack([rows, columns, noise], -1)
    files = (("", ""),)
    return data.Dataset("places", "train", ("",) * 2, 3, files, lambda _: (image, rows))


def drawn(dataset, position, around, **options):
    options = {"seed": 5, "crop": CROP, "augment": ()} | options
    return pipeline.draw(dataset, position, context=around, **options)


@pytest.mark.parametrize(
    ("depth", "crop", "around"), [(4, 256, (92, 96)), (4, 388, (92, 92)), (2, 24, (20, 20))]
)
def test_a_crop_has_the_pixels_around_it_that_the_paper_gives_it(depth, crop, around):
    model = zoo.build("unet", filters=1, depth=depth)
    recipe = dataclasses.replace(RECIPE, crop=crop)
    assert context.around(recipe, model) == around
    tile = context.trained(recipe, model)
    assert tile(np.zeros((1, *[crop + sum(around)] * 2, 3), "float32")).shape == (1, crop, crop, 2)
    assert all(one is other for one, other in zip(tile.weights, model.weights, strict=True))


@pytest.mark.parametrize(
    ("changes", "options"),
    [({"context": False}, {}), ({"crop": 0, "batch_size": 1}, {}), ({}, {"border": "same"})],
)
def test_other_crops_are_trained_as_they_are(changes, options):
    model, recipe = build_toy("unet", **options), dataclasses.replace(RECIPE, **changes)
    assert context.around(recipe, model) == (0, 0)
    assert context.trained(recipe, model) is model
    fcn = build_toy("fcn8s")
    assert context.trained(RECIPE, fcn) is fcn


def test_the_scores_of_a_crop_are_those_of_the_whole_image():
    """Where its poolings meet the image's; a crop that begins between them, those of a part."""
    model, dataset = build_toy("unet"), places()
    image, _ = dataset.example(0)
    around, tile = context.around(RECIPE, model), context.trained(RECIPE, model)
    step, compared, apart = 2**DEPTH, 0, []
    for position in range(80):
        pixels, _ = drawn(dataset, position, around)
        top, left = pixels[around[0], around[0], :2].astype(int)
        aside = top % step, left % step
        if any(a and start < a + around[0] for start, a in zip((top, left), aside, strict=True)):
            continue  # the part would begin inside of what the crop sees
        whole = scores_of(model, image[np.newaxis, aside[0] :, aside[1] :].astype("float32"))
        expected = whole[:, top - aside[0] :, left - aside[1] :][:, :CROP, :CROP]
        found = scores_of(tile, pixels[np.newaxis].astype("float32"))
        assert relative(found, expected) < 1e-5
        alone = scores_of(model, image[np.newaxis, top:, left:][:, :CROP, :CROP].astype("float32"))
        apart.append(relative(alone, expected))
        compared += 1
    assert compared > 20
    assert min(apart) > 1e-2  # a mirrored crop has other scores


def test_the_image_is_mirrored_outside_of_itself_only():
    dataset, around = places(40, 31), (20, 23)
    image, _ = dataset.example(0)
    mirrored = np.pad(image, ((60, 60), (60, 60), (0, 0)), mode="reflect")
    for position in range(20):
        pixels, label = drawn(dataset, position, around)
        top, left = pixels[20, 20, :2].astype(int) + 60 - 20
        np.testing.assert_array_equal(pixels, mirrored[top : top + 67, left : left + 67])
        np.testing.assert_array_equal(label, pixels[20:44, 20:44, 0])


def test_a_small_image_is_mirrored_and_void_around_it():
    dataset, around = places(10, 31), (20, 20)
    pixels, label = drawn(dataset, 0, around)
    np.testing.assert_array_equal(label[:10], pixels[20:30, 20:44, 0])
    assert (label[10:] == 255).all()
    rows = np.pad(np.arange(10), (20, 34), mode="reflect")
    np.testing.assert_array_equal(pixels[:, 20, 0], rows)


@pytest.mark.parametrize("augment", [*((move,) for move in MOVES), MOVES])
def test_every_change_moves_the_crop_and_what_is_around_it(augment):
    """The label is the row, red is the row: alike in the crop; and the colours go on around it."""
    dataset, around = places(), (20, 23)
    changed = 0
    for position in range(30):
        pixels, label = drawn(dataset, position, around, augment=augment)
        assert pixels.shape == (CROP + 43, CROP + 43, 3)
        assert label.shape == (CROP, CROP)
        inside = label != 255
        assert inside.mean() > 0.3
        red = pixels[20:-23, 20:-23, 0].astype(int)
        assert np.abs(red - label)[inside].max() <= 2
        # Across the edge of the crop colours change as little as inside of it, or turn back.
        steps = np.abs(np.diff(pixels[..., :2].astype(int), axis=0)).max()
        assert steps <= 5
        still, _ = drawn(dataset, position, around)
        changed += not np.array_equal(still, pixels)
    assert changed > 10


@pytest.mark.parametrize("augment", [("flip", "turn"), MOVES])
def test_the_crop_is_the_one_without_context(augment):
    """Turned and mirrored in its place, wherever the changes draw it."""
    dataset = places()
    for position in range(12):
        _, label = drawn(dataset, position, (20, 23), augment=augment)
        _, other = drawn(dataset, position, (0, 0), augment=augment)
        if "elastic" not in augment and "rotate" not in augment:
            np.testing.assert_array_equal(label, other)
        assert label.shape == other.shape


def test_a_crop_learns_what_it_would_inside_of_the_whole_image():
    """Its gradient is that of the whole image with all other pixels void."""
    model, dataset = build_toy("unet", dropout=0.0), places()
    image, _ = dataset.example(0)
    around, tile = context.around(RECIPE, model), context.trained(RECIPE, model)
    truth = (image[..., 2] % 4).astype(np.int32)

    def gradients(net, pixels, window):
        with tf.GradientTape() as tape:
            scores = net(pixels[np.newaxis].astype("float32"), training=True)[0][window]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            loss = tf.reduce_sum(losses)
        return tape.gradient(loss, model.trainable_variables)

    top, left = 8, 48
    padded = np.pad(image, ((20, 20), (20, 20), (0, 0)), mode="reflect")
    labels = truth[top : top + CROP, left : left + CROP]
    pixels = padded[top : top + CROP + sum(around), left : left + CROP + sum(around)]
    everything = slice(None), slice(None)
    crop = slice(top, top + CROP), slice(left, left + CROP)
    mine = gradients(tile, pixels, everything)
    whole = gradients(model, image, crop)
    for one, other in zip(mine, whole, strict=True):
        scale = np.abs(other).max()
        assert scale > 0
        np.testing.assert_allclose(one, other, atol=1e-4 * scale)


def test_a_run_of_an_earlier_version_mirrors_its_crops_as_it_did():
    earlier = dataclasses.asdict(RECIPE) | {"augment": [], "class_weights": []}
    del earlier["context"]
    assert read(earlier) == dataclasses.replace(RECIPE, context=False)
    assert difference(read(earlier), earlier) is None
    assert difference(RECIPE, earlier) == (
        "it was started with --no-context, and this command has --context"
    )


def test_half_precision_takes_tiles_too():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.build("unet", filters=2, depth=DEPTH)
    finally:
        keras.config.set_dtype_policy("float32")
    scores = context.trained(RECIPE, model)(np.zeros((1, 64, 64, 3), "float32"))
    assert (scores.shape, scores.dtype) == ((1, CROP, CROP, 2), tf.float32)
