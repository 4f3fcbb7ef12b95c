"""From a data set to the batches of a training run, each a function of the seed and the step.

Position p of the run is place p mod n of epoch p div n. The order of an epoch follows from (seed,
epoch), the augmentation of an example from (seed, epoch, index): a run that goes on from step k
sees what it would have seen, and so do two workers that share the positions between them.
"""

import functools

import numpy as np
import tensorflow as tf
from PIL import Image

from recipes.data import elastic
from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.weight_map import weight_map as weights_of

AUGMENTATIONS = {
    "scale": "scales by 0.5 to 2, before the crop",
    "elastic": "deforms by a smooth random field, as U-Net",
    "flip": "mirrors left and right, every second time",
    "turn": "turns by a random multiple of 90°",
    "light": "multiplies the brightness by 0.7 to 1.3 and adds −25 to 25",
    "colour": "multiplies each channel by 0.8 to 1.2 of its own",
}
CELL = 32  # pixels along a side of a cell of an FCN's last layer, before its scores grow


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
        augment: Names in AUGMENTATIONS.
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
    examples = positions.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size // replicas, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


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
    if "scale" in augment:
        image, label = _scale(2 ** rng.uniform(-1, 1), image, label)
    if crop:
        image, label = _crop(rng, crop, image, label)
    if "elastic" in augment:
        image, label = elastic.deform(rng, image, label)
    if "flip" in augment and rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    if "turn" in augment:
        turns = int(rng.integers(4))
        image, label = np.rot90(image, turns), np.rot90(label, turns)
    if "light" in augment:
        light = image * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25)
        image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    if "colour" in augment:
        coloured = image * rng.uniform(0.8, 1.2, image.shape[-1])
        image = np.clip(np.rint(coloured), 0, 255).astype(np.uint8)
    classes = np.array(label & 255, np.uint8)
    if loss_sampling < 1:
        kept = rng.random([-(-side // CELL) for side in classes.shape]) < loss_sampling
        kept = kept.repeat(CELL, 0).repeat(CELL, 1)[: classes.shape[0], : classes.shape[1]]
        classes[~kept] = IGNORE_LABEL
    parts = np.ascontiguousarray(image), classes
    if weight_map:
        parts += (np.where(classes == IGNORE_LABEL, np.float32(0), weights_of(label >> 8)),)
    return parts


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


def _scale(factor: float, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by the same factor; the image blends its pixels, the label chooses among them."""
    size = tuple(max(1, round(side * factor)) for side in label.shape[::-1])
    channels = [
        Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR)
        for channel in np.moveaxis(image, -1, 0)
    ]
    label = Image.fromarray(label).resize(size, Image.Resampling.NEAREST)
    return np.stack([np.asarray(channel) for channel in channels], -1), np.asarray(label)


def _crop(
    rng: np.random.Generator, size: int, image: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A random square; what an image lacks is filled with its edge, and not trained."""
    short = [(0, max(0, size - length)) for length in label.shape]
    image = np.pad(image, (*short, (0, 0)), mode="edge")
    label = np.pad(label, short, constant_values=IGNORE_LABEL)
    # Drawn from a wider range and moved inside, so that borders are not rarer than the middle.
    drawn = [rng.integers(-size // 2, length - size // 2 + 1) for length in label.shape]
    top, left = (
        int(np.clip(place, 0, length - size))
        for place, length in zip(drawn, label.shape, strict=True)
    )
    return image[top : top + size, left : left + size], label[top : top + size, left : left + size]
