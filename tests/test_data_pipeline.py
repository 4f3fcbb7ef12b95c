"""Batches: the same for the same seed, wherever a run begins and whoever takes part in it."""

import dataclasses

import numpy as np

from recipes import data
from recipes.data import pipeline


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
