"""What is asked about: image files, and images in memory."""

import os

import numpy as np

from zoo import images
from zoo.spec import Spec


def read(picture: str | os.PathLike, spec: Spec) -> np.ndarray:
    """An image as a model takes it, `[h, w, channels]`."""
    return images.read_image(picture, channels=spec.channels)


def shown(image: np.ndarray) -> np.ndarray:
    """An image for a picture of it, uint8 `[h, w, 3]` or `[h, w, 1]`."""
    count = 3 if image.shape[-1] >= 3 else 1
    return np.rint(image[..., :count]).astype(np.uint8)
