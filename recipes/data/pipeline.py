"""The batches of a training run; each is a function of the data set, the seed and the step.

Position p of a run is place p mod n of epoch p div n, with n examples. The order of an epoch
depends on (seed, epoch) only, the augmentation of an example on (seed, epoch, index) only. So a
resumed run gets the batches of an uninterrupted one, and workers that share the positions get those
of one worker.
"""

import atexit
import functools
import gc
import os

import numpy as np
import tensorflow as tf

from recipes.data.augmentation import augmented
from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.weight_map import weight_map as make_weight_map

CELL = 32  # the stride of an FCN's coarsest scores, in pixels
# Fixed, not AUTOTUNE, which begins with one call and buffers batches up to half of the memory.
# Decoding releases Python's lock, so more calls than cores are useful.
_CALLS, _BUFFERED = (os.cpu_count() or 1) + 2, 2

# Destroying a tf.data iterator joins its Python callbacks; at interpreter shutdown they never
# return, so collect cycles first.
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
    context: tuple[int, int] = (0, 0),
    loss_sampling: float = 1.0,
    weight_map: bool = False,
    workers: int = 1,
    worker: int = 0,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Batches of images `[n, h, w, channels]` and labels uint8 `[n, h, w]` of a run.

    Args:
        dataset: A training split. If it has other heads, labels are `[n, h, w, heads]`, those of
            the first head first.
        batch_size: Examples of one step, over all replicas.
        first: The first step, from 0.
        last: The step after the last one.
        seed: Of order, crops, augmentation and sampling.
        crop: Height and width of the crops, or 0 for whole images.
        augment: Names in `augmentation.AUGMENTATIONS`.
        context: Pixels of the image around each crop, before it and behind it along each axis. The
            labels have none.
        loss_sampling: The probability with which a cell of 32×32 pixels keeps its label; the
            other cells become void.
        weight_map: Adds U-Net's weights, float32 `[n, h, w]`, 0 where the label is void. Only for
            a data set with `instances` and one head.
        workers: Number of workers that share the examples of a step.
        worker: The number of this worker.
        replicas: Replicas of all workers; a batch is what one replica takes in one step.
    """
    size, types = crop or None, (tf.as_dtype(dataset.image_type), tf.uint8, tf.float32)
    heads = [1 + len(dataset.other_heads)] if dataset.other_heads else []
    tile = crop + sum(context) if crop else None
    shapes = ((tile, tile, dataset.channels), (size, size, *heads), (size, size))
    drawn = functools.partial(
        draw,
        dataset,
        seed=seed,
        crop=crop,
        augment=augment,
        context=context,
        loss_sampling=loss_sampling,
        weight_map=weight_map,
    )

    def read(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parts = tf.numpy_function(drawn, [position], types if weight_map else types[:2])
        return tuple(map(tf.ensure_shape, parts, shapes))

    positions = tf.data.Dataset.range(first * batch_size + worker, last * batch_size, workers)
    examples = positions.map(read, num_parallel_calls=_CALLS, deterministic=True)
    options = tf.data.Options()
    # Nothing is left to tune, and destroying an iterator waits for the tuning thread, which may
    # sleep for a minute.
    options.autotune.enabled = False
    ready = examples.batch(batch_size // replicas, drop_remainder=True).prefetch(_BUFFERED)
    return ready.with_options(options)


def draw(
    dataset: Dataset,
    position: int,
    *,
    seed: int,
    crop: int,
    augment: tuple[str, ...],
    context: tuple[int, int] = (0, 0),
    loss_sampling: float = 1.0,
    weight_map: bool = False,
) -> tuple[np.ndarray, ...]:
    """The example at a position of a run: image `[h, w, channels]`, label uint8 `[h, w]`.

    With a context the image is larger by it than the label. With other heads the label is
    `[h, w, heads]`. With `weight_map` also the weights of the label's pixels: float32 `[h, w]`.
    """
    index, epoch = _place(dataset, position, seed)
    image, label = dataset.example(index)
    heads = [label, *(other.example(index)[1] for other in dataset.other_heads.values())]
    # One plane holds all, so that augmentation moves them alike: the class in the lowest 8 bits.
    if weight_map:
        label = dataset.instances(index) << 8 | label
    elif len(heads) > 1:
        label = _plane(heads)
    rng = np.random.default_rng((seed, epoch, index))
    image, label = augmented(rng, image, label, crop=crop, augment=augment, context=context)
    if len(heads) > 1:
        classes = _labels(label, len(heads))
    else:
        classes = (label & 0xFF).astype(np.uint8) if weight_map else np.ascontiguousarray(label)
    if loss_sampling < 1:
        kept = rng.random([-(-side // CELL) for side in label.shape]) < loss_sampling
        kept = kept.repeat(CELL, 0).repeat(CELL, 1)[: label.shape[0], : label.shape[1]]
        kept = kept[..., np.newaxis] if len(heads) > 1 else kept
        classes = np.where(kept, classes, np.uint8(IGNORE_LABEL))
    if not weight_map:
        return image, classes
    weights = make_weight_map(label >> 8)
    weights[classes == IGNORE_LABEL] = 0
    return image, classes, weights


def _plane(labels: list[np.ndarray]) -> np.ndarray:
    """The labels of several heads in one, int32 `[h, w]`, 8 bits each, the first head lowest.

    What follows the first is stored as its difference from void: so 255, with which augmentation
    extends an image, is void in all.
    """
    plane = labels[0].astype(np.int32)
    for place, label in enumerate(labels[1:], 1):
        plane |= (IGNORE_LABEL - label.astype(np.int32)) << 8 * place
    return plane


def _labels(plane: np.ndarray, heads: int) -> np.ndarray:
    """What `_plane` was made of, uint8 `[h, w, heads]`."""
    places = [plane >> 8 * place & 0xFF for place in range(heads)]
    others = [IGNORE_LABEL - place for place in places[1:]]
    return np.stack([places[0], *others], -1).astype(np.uint8)


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
