"""The mean answer to an image that is mirrored, turned and scaled.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
2015: their release averages over four flips, `flips="four"`.

Tiles belong inside: `augmented` of a Scorer that answers in tiles is exact. The other way round,
poolings in a mirrored tile meet other pixels than in the mirrored image: the answer is as good, but
not the same number for number.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from zoo.inference.probabilities import probabilities
from zoo.inference.resizing import resized
from zoo.inference.scorers import PROBABILITIES, Scorer

# Quarter turns, counter-clockwise, of the image or (True) of its mirror image.
FLIPS = {
    "none": ((0, False),),
    "horizontal": ((0, False), (0, True)),
    "vertical": ((0, False), (2, True)),
    "four": ((0, False), (0, True), (2, True), (2, False)),
}
SMALLEST, LARGEST, MAX_SCALES = 0.25, 4.0, 8
MAX_PIXELS = 1 << 26
"""Of a scaled image. The answer to it has so many numbers for each class."""


def augmented(
    answer: Scorer, *, flips: str = "none", turns: bool = False, scales: Sequence[float] = ()
) -> Scorer:
    """A Scorer that gives the mean of the probabilities of several views of an image.

    ```python
    mean = augmented(answer, flips="four", scales=(0.75, 1.25))  # 12 views
    class_map = mean(image).argmax(-1)
    ```

    Args:
        answer: Answers each view; of scores the softmax is taken first.
        flips: "none"; "horizontal" or "vertical", the image and its mirror image; "four", U-Net's:
            the image, both mirror images, and the image upside down.
        turns: Turn each by 0, 90, 180 and 270 degrees, too. Equal views count once: at most 8.
        scales: Of further images, from 0.25 to 4, at most 8 of them. Images are scaled bilinear,
            averaged where they become smaller; the answers are scaled back alike.

    Returns:
        A Scorer with the margin that the smallest scale needs.

    Raises:
        ValueError: An option is invalid. When called: a scaled image has too many pixels.
    """
    if flips not in FLIPS:
        raise ValueError(f"flips is one of {', '.join(FLIPS)}; received {flips!r}. Pass one.")
    sizes = _checked(scales)
    quarters = range(4) if turns else (0,)
    views = sorted(
        {((one + quarter) % 4, mirror) for one, mirror in FLIPS[flips] for quarter in quarters}
    )
    inner = probabilities(answer)
    most = min(answer.max_pixels or MAX_PIXELS, MAX_PIXELS)

    def mean(images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        total = None
        for scale in sizes:
            size = tuple(max(1, round(side * scale)) for side in (height, width))
            if scale != 1 and size[0] * size[1] > most:
                raise ValueError(
                    f"A scaled image has at most {most} pixels; at scale {scale:g} this one has "
                    f"{size[0]} × {size[1]}. Leave out the scale, or scale the image down."
                )
            scaled = images if scale == 1 else resized(images, size)
            found = None
            for view in views:
                part = _back(inner.answer(np.ascontiguousarray(_seen(scaled, view))), view)
                found = part.astype(np.float32) if found is None else found + part
            found = found if scale == 1 else resized(found, (height, width))
            total = found if total is None else total + found
        return total / np.float32(len(sizes) * len(views))

    smallest = sizes[0]
    margin = answer.margin if len(sizes) == 1 else math.ceil((answer.margin + 2) / smallest)
    return dataclasses.replace(answer, answer=mean, margin=margin, gives=PROBABILITIES)


def _checked(scales: Sequence[float]) -> list[float]:
    """All scales, 1 among them, in ascending order."""
    if len(scales) > MAX_SCALES or not all(SMALLEST <= scale <= LARGEST for scale in scales):
        raise ValueError(
            f"scales are at most {MAX_SCALES} numbers from {SMALLEST:g} to {LARGEST:g}; received "
            f"{list(scales)}. Pass scales=(0.75, 1.25), for example."
        )
    return sorted({1.0, *map(float, scales)})


def _seen(images: np.ndarray, view: tuple[int, bool]) -> np.ndarray:
    quarters, mirror = view
    return np.rot90(images[:, :, ::-1] if mirror else images, quarters, axes=(1, 2))


def _back(images: np.ndarray, view: tuple[int, bool]) -> np.ndarray:
    quarters, mirror = view
    images = np.rot90(images, -quarters, axes=(1, 2))
    return images[:, :, ::-1] if mirror else images
