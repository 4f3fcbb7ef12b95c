"""Batches: the same for the same seed, wherever a run begins and whoever takes part in it."""

import dataclasses
import pathlib
import resource
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from recipes import data
from recipes.data import augmentation, pipeline
from recipes.data.weight_map import gap_weights, weight_map
from recipes.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Numbered:
    """Images whose pixels hold their number and their place, so that a batch tells what it is."""

    count: int = 5
    size: tuple[int, int] = (10, 12)

    def dataset(self):
        def example(index):
            place = np.arange(np.prod(self.size), dtype=np.uint8).reshape(self.size)
            return np.stack([np.full(self.size, index, np.uint8), place], -1), place

        files = tuple((f"{index}.jpg", f"{index}.png") for index in range(self.count))
        return data.Dataset("numbered", "train", ("a", "b"), 2, files, example)


def batches(*, numbered=None, **changes):
    options = dict(batch_size=4, first=0, last=5, seed=1, crop=6, augment=("flip", "turn"))
    dataset = (numbered or Numbered()).dataset()
    return [
        tuple(part.numpy() for part in batch)
        for batch in pipeline.batches(dataset, **(options | changes))
    ]


def same(one, other):
    assert len(one) == len(other)
    return all(
        np.array_equal(a, b)
        for parts in zip(one, other, strict=True)
        for a, b in zip(*parts, strict=True)
    )


# The numbers of cells of the classes 0 to 3; void is no cell's.
NUMBERS = np.zeros(256, np.int32)
NUMBERS[1:4] = 300, 40000, 7


def cells():
    """Cells of a class each, in rows of void and background: class and place tell the number."""
    rng = np.random.default_rng(0)
    label = np.zeros((60, 70), np.uint8)
    label[:, :2] = 255
    for kind in (1, 2, 3, 1, 2):
        top, left = rng.integers(0, 45, 2)
        label[top : top + 15, left : left + 12] = kind
    image = rng.integers(0, 256, (60, 70, 1), np.uint8)
    return data.Dataset(
        "cells",
        "train",
        ("",) * 4,
        1,
        (("", ""),) * 3,
        lambda _: (image, label),
        lambda _: NUMBERS[label],
    )


def test_a_run_that_goes_on_sees_what_it_would_have_seen():
    whole = batches()
    assert same(whole, batches())
    assert same(whole[3:], batches(first=3))
    assert not same(whole, batches(seed=2))


def test_every_epoch_holds_each_example_once_in_another_order():
    indices = np.concatenate([image[:, 0, 0, 0] for image, _ in batches()])
    epochs = indices.reshape(4, 5)
    np.testing.assert_array_equal(np.sort(epochs), [range(5)] * 4)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_two_workers_share_the_examples_of_each_step():
    parts = [batches(workers=2, worker=worker, replicas=2) for worker in (0, 1)]
    for step, (image, _) in enumerate(batches()):
        together = np.stack([parts[0][step][0], parts[1][step][0]], 1).reshape(image.shape)
        np.testing.assert_array_equal(together, image)


def test_image_and_label_are_changed_alike():
    seen = set()
    for image, label in batches(last=30):
        np.testing.assert_array_equal(image[..., 1], label)
        seen |= {tuple(one.ravel()) for one in label - label.min((1, 2), keepdims=True)}
    assert len(seen) == 8  # four turns, each mirrored or not


def test_light_changes_the_image_and_not_the_label():
    plain, lit = batches(augment=()), batches(augment=("light",))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(plain, lit, strict=True))
    assert not same(plain, lit)


def test_colour_changes_each_channel_of_its_own_and_not_the_label():
    plain, coloured = batches(augment=()), batches(augment=("colour",))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(plain, coloured, strict=True))
    ratios = []
    for (before, _), (after, _) in zip(plain, coloured, strict=True):
        for one, other in zip(before, after, strict=True):
            bright = one[..., 1] > 50
            ratios.append((other[..., 1][bright] / one[..., 1][bright]).mean())
            known = one[..., 0] > 2  # the number of the image: 3 or 4, coarse after rounding
            assert abs(other[..., 0][known].astype(int) - one[..., 0][known]).max(initial=0) <= 1
    assert 0.79 < min(ratios) < 0.9
    assert 1.1 < max(ratios) < 1.21


def test_scaling_moves_image_and_label_together_and_blurs_no_label():
    """A step edge: the image blends it, the label stays of two classes, in the same place."""
    image = np.zeros((40, 60, 1), np.uint8)
    image[:, 30:] = 200
    label = np.where(image[..., 0] > 0, 7, 3).astype(np.uint8)
    files = (("", ""),)
    dataset = data.Dataset("edge", "train", ("a",) * 8, 1, files, lambda index: (image, label))
    sizes = set()
    for position in range(40):
        scaled, classes = pipeline.draw(dataset, position, seed=0, crop=0, augment=("scale",))
        assert scaled.shape == (*classes.shape, 1)
        assert set(np.unique(classes)) == {3, 7}
        edge = np.argmax(classes[0] == 7)
        assert abs(edge - classes.shape[1] / 2) <= 1
        assert (abs(np.argmax(scaled[0, :, 0] > 100) - edge)) <= 1
        sizes.add(classes.shape)
    heights = [height for height, _ in sizes]
    assert min(heights) < 24
    assert max(heights) > 68
    assert all(abs(width / height - 1.5) < 0.1 for height, width in sizes)


def test_every_augmentation_is_an_option_of_recipes():
    (field,) = (x for x in dataclasses.fields(Recipe) if x.name == "augment")
    assert field.metadata["choices"] == tuple(augmentation.AUGMENTATIONS)


def noise(height, width, channels=3, classes=(0, 7, 255)):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, channels), np.uint8)
    label = rng.choice(np.array(classes, np.uint8), (height, width))
    files = (("", ""),)
    return data.Dataset("noise", "train", ("",) * 8, channels, files, lambda index: (image, label))


def double(dataset, position, *, seed, crop, augment):
    """`draw` by the words of AUGMENTATIONS, with all pixels in float64, for a data set of one."""
    image, label = dataset.example(0)
    rng = np.random.default_rng((seed, position, 0))
    if "scale" in augment:
        factor = 2 ** rng.uniform(-1, 1)
        size = [max(1, round(side * factor)) for side in label.shape[::-1]]
        image = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        label = Image.fromarray(label).resize(size, Image.Resampling.NEAREST)
        image, label = np.asarray(image), np.asarray(label)
    below, right = (max(0, crop - side) for side in label.shape)
    image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
    label = np.pad(label, ((0, below), (0, right)), constant_values=255)
    top, left = (rng.integers(side - crop + 1) for side in label.shape)
    image, label = image[top:, left:][:crop, :crop], label[top:, left:][:crop, :crop]
    if "flip" in augment and rng.random() < 0.5:
        image, label = np.fliplr(image), np.fliplr(label)
    if "turn" in augment:
        turns = rng.integers(4)
        image, label = np.rot90(image, turns), np.rot90(label, turns)
    if "light" in augment:
        image = np.rint(image * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25)).clip(0, 255)
    if "colour" in augment:
        image = np.rint(np.multiply(image, rng.uniform(0.8, 1.2, image.shape[-1]))).clip(0, 255)
    return image, label


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augment", [("flip", "turn"), ("flip", "turn", "light")])
def test_a_view_is_what_its_words_say(augment, channels):
    dataset = noise(40, 70, channels)
    for position in range(40):
        options = dict(seed=9, crop=48, augment=augment)
        drawn, expected = (f(dataset, position, **options) for f in (pipeline.draw, double))
        for one, other in zip(drawn, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("augment", [("colour",), ("scale",), ("scale", "flip", "light", "colour")])
def test_a_view_is_what_its_words_say_but_for_rounding(augment):
    """Colours are multiplied in float32, and a crop is scaled on its own."""
    dataset = noise(91, 121)  # odd: no centre of a scaled pixel lies between two of them
    for position in range(40):
        options = dict(seed=9, crop=64, augment=augment)
        (image, label), expected = (
            f(dataset, position, **options) for f in (pipeline.draw, double)
        )
        differences = np.abs(image - expected[0].astype(float))
        assert differences.max() <= (3 if "scale" in augment else 1)
        assert differences.mean() < 0.5
        np.testing.assert_array_equal(label, expected[1])


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_are_scaled_each_on_its_own(channels):
    dataset, options = noise(40, 48, channels), dict(seed=3, crop=32, augment=("scale",))
    image, label = dataset.example(0)
    for channel in range(channels):
        grey = image[..., channel : channel + 1]
        alone = dataclasses.replace(dataset, example=lambda index, grey=grey: (grey, label))
        drawn, of_one = (pipeline.draw(one, 1, **options)[0] for one in (dataset, alone))
        np.testing.assert_array_equal(drawn[..., channel], of_one[..., 0])


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_each_augmentation_is_the_same_in_tf_data_and_blurs_no_label(name):
    dataset, options = noise(40, 48), dict(seed=3, crop=0, augment=(name,))
    image, _ = dataset.example(0)
    batches = pipeline.batches(dataset, batch_size=1, first=0, last=6, **options)
    changed = 0
    for position, batch in enumerate(batches):
        drawn = pipeline.draw(dataset, position, **options)
        for one, other in zip(batch, drawn, strict=True):
            np.testing.assert_array_equal(one[0], other)
        assert set(np.unique(drawn[1])) == {0, 7, 255}
        changed += not np.array_equal(drawn[0], image)
    assert changed >= 2


def test_all_augmentations_at_once_are_a_function_of_the_position():
    augment = tuple(augmentation.AUGMENTATIONS)
    whole = batches(augment=augment)
    assert same(whole[2:], batches(augment=augment, first=2))
    drawn = pipeline.draw(Numbered().dataset(), 0, seed=1, crop=6, augment=augment)
    np.testing.assert_array_equal(whole[0][0][0], drawn[0])  # in tf.data as without it
    np.testing.assert_array_equal(whole[0][1][0], drawn[1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [0, 32, 60])
def test_images_of_floats_keep_their_values(channels, crop):
    """A ramp in place of 8 bits: every view lies on the same plane, to a thousandth of a level."""
    y, x = np.indices((40, 48), np.float32)
    image = (6 + (y + 2 * x) / 1e4)[..., np.newaxis].repeat(channels, 2)
    label = (x > 20).astype(np.uint8)
    dataset = data.Dataset(
        *("ramp", "train", ("a", "b"), channels, (("", ""),), lambda _: (image, label)),
        image_type="float32",
    )
    augment = ("scale", "elastic", "flip", "turn")
    options = dict(batch_size=1, first=0, last=6, seed=2, crop=crop)
    for batch, _ in pipeline.batches(dataset, augment=augment, **options):
        assert batch.dtype == "float32"
        assert 6 - 1e-6 <= batch.numpy().min() < batch.numpy().max() <= image.max() + 1e-6
        assert len(np.unique(batch)) > 50  # nothing was rounded to whole numbers
    (plain, _), *_ = pipeline.batches(dataset, **options | {"crop": 0})
    np.testing.assert_array_equal(plain[0], image)


@pytest.mark.parametrize("crop", [0, 25])
@pytest.mark.parametrize("name", ["shift", "rotate"])
def test_what_comes_from_outside_is_mirrored_and_void(name, crop):
    """The image holds its rows and columns, the label whether a pixel is the image's."""
    rows, columns = np.mgrid[:41, :61].astype(np.uint8)
    image, label = np.stack([rows, columns], -1), rows % 3
    dataset = data.Dataset(
        "places", "train", ("",) * 3, 2, (("", ""),), lambda index: (image, label)
    )
    outside = []
    for position in range(30):
        options = dict(seed=2, crop=crop, augment=(name,))
        pixels, classes = pipeline.draw(dataset, position, **options)
        assert classes.shape == pixels.shape[:2] == ((crop, crop) if crop else label.shape)
        void = classes == 255
        outside.append(void.mean())
        if name == "shift":  # by whole pixels, so that each has the class of its row
            np.testing.assert_array_equal(classes[~void], pixels[~void][:, 0] % 3)
            for axis in (0, 1):  # beyond the border the image turns back
                steps = np.diff(pixels[..., axis].astype(int), axis=axis)
                assert set(np.unique(steps)) <= {-1, 1}
        elif not crop:  # void is what the turned image does not have
            angle = np.random.default_rng((2, position, 0)).uniform(0, 2 * np.pi)
            y, x = np.mgrid[20:-21:-1, -30:31]
            turned = (x + 1j * y) * np.exp(-1j * angle)
            expected = (np.abs(turned.real) > 30.5) | (np.abs(turned.imag) > 20.5)
            assert (expected != void).mean() < 0.002  # on the edge rounding decides
    assert 0.02 < max(outside) < 0.6
    assert min(outside) < max(outside) / 4


def test_a_shift_is_at_most_a_tenth_of_each_side():
    rows, columns = np.mgrid[:100, :200].astype(np.uint8)
    image = np.stack([rows, columns], -1)
    dataset = data.Dataset("places", "train", ("",), 2, (("", ""),), lambda _: (image, rows))
    moved = []
    for position in range(200):
        pixels, label = pipeline.draw(dataset, position, seed=1, crop=0, augment=("shift",))
        moved.append(pixels[50, 100].astype(int) - (50, 100))
        y, x = moved[-1]
        expected = np.zeros(label.shape, bool)
        expected[max(-y, 0) : 100 - max(y, 0), max(-x, 0) : 200 - max(x, 0)] = True
        np.testing.assert_array_equal(label != 255, expected)
    np.testing.assert_array_equal(np.abs(moved).max(0), (10, 20))
    assert np.abs(np.mean(moved, 0)).max() < 2


@pytest.mark.parametrize("side", [40, 41])
def test_a_rotation_by_a_quarter_is_a_turn(side):
    """Nothing comes from outside, and nothing is interpolated."""
    dataset = noise(side, side, classes=(0, 7))
    image, label = dataset.example(0)
    for turns in range(4):
        quarter = types.SimpleNamespace(uniform=lambda low, high, turns=turns: turns * np.pi / 2)
        found = augmentation.augmented(quarter, image, label, crop=0, augment=("rotate",))
        np.testing.assert_array_equal(found[0], np.rot90(image, turns))
        np.testing.assert_array_equal(found[1], np.rot90(label, turns))


def test_rotations_have_all_angles_and_keep_the_middle():
    rows, columns = np.mgrid[:81, :81].astype(np.uint8)
    image = np.stack([rows, columns], -1)
    dataset = data.Dataset("places", "train", ("",), 2, (("", ""),), lambda _: (image, rows))
    angles = []
    for position in range(200):
        pixels, label = pipeline.draw(dataset, position, seed=1, crop=0, augment=("rotate",))
        np.testing.assert_array_equal(pixels[40, 40], (40, 40))
        y, x = pixels[40, 60].astype(int) - 40
        assert np.hypot(y, x) == pytest.approx(20, abs=1)
        angles.append(np.degrees(np.arctan2(y, x)) % 360)
        inside = label != 255
        assert np.abs(pixels[..., 0].astype(int) - label)[inside].max() <= 1
    assert np.histogram(angles, 6, (0, 360))[0].min() > 15


def test_elastic_moves_image_and_label_together():
    still, moved = batches(augment=()), batches(augment=("elastic",))
    assert not same(still, moved)
    for image, label in moved:
        assert set(np.unique(label)) <= set(range(120))
        assert image.shape == (4, 6, 6, 2)


def test_a_small_image_is_filled_up_with_pixels_that_are_not_trained():
    for image, label in batches(numbered=Numbered(size=(4, 12)), augment=()):
        assert image.shape == (4, 6, 6, 2)
        np.testing.assert_array_equal(label[:, 4:], 255)
        assert (label[:, :4] != 255).all()
        np.testing.assert_array_equal(image[:, 4:], image[:, 3:4].repeat(2, 1))


@pytest.mark.parametrize(("size", "crop"), [((25, 29), 22), ((22, 25), 22), ((18, 40), 22)])
def test_crops_lie_with_equal_probability_wherever_they_fit(size, crop):
    """25 and 22 are a tenth of DeconvNet's 250 and 224; each place is drawn about 100 times."""
    fits = [max(0, side - crop) + 1 for side in size]
    y, x = np.indices(size, np.uint8)
    dataset = data.Dataset(
        "places", "train", ("a",) * 2, 2, (("", ""),), lambda _: (np.dstack([y, x]), y)
    )
    drawn = np.zeros(fits, int)
    for position in range(100 * drawn.size):
        image, _ = pipeline.draw(dataset, position, seed=4, crop=crop, augment=())
        drawn[tuple(image[0, 0])] += 1
    assert drawn.min() > 60
    assert drawn.max() < 140


def test_whole_images_keep_their_size():
    image, label = batches(crop=0, batch_size=1, augment=("flip",))[0]
    assert image.shape == (1, 10, 12, 2)
    assert label.shape == (1, 10, 12)


def test_loss_sampling_leaves_out_whole_cells_and_changes_nothing_else():
    options = dict(numbered=Numbered(count=40, size=(70, 100)), crop=70, last=10)
    kept = []
    for (image, label), (other_image, other_label) in zip(
        batches(**options), batches(**options, loss_sampling=0.3), strict=True
    ):
        np.testing.assert_array_equal(image, other_image)
        for one, other in zip(label, other_label, strict=True):
            cells = [(slice(y, y + 32), slice(x, x + 32)) for y in (0, 32, 64) for x in (0, 32, 64)]
            kept.append([(other[cell] != 255).any() for cell in cells])
            for cell, whole in zip(cells, kept[-1], strict=True):
                np.testing.assert_array_equal(other[cell], one[cell] if whole else 255)
    assert np.mean(kept) == pytest.approx(0.3, abs=0.08)  # of 360
    assert len({tuple(one) for one in kept}) > 30  # of 40: each example draws its own


def test_loss_sampling_goes_on_where_a_run_was_stopped():
    options = dict(numbered=Numbered(size=(70, 100)), crop=64, loss_sampling=0.5)
    assert same(batches(**options)[2:], batches(first=2, **options))


@pytest.mark.parametrize("crop", [0, 48, 80])
@pytest.mark.parametrize(
    "augment", [("flip", "turn"), ("scale",), ("elastic",), tuple(augmentation.AUGMENTATIONS)]
)
def test_the_weight_map_moves_with_the_label(crop, augment):
    options = dict(seed=5, crop=crop, augment=augment, weight_map=True)
    plain = dict(options, weight_map=False)
    found, gaps = pipeline.batches(cells(), batch_size=1, first=0, last=6, **options), []
    for position, (image, label, weights) in enumerate(found):
        without = pipeline.draw(cells(), position, **plain)
        np.testing.assert_array_equal(image[0], without[0])
        np.testing.assert_array_equal(label[0], without[1])
        expected = weight_map(NUMBERS[without[1]])
        expected[without[1] == 255] = 0
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights[0], expected)
        gaps.append(gap_weights(NUMBERS[without[1]]).max())
    assert max(gaps) > 1  # or only the classes' shares are tested


def test_a_cell_that_is_left_out_has_no_weight():
    ((image, label, weights),) = pipeline.batches(
        cells(), batch_size=6, first=0, last=1, seed=0, crop=64, weight_map=True, loss_sampling=0.5
    )
    assert image.shape == (6, 64, 64, 1)
    assert weights.shape == label.shape == (6, 64, 64)
    np.testing.assert_array_equal(weights == 0, label == 255)
    assert 0.3 < np.mean(label == 255) < 0.7


def two_heads():
    """Images whose first channel is the label of the first head, and whose second that of another.

    A label of the first head is never that of the other, and each is void somewhere.
    """
    rng = np.random.default_rng(2)
    first = rng.integers(0, 20, (6, 60, 70), dtype=np.uint8)
    second = first + np.uint8(100)
    first[:, :9], second[:, 30:40] = 255, 255
    files = tuple((f"{index}.jpg", f"{index}.png") for index in range(6))

    def split(labels, **fields):
        names = tuple(f"class {number}" for number in range(255))
        images = np.stack([first, second], -1)
        example = lambda index: (images[index], labels[index])  # noqa: E731
        return data.Dataset("two", "train", names, 2, files, example, **fields)

    return split(first, other_heads={"other": split(second)})


@pytest.mark.parametrize("crop", [0, 32, 90])
@pytest.mark.parametrize("augment", [(), ("flip", "turn"), ("flip", "turn", "scale"), ("elastic",)])
def test_the_labels_of_two_heads_move_alike(crop, augment):
    options = dict(seed=5, crop=crop, augment=augment)
    dataset = two_heads()
    seen_void = 0
    for position in range(8):
        image, labels = pipeline.draw(dataset, position, **options)
        assert labels.shape == (*image.shape[:2], 2)
        assert labels.dtype == np.uint8
        alone = dataset.with_heads(())
        np.testing.assert_array_equal(labels[..., 0], pipeline.draw(alone, position, **options)[1])
        other = dataset.other_heads["other"]
        np.testing.assert_array_equal(labels[..., 1], pipeline.draw(other, position, **options)[1])
        both = (labels != 255).all(-1)
        np.testing.assert_array_equal(labels[both][:, 0].astype(int) + 100, labels[both][:, 1])
        seen_void += np.count_nonzero((labels == 255).all(-1))
    assert (seen_void > 0) == (crop == 90)  # void in both is only outside of the image


def test_the_batches_of_two_heads_have_a_label_for_each_and_lose_the_same_cells():
    ((images, labels),) = pipeline.batches(
        two_heads(), batch_size=3, first=0, last=1, seed=0, crop=64, loss_sampling=0.5
    )
    assert (images.shape, labels.shape) == ((3, 64, 64, 2), (3, 64, 64, 2))
    void = labels.numpy()[:, 10:28, :60] == 255  # where no head is void by itself
    np.testing.assert_array_equal(void[..., 0], void[..., 1])
    assert 0.2 < void.mean() < 0.8


def test_the_files_of_a_step_are_those_that_it_sees():
    whole = batches()
    dataset = Numbered().dataset()
    for step, (image, _) in enumerate(whole):
        positions = range(4 * step, 4 * step + 4)
        seen = [f"{number}.jpg" for number in image[:, 0, 0, 0]]
        assert pipeline.files(dataset, positions=positions, seed=1) == seen


def test_memory_does_not_grow_with_the_images():
    """An epoch of 2,000 images, of which each takes 160 kB: 320 MB, if they stayed."""
    noisy = noise(200, 200)
    dataset = dataclasses.replace(noisy, files=noisy.files * 2000)
    held = []
    for batch in pipeline.batches(dataset, batch_size=10, first=0, last=200, seed=0, crop=200):
        assert batch[0].shape == (10, 200, 200, 3)
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        held.append(pages * resource.getpagesize() / 1e6)
    assert held[-1] - held[20] < 60  # MB


# Its iterator is never alone: it is part of a cycle, and calls are always under way.
UNFINISHED = """
import time, numpy as np
from recipes import data
from recipes.data import pipeline

def example(index):
    time.sleep(0.1)
    return np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)

dataset = data.Dataset("slow", "train", ("a",), 3, (("", ""),) * 1000, example)
cycle = [iter(pipeline.batches(dataset, batch_size=4, first=0, last=1000, seed=0, crop=8))]
cycle.append(cycle)
next(cycle[0])
del cycle
print("done")
"""


def test_a_program_ends_while_images_are_read():
    root = pathlib.Path(pipeline.__file__).parents[2]
    command = [sys.executable, "-c", UNFINISHED]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "done\n")
