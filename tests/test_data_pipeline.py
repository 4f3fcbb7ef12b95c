"""Batches: the same for the same seed, wherever a run begins and whoever takes part in it."""

import dataclasses

import numpy as np

from recipes import data
from recipes.data import pipeline
from recipes.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Numbered:
    """Images whose pixels hold their number and their place, so that a batch tells what it is."""

    count: int = 5
    size: tuple[int, int] = (10, 12)

    def dataset(self):
        def example(index):
            place = np.arange(np.prod(self.size), dtype=np.uint8).reshape(self.size)
            return np.stack([np.full(self.size, index, np.uint8), place], -1), place

        files = (("", ""),) * self.count
        return data.Dataset("numbered", "train", ("a", "b"), 2, files, example)


def batches(*, numbered=None, **changes):
    options = dict(batch_size=4, first=0, last=5, seed=1, crop=6, augment=("flip", "turn"))
    dataset = (numbered or Numbered()).dataset()
    return [
        (image.numpy(), label.numpy())
        for image, label in pipeline.batches(dataset, **(options | changes))
    ]


def same(one, other):
    assert len(one) == len(other)
    return all(
        np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])
        for a, b in zip(one, other, strict=True)
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
    assert field.metadata["choices"] == tuple(pipeline.AUGMENTATIONS)


def test_all_augmentations_at_once_are_a_function_of_the_position():
    augment = tuple(pipeline.AUGMENTATIONS)
    whole = batches(augment=augment)
    assert same(whole[2:], batches(augment=augment, first=2))
    drawn = pipeline.draw(Numbered().dataset(), 0, seed=1, crop=6, augment=augment)
    np.testing.assert_array_equal(whole[0][0][0], drawn[0])  # in tf.data as without it
    np.testing.assert_array_equal(whole[0][1][0], drawn[1])


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


def test_whole_images_keep_their_size():
    image, label = batches(crop=0, batch_size=1, augment=("flip",))[0]
    assert image.shape == (1, 10, 12, 2)
    assert label.shape == (1, 10, 12)
