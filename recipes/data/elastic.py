"""Elastic deformation of an image together with its label, U-Net's main augmentation.

Ronneberger, Fischer and Brox, MICCAI 2015, Section 3.1: Gaussian displacements on a coarse 3 × 3
grid, with a standard deviation of 10 pixels, interpolated bicubically.
"""

import numpy as np
from scipy import ndimage

GRID = 3


def deform(
    rng: np.random.Generator, image: np.ndarray, label: np.ndarray, *, deviation: float = 10.0
) -> tuple[np.ndarray, np.ndarray]:
    """Moves the pixels of an image and its label by the same smooth random field.

    Beyond its border the image is mirrored, as U-Net does.

    Args:
        rng: Source of the displacements.
        image: uint8 or float32 `[h, w, channels]`, interpolated linearly.
        label: Whole numbers `[h, w]`, interpolated by the nearest pixel.
        deviation: Standard deviation of the displacements along each axis, in pixels.

    Returns:
        The image and the label, with their shapes and types.
    """
    height, width = label.shape
    coarse = rng.normal(0, deviation, (2, GRID, GRID))
    moved = np.indices((height, width)) + _between(height) @ coarse @ _between(width).T
    channels = [
        ndimage.map_coordinates(image[..., c], moved, order=1, mode="mirror", output=np.float32)
        for c in range(image.shape[-1])
    ]
    deformed = np.stack(channels, -1)
    if image.dtype == np.uint8:
        deformed = np.clip(np.rint(deformed), 0, 255).astype(np.uint8)
    return deformed, ndimage.map_coordinates(label, moved, order=0, mode="mirror")


def _between(length: int) -> np.ndarray:
    """The weight of each grid point at each pixel of one axis, `[length, GRID]`: a cubic spline.

    The outer grid points lie on the image's corners. The two-dimensional spline is the product of
    one along the rows and one along the columns, which takes a hundredth of the time.
    """
    places = np.linspace(0, GRID - 1, length)
    return np.stack(
        [
            ndimage.map_coordinates(point, [places], order=3, mode="nearest")
            for point in np.eye(GRID)
        ],
        -1,
    )
