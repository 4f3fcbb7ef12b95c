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

AUGMENTATIONS = {
    "scale": "scales by 0.5 to 2, before the crop",
    "elastic": "deforms by a smooth random field, as U-Net",
    "flip": "mirrors left and right, every second time",
    "turn": "turns by a random multiple of 90°",
    "light": "multiplies the brightness by 0.7 to 1.3 and adds −25 to 25",
    "colour": "multiplies each channel by 0.8 to 1.2 of its own",
}


def batches(
    dataset: Dataset,
    *,
    batch_size: int,
    first: int,
    last: int,
    seed: int,
    crop: int,
    augment: tuple[str, ...] = (),
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
        seed: Of order, crops and augmentation.
        crop: Height and width of the crops, or 0 for whole images.
        augment: Names in AUGMENTATIONS.
        workers: Number of workers, between which the examples of a step are dealt out.
        worker: This one.
        replicas: Replicas of all workers; a batch is what one replica takes in one step.
    """
    size = crop or None
    channels = dataset.channels

    def read(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = tf.numpy_function(
            lambda p: draw(dataset, int(p), seed=seed, crop=crop, augment=augment),
            [position],
            (tf.uint8, tf.uint8),
        )
        return tf.ensure_shape(image, (size, size, channels)), tf.ensure_shape(label, (size, size))

    positions = tf.data.Dataset.range(first * batch_size + worker, last * batch_size, workers)
    examples = positions.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size // replicas, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def draw(
    dataset: Dataset, position: int, *, seed: int, crop: int, augment: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The example at a position of a run: image uint8 `[h, w, channels]`, label uint8 `[h, w]`."""
    epoch, place = divmod(position, len(dataset))
    index = int(_order(len(dataset), seed, epoch)[place])
    image, label = dataset.example(index)
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
    return np.ascontiguousarray(image), np.ascontiguousarray(label)


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
