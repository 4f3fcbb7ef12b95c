"""U-Net's weights of the loss, by which it learns the narrow gaps between cells.

Ronneberger, Fischer and Brox, MICCAI 2015, Section 3: w(x) = w_c(x) + w0 · exp(−(d1 + d2)² / 2σ²),
where d1 and d2 are the distances of x to the nearest and to the second nearest cell, w0 = 10 and
σ = 5 pixels. w_c makes up for the classes' unequal shares, in a way that the paper leaves open.
"""

import numpy as np
from scipy import ndimage

# The weight of a gap falls below 2e-7 of w0 where d1 + d2 is longer, and is left out.
_REACH = 5.5  # of sigma


def weight_map(instances: np.ndarray, *, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """The weight of each pixel, float32 `[h, w]`: its class's, and that of the gap it lies in.

    Both classes have the same total weight and the mean over the pixels is 1, w_c that is; an image
    of one class has 1 everywhere. The second term is 0 inside cells.

    Args:
        instances: The number of the cell of each pixel, whole numbers `[h, w]`, 0 in between.
        w0: Weight of a gap without width.
        sigma: How fast it falls as the gap widens, in pixels.
    """
    cells = instances > 0
    counts = np.bincount(cells.ravel(), minlength=2)
    balance = instances.size / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return (balance[cells.astype(int)] + gap_weights(instances, w0=w0, sigma=sigma)).astype(
        np.float32
    )


def gap_weights(instances: np.ndarray, *, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """The second term alone, float64 `[h, w]`."""
    # Whole distance maps for each cell would take a minute for a section of hundreds of them. A
    # cell matters only within reach, so that its surroundings are enough.
    reach = int(np.ceil(_REACH * sigma))
    nearest = np.full((2, *instances.shape), np.inf)
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        distance = ndimage.distance_transform_edt(instances[around] != number)
        first, second = nearest[0][around], nearest[1][around]
        np.minimum(second, np.maximum(first, distance), out=second)
        np.minimum(first, distance, out=first)
    weights = w0 * np.exp(-(nearest.sum(0) ** 2) / (2 * sigma**2))
    return np.where(instances > 0, 0, weights)
