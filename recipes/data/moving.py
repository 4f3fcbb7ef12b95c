"""Moves the pixels of an image together with those of its label: rotation and elastic deformation.

A move says for each pixel of a view the place it comes from; moves add up, and the image is
interpolated once. U-Net's paper (Ronneberger, Fischer and Brox, MICCAI 2015, Section 3.1) trains on
both: invariance to rotation, and Gaussian displacements on a coarse 3 × 3 grid, with a standard
deviation of 10 pixels, interpolated bicubically.
"""

import numpy as np
from scipy import ndimage

DEVIATION = 10.0
"""The standard deviation of the displacements along each axis, in pixels, at most."""

SPACING = 256
"""Pixels between two points of the grid, about: those of a grid of 3 × 3 on the paper's 512."""

LARGEST = 0.15
"""The largest deviation, as a part of the spacing: where neighbours move further apart, the field
folds, and pixels change places."""


def rotated(shape: tuple[int, int], angle: float) -> np.ndarray:
    """Where each pixel comes from that is turned around the middle: float64 `[2, h, w]`.

    Args:
        shape: Height and width of the view.
        angle: Counter-clockwise, in radians.
    """
    middle = (np.array(shape) - 1) / 2
    rows, columns = (np.arange(side) - half for side, half in zip(shape, middle, strict=True))
    rows, columns = rows[:, np.newaxis], columns[np.newaxis]
    sine, cosine = np.sin(angle), np.cos(angle)
    # Rows count downwards.
    turned = [cosine * rows + sine * columns, cosine * columns - sine * rows]
    return np.stack(turned) + middle[:, np.newaxis, np.newaxis]


def elastic(
    rng: np.random.Generator, shape: tuple[int, int], *, deviation: float = DEVIATION
) -> np.ndarray:
    """A smooth random field of displacements, float64 `[2, h, w]`, for a view of any size.

    The grid has 3 points along a side of up to 640 pixels, and more along a longer one, so that the
    field bends a large image as it bends the paper's. In a small view the displacements are
    smaller, so that the field does not fold.

    Args:
        rng: Source of the displacements.
        shape: Height and width of the view.
        deviation: In pixels, at most.
    """
    points = [max(3, 1 + round(side / SPACING)) for side in shape]
    spacings = [(side - 1) / (count - 1) for side, count in zip(shape, points, strict=True)]
    deviation = min(deviation, LARGEST * min(spacings))
    coarse = rng.normal(0, deviation, (2, *points))
    down, across = (_between(*axis) for axis in zip(shape, points, strict=True))
    return down @ coarse @ across.T


def resampled(
    image: np.ndarray, label: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The image and the label at some places; beyond their border they are mirrored.

    Args:
        image: uint8 or float32 `[h, w, channels]`, interpolated linearly.
        label: Whole numbers `[h, w]`, interpolated by the nearest pixel.
        places: Rows and columns `[2, …]`, in pixels.

    Returns:
        Both with their types.
    """
    channels = [
        ndimage.map_coordinates(image[..., c], places, order=1, mode="mirror", output=np.float32)
        for c in range(image.shape[-1])
    ]
    moved = np.stack(channels, -1)
    if image.dtype == np.uint8:
        moved = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return moved, ndimage.map_coordinates(label, places, order=0, mode="mirror")


def _between(length: int, points: int) -> np.ndarray:
    """The weight of each grid point at each pixel of one axis, `[length, points]`: a cubic spline.

    The outer grid points lie on the image's corners. The two-dimensional spline is the product of
    one along the rows and one along the columns, which takes a hundredth of the time.
    """
    places = np.linspace(0, points - 1, length)
    return np.stack(
        [
            ndimage.map_coordinates(point, [places], order=3, mode="nearest")
            for point in np.eye(points)
        ],
        -1,
    )
