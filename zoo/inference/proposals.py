"""The answers to windows that may hold an object, joined pixel by pixel: DeconvNet's way.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, Section
4.2: the 50 most likely boxes, made larger to include context, are scaled to 224 × 224; the scores
are scaled back, with zeros outside their window, and of all windows the pixel-wise maximum counts.
`PAPER` holds these rules, and `RELEASE` those of the authors' published program.

Deviations:
- The release cuts its padding off one pixel too early, which moves every answer; not repeated.
- It reads its boxes from a cache that is not to be had. The context is the paper's, as in training.
"""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from zoo.inference.edge_boxes import edge_boxes
from zoo.inference.probabilities import softmax
from zoo.inference.resizing import resized
from zoo.inference.scorers import PROBABILITIES, SCORES, Scorer

MAXIMUM, MEAN = "maximum", "mean"
OUTSIDE, EVERYWHERE = "outside", "everywhere"


@dataclasses.dataclass(frozen=True)
class Rules:
    """Which boxes count, and how their answers are joined.

    Args:
        most: The largest number of boxes; the first ones, without those that are too small.
        smallest_side: Of a box, in pixels of the image.
        context: By how much the sides of a box are made longer.
        size: Height and width to which a window is scaled, in pixels.
        how: "maximum", the paper's; or "mean" over the windows that hold the pixel, whose class map
            is that of the paper's other way, the sum.
        zeros: "outside": a pixel that some window does not hold is at least 0, as in the paper,
            whose maps are zero outside their window. "everywhere": every pixel is, as in the
            release, which takes the maximum onto a map of zeros. With "mean", "outside" concerns
            the pixels that no window holds.
        fill: The value of each channel outside the image. The release fills with 0 before the mean
            is subtracted, so that the net sees minus the mean, as in training; with the net's mean
            here it sees 0.

    Raises:
        ValueError: A rule is not possible; the message says which.
    """

    most: int = 50
    smallest_side: float = 1
    context: float = 1.2
    size: int = 224
    how: str = MAXIMUM
    zeros: str = OUTSIDE
    fill: float | Sequence[float] = 0.0

    def __post_init__(self):
        if min(self.most, self.size) < 1 or self.smallest_side < 0:
            raise ValueError(
                "Rules have most and size of 1 or more, and smallest_side of 0 or more; received "
                f"{self.most}, {self.size} and {self.smallest_side}. Pass such numbers."
            )
        if not 1 <= self.context <= 4:
            raise ValueError(
                f"context is a factor from 1 to 4; received {self.context}. Pass 1 for none."
            )
        if self.how not in (MAXIMUM, MEAN) or self.zeros not in (OUTSIDE, EVERYWHERE):
            raise ValueError(
                "how is maximum or mean, and zeros is outside or everywhere; received "
                f"{self.how!r} and {self.zeros!r}. Pass such words."
            )


PAPER = Rules()
RELEASE = Rules(smallest_side=112, zeros=EVERYWHERE)


def proposals(
    answer: Scorer,
    boxes: Callable[[np.ndarray], np.ndarray] | np.ndarray = edge_boxes,
    *,
    rules: Rules = PAPER,
    batch: int = 8,
) -> Scorer:
    """A Scorer that joins the answers to the windows of an image.

    ```python
    joined = proposals(deconvnet, rules=dataclasses.replace(PAPER, most=20))
    joined = proposals(deconvnet, boxes=np.array([(10, 5, 50, 40)]))  # of one image
    ```

    An image without a box is answered whole, and a warning says so. Boxes are those of the image
    that is passed: of a tile, if tiles are outside.

    Args:
        answer: With scores the result has scores, as the authors' has: `scorer(model,
            scores=True)`. Joined probabilities are divided by their sum; where no window is, all
            classes are equal. Of equal classes `argmax` takes the first: VOC's background.
        boxes: x0, y0, x1, y1 `[boxes, 4]` in pixels, the most likely first; or what gives them for
            an image `[h, w, channels]`. What lies outside the image is cut off.
        rules: `PAPER`, `RELEASE`, or others.
        batch: Windows that are answered at a time.

    Raises:
        ValueError: `batch` is not positive. When called: a box has no pixel of the image.
        ImportError: When called: OpenCV is missing, which finds EdgeBoxes.
    """
    if batch < 1:
        raise ValueError(f"A batch has 1 window or more; received {batch}. Pass batch=8.")

    def joined(image: np.ndarray) -> np.ndarray:
        found = boxes(image) if callable(boxes) else boxes
        windows = _windows(np.asarray(found), image.shape[:2], rules)
        count = np.zeros((*image.shape[:2], 1), np.int32)
        start = -np.inf if rules.how == MAXIMUM else 0
        total = np.full((*image.shape[:2], answer.spec.classes), start, np.float32)
        for part, window in _answers(answer, image, windows, rules, batch):
            inside, of_part = _overlap(window, image.shape[:2])
            part = part[of_part]
            total[inside] = (
                np.maximum(total[inside], part) if rules.how == MAXIMUM else total[inside] + part
            )
            count[inside] += 1
        if rules.how == MEAN:
            total /= np.maximum(count, 1)
        below = len(windows) if rules.how == MAXIMUM else 1
        if rules.zeros == EVERYWHERE:
            np.maximum(total, 0, out=total)
        else:
            np.maximum(total, 0, out=total, where=count < below)
        return total if answer.gives == SCORES else _shares(total)

    return dataclasses.replace(
        answer,
        answer=lambda images: np.stack([joined(image) for image in images]),
        gives=SCORES if answer.gives == SCORES else PROBABILITIES,
        max_pixels=None,
    )


def _windows(boxes: np.ndarray, size: tuple[int, int], rules: Rules) -> np.ndarray:
    """The windows of an image, int `[windows, 4]`: x0, y0, x1, y1, which may lie outside of it."""
    height, width = size
    boxes = boxes.reshape(-1, 4).astype(float)
    clipped = np.clip(boxes, 0, (width, height, width, height))
    empty = ~(clipped[:, :2] < clipped[:, 2:]).all(1)
    if empty.any():
        raise ValueError(
            f"A box has pixels of its image of {width} × {height} (width × height); received "
            f"{', '.join(f'{number:g}' for number in boxes[empty.argmax()])}. Pass x0, y0, x1, y1 "
            "from the top left, x0 below x1 and y0 below y1, of this image."
        )
    sides = clipped[:, 2:] - clipped[:, :2]
    chosen = (sides.min(1) >= rules.smallest_side).nonzero()[0][: rules.most]
    if not len(chosen):
        warnings.warn(
            f"none of the {len(boxes)} boxes has sides of {rules.smallest_side:g} pixels or more: "
            "the image is answered whole",
            stacklevel=2,
        )
        return np.array([(0, 0, width, height)])
    middle = (clipped[chosen, :2] + clipped[chosen, 2:]) / 2
    half = sides[chosen] * rules.context / 2
    low, high = np.rint(middle - half), np.rint(middle + half)
    return np.concatenate([low, np.maximum(high, low + 1)], 1).astype(int)


def _answers(
    answer: Scorer, image: np.ndarray, windows: np.ndarray, rules: Rules, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The answer to each window, of the window's size, and the window."""
    size = (rules.size, rules.size)
    for first in range(0, len(windows), batch):
        some = windows[first : first + batch]
        crops = np.concatenate([resized(_cut(image, one, rules.fill), size) for one in some])
        for part, (x0, y0, x1, y1) in zip(answer.answer(crops), some, strict=True):
            yield resized(part[np.newaxis], (y1 - y0, x1 - x0))[0], (x0, y0, x1, y1)


def _cut(image: np.ndarray, window: np.ndarray, fill: float | Sequence[float]) -> np.ndarray:
    """The window of an image, float32 `[1, h, w, channels]`."""
    x0, y0, x1, y1 = window
    crop = np.empty((1, y1 - y0, x1 - x0, image.shape[-1]), np.float32)
    crop[:] = fill
    inside, of_crop = _overlap(window, image.shape[:2])
    crop[0][of_crop] = image[inside]
    return crop


def _overlap(window: Sequence[int], size: tuple[int, int]) -> tuple[tuple, tuple]:
    """Where a window and the image meet: rows and columns of the image, and of the window."""
    x0, y0, x1, y1 = window
    spans = [
        (max(low, 0), min(high, side), low)
        for low, high, side in ((y0, y1, size[0]), (x0, x1, size[1]))
    ]
    inside = tuple(slice(low, high) for low, high, _ in spans)
    return inside, tuple(slice(low - begin, high - begin) for low, high, begin in spans)


def _shares(total: np.ndarray) -> np.ndarray:
    sums = total.sum(-1, keepdims=True)
    return np.where(sums > 0, total / np.where(sums > 0, sums, 1), softmax(0 * total))
