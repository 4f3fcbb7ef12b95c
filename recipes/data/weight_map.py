"""U-Net's weight map of the loss, which stresses the narrow gaps between cells.

Ronneberger, Fischer and Brox, MICCAI 2015, Section 3: w(x) = w_c(x) + w0 · exp(−(d1 + d2)² / 2σ²),
where d1 and d2 are the distances of x to the nearest and to the second nearest cell, w0 = 10 and
σ = 5 pixels. w_c balances the frequencies of the classes; the paper does not say how.
"""

import numpy as np
from scipy import ndimage

# Where d1 + d2 is more than this many sigma, the weight of a gap is below 2e-7 · w0 and left out.
_REACH = 5.5


def weight_map(instances: np.ndarray, *, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """The weight of each pixel, float32 `[h, w]`: that of its class plus that of the gap.

    The class weight w_c gives both classes the same total weight and has the mean 1; it is 1
    everywhere in an image of one class. The weight of the gap is 0 inside cells.

    Args:
        instances: The number of the cell of each pixel, whole numbers `[h, w]`; 0 outside cells.
        w0: The weight of a gap of width 0.
        sigma: How far the weight reaches, in pixels.
    """
    cells = instances > 0
    counts = np.bincount(cells.ravel(), minlength=2)
    balance = instances.size / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return (balance[cells.astype(int)] + gap_weights(instances, w0=w0, sigma=sigma)).astype(
        np.float32
    )


def gap_weights(instances: np.ndarray, *, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """The second term, the weights of the gaps, float64 `[h, w]`."""
    # A distance map of the whole image for each of hundreds of cells would take a minute. A cell
    # matters only within reach.
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
