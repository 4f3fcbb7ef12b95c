"""Elastic deformation of an image and its label together, U-Net's most telling augmentation.

Ronneberger, Fischer and Brox, MICCAI 2015, Section 3.1: Gaussian displacements on a coarse 3 × 3
grid, with a deviation of 10 pixels, bicubic in between.
"""

import numpy as np
from scipy import ndimage

GRID = 3


def deform(
    rng: np.random.Generator, image: np.ndarray, label: np.ndarray, *, deviation: float = 10.0
) -> tuple[np.ndarray, np.ndarray]:
    """Moves the pixels of an image and its label by the same smooth random field.

    What comes from outside is mirrored, as U-Net extrapolates an image.

    Args:
        rng: Decides the field, and nothing else.
        image: uint8 `[h, w, channels]`, interpolated linearly.
        label: Whole numbers `[h, w]`; takes the nearest pixel, so that no class is invented.
        deviation: Of the displacements, in pixels, along each axis.

    Returns:
        The image and label, of the same shapes and types.
    """
    height, width = label.shape
    coarse = rng.normal(0, deviation, (2, GRID, GRID))
    moved = np.indices((height, width)) + _between(height) @ coarse @ _between(width).T
    channels = [
        ndimage.map_coordinates(image[..., c], moved, order=1, mode="mirror", output=np.float32)
        for c in range(image.shape[-1])
    ]
    image = np.clip(np.rint(np.stack(channels, -1)), 0, 255).astype(np.uint8)
    return image, ndimage.map_coordinates(label, moved, order=0, mode="mirror")


def _between(length: int) -> np.ndarray:
    """What each point of the grid has to say at each pixel, `[length, GRID]`: a cubic spline.

    The corners of the grid are those of the image. The spline of the field is one of its rows and
    columns, and to compute it from these takes a hundredth of the time.
    """
    places = np.linspace(0, GRID - 1, length)
    return np.stack(
        [
            ndimage.map_coordinates(point, [places], order=3, mode="nearest")
            for point in np.eye(GRID)
        ],
        -1,
    )
