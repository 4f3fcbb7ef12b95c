"""Windows cut out of the images of a data set, on which DeconvNet is trained.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015: the sides
of a box are made 1.2 times as long, to include some context, and its window is scaled to
250 × 250 pixels, of which training takes crops of 224 × 224. Examples of the rarer classes are
repeated. Outside the image a window is black, and its label is void.
"""

import functools

import numpy as np
from PIL import Image

from recipes.data.boxes import Boxes, name_of
from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset

CONTEXT = 1.2
SIZES = {"train": 250, "val": 224}


def dataset(name: str, source: Dataset, boxes: Boxes, *, one_object: bool) -> Dataset:
    """A split whose examples are windows of another split's images.

    Args:
        name: The data set's.
        source: The split that has the images. In "train" windows are repeated until every class
            has as many as the most frequent one.
        boxes: With the columns `boxes.OBJECT`.
        one_object: Label only the object of the box, and everything else as background; else
            keep the whole label.

    Raises:
        DataError: There is no box.
    """
    found = [boxes[name_of(source, index)] for index in range(len(source))]
    rows = np.concatenate(found)
    images = np.repeat(np.arange(len(source)), [len(of_image) for of_image in found])
    if not len(rows):
        raise DataError(
            f"{name} ({source.split}): a split has at least one window; none of its "
            f"{len(source)} images has a box. Add images with objects, or boxes."
        )
    files = [
        (source.files[image][0], f"{source.files[image][1]} (box {','.join(map(str, row[:4]))})")
        for image, row in zip(images, rows, strict=True)
    ]
    order = balanced(rows[:, 5]) if source.split == "train" else np.arange(len(rows))

    @functools.lru_cache(maxsize=4)  # neighbouring windows are often of one image
    def read(image: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        return *source.example(image), source.instances(image) if one_object else None

    def example(index: int) -> tuple[np.ndarray, np.ndarray]:
        image, label, numbers = read(images[order[index]])
        *box, number, kind = rows[order[index]]
        if one_object:
            label = np.where(label == IGNORE_LABEL, label, np.where(numbers == number, kind, 0))
        return cut(image, label.astype(np.uint8), box, size=SIZES[source.split])

    pairs = tuple(files[row] for row in order)
    cuts = np.ascontiguousarray(rows[order])
    return Dataset(
        *(name, source.split, source.class_names, source.channels, pairs, example),
        cut_from=(source, cuts),
        background=source.background,
    )


def cut(
    image: np.ndarray, label: np.ndarray, box: tuple[int, int, int, int], *, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The window of a box: image uint8 `[size, size, 3]`, label uint8 `[size, size]`."""
    middle = np.add(box[:2], box[2:]) / 2
    half = np.subtract(box[2:], box[:2]) * CONTEXT / 2
    window = tuple(int(side) for side in np.rint([*(middle - half), *(middle + half)]))
    # Pillow fills with 0 outside. In 8 bits 255 + 1 is 0, so the outside becomes void.
    planes = (image, Image.Resampling.BILINEAR), (label + 1, Image.Resampling.NEAREST)
    image, label = (
        np.asarray(Image.fromarray(plane).crop(window).resize((size, size), how))
        for plane, how in planes
    )
    return image, label - 1


def balanced(kinds: np.ndarray) -> np.ndarray:
    """The indices of examples, repeated until every class has as many as the largest one.

    Args:
        kinds: The class of each example, whole numbers `[examples]`.

    Returns:
        The indices in ascending order: copies of an example are neighbours.
    """
    counts = np.bincount(kinds)
    copies = np.zeros(len(kinds), int)
    for kind in np.flatnonzero(counts):
        times, left = divmod(counts.max(), counts[kind])
        copies[kinds == kind] = times + (np.arange(counts[kind]) < left)
    return np.repeat(np.arange(len(kinds)), copies)
