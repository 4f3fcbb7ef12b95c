"""Class weights that give rare classes as much weight in the loss as frequent ones.

Median frequency balancing: Badrinarayanan, Kendall and Cipolla, "SegNet", PAMI 2017, Section 4.1,
after Eigen and Fergus, ICCV 2015. The frequency of a class is the number of its pixels, divided by
the number of pixels of the images in which it occurs; void pixels of these images count. The weight
of a class is the median of all frequencies, divided by its own.

On the training masks of CamVid, SegNet's published weights are those below times 0.92, within 10 %
for each class: the authors seem to count void as a twelfth class, which moves the median. Only
that of "sign symbol" is another, 9.64 and not 3.53. With the reduction "mean" a common factor of
all weights changes nothing.
"""

import numpy as np


def median_frequency(pixels: np.ndarray, pixels_around: np.ndarray) -> tuple[float, ...]:
    """The weight of each class.

    >>> median_frequency(np.array([500, 250, 50, 0]), np.array([1000, 1000, 400, 0]))
    (0.5, 1.0, 2.0, 0.0)

    A class that never occurs has the weight 0 and no part in the median: no pixel has its weight.

    Args:
        pixels: Of each class, whole numbers `[classes]`.
        pixels_around: Of all images in which the class occurs, whole numbers `[classes]`.
    """
    occurs = pixels > 0
    frequencies = pixels[occurs] / pixels_around[occurs]
    weights = np.zeros(len(pixels))
    weights[occurs] = np.median(frequencies) / frequencies
    return tuple(map(float, weights))
