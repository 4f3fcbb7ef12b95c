"""Images and answers of another size."""

import numpy as np
from PIL import Image


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images `[n, h, w, channels]` of another size, bilinear, averaged where they are made smaller.

    Args:
        images: Of any numeric type.
        size: Height and width.

    Returns:
        float32.
    """
    found = np.empty((len(images), *size, images.shape[-1]), np.float32)
    for image, scaled in zip(images, found, strict=True):
        for channel in range(image.shape[-1]):
            band = Image.fromarray(np.ascontiguousarray(image[..., channel], np.float32))
            scaled[..., channel] = band.resize(size[::-1], Image.Resampling.BILINEAR)
    return found
