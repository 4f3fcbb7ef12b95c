"""From a data set to the batches of a training run, each a function of the seed and the step.

Position p of the run is place p mod n of epoch p div n. The order of an epoch follows from (seed,
epoch), the augmentation of an example from (seed, epoch, index): a run that goes on from step k
sees what it would have seen, and so do two workers that share the positions between them.
"""

import atexit
import functools
import gc
import os

import numpy as np
import tensorflow as tf

from recipes.data.augmentation import augmented
from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.weight_map import weight_map as weights_of

CELL = 32  # pixels along a side of a cell of an FCN's last layer, before its scores grow
# Fixed, not AUTOTUNE: it begins with one call, and lets batches wait until half the memory is full.
# Calls that decode leave Python to others, so that there are more of them than cores.
_CALLS, _WAITING = (os.cpu_count() or 1) + 2, 2

# An iterator that goes away waits for its calls, which never end once Python shuts down. One that
# is still there because it is part of a cycle goes before that.
atexit.register(gc.collect)


def batches(
    dataset: Dataset,
    *,
    batch_size: int,
    first: int,
    last: int,
    seed: int,
    crop: int,
    augment: tuple[str, ...] = (),
    loss_sampling: float = 1.0,
    weight_map: bool = False,
    workers: int = 1,
    worker: int = 0,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Batches of image uint8 `[n, h, w, channels]` and label uint8 `[n, h, w]` for steps of a run.

    Args:
        dataset: A training split.
        batch_size: Examples of one step, over all replicas.
        first: The step to begin with, from 0.
        last: The step to end before.
        seed: Of order, crops, augmentation and sampling.
        crop: Height and width of the crops, or 0 for whole images.
        augment: Names in `augmentation.AUGMENTATIONS`.
        loss_sampling: The probability with which a cell of 32×32 pixels keeps its label; that of
            the others is 255.
        weight_map: Adds U-Net's weights, float32 `[n, h, w]`, 0 where the label is 255. Only for a
            data set with `instances`.
        workers: Number of workers, between which the examples of a step are dealt out.
        worker: This one.
        replicas: Replicas of all workers; a batch is what one replica takes in one step.
    """
    size, types = crop or None, (tf.uint8, tf.uint8, tf.float32)
    shapes = ((size, size, dataset.channels), (size, size), (size, size))
    drawn = functools.partial(
        draw,
        dataset,
        seed=seed,
        crop=crop,
        augment=augment,
        loss_sampling=loss_sampling,
        weight_map=weight_map,
    )

    def read(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parts = tf.numpy_function(drawn, [position], types if weight_map else types[:2])
        return tuple(map(tf.ensure_shape, parts, shapes))

    positions = tf.data.Dataset.range(first * batch_size + worker, last * batch_size, workers)
    examples = positions.map(read, num_parallel_calls=_CALLS, deterministic=True)
    options = tf.data.Options()
    # All is fixed. And an iterator that goes away waits for the thread that tunes it, which sleeps
    # for up to a minute and misses that it is to end.
    options.autotune.enabled = False
    ready = examples.batch(batch_size // replicas, drop_remainder=True).prefetch(_WAITING)
    return ready.with_options(options)


def draw(
    dataset: Dataset,
    position: int,
    *,
    seed: int,
    crop: int,
    augment: tuple[str, ...],
    loss_sampling: float = 1.0,
    weight_map: bool = False,
) -> tuple[np.ndarray, ...]:
    """The example at a position of a run: image uint8 `[h, w, channels]`, label uint8 `[h, w]`.

    With `weight_map` the weights of its pixels, too: float32 `[h, w]`.
    """
    index, epoch = _place(dataset, position, seed)
    image, label = dataset.example(index)
    if weight_map:  # moved as one plane, number and class of a pixel cannot part
        label = dataset.instances(index) << 8 | label
    rng = np.random.default_rng((seed, epoch, index))
    image, label = augmented(rng, image, label, crop=crop, augment=augment)
    classes = (label & 255).astype(np.uint8) if weight_map else np.ascontiguousarray(label)
    if loss_sampling < 1:
        kept = rng.random([-(-side // CELL) for side in classes.shape]) < loss_sampling
        kept = kept.repeat(CELL, 0).repeat(CELL, 1)[: classes.shape[0], : classes.shape[1]]
        classes = np.where(kept, classes, np.uint8(IGNORE_LABEL))
    if not weight_map:
        return image, classes
    weights = weights_of(label >> 8)
    weights[classes == IGNORE_LABEL] = 0
    return image, classes, weights


def files(dataset: Dataset, *, positions: range, seed: int) -> list[str]:
    """The image files at positions of a run, in their order."""
    return [dataset.files[_place(dataset, position, seed)[0]][0] for position in positions]


def _place(dataset: Dataset, position: int, seed: int) -> tuple[int, int]:
    """The index of the example at a position of a run, and its epoch."""
    epoch, place = divmod(int(position), len(dataset))
    return int(_order(len(dataset), seed, epoch)[place]), epoch


@functools.lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)
