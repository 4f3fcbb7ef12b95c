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
    # The corners of the grid are those of the image.
    grid = np.meshgrid(
        np.linspace(0, GRID - 1, height), np.linspace(0, GRID - 1, width), indexing="ij"
    )
    moved = np.indices((height, width), dtype=np.float64)
    for axis in (0, 1):
        moved[axis] += ndimage.map_coordinates(coarse[axis], grid, order=3, mode="nearest")
    channels = [
        ndimage.map_coordinates(image[..., c].astype(np.float32), moved, order=1, mode="mirror")
        for c in range(image.shape[-1])
    ]
    image = np.clip(np.rint(np.stack(channels, -1)), 0, 255).astype(np.uint8)
    return image, ndimage.map_coordinates(label, moved, order=0, mode="mirror")
