"""Images and answers of another size."""

import numpy as np
from PIL import Image


def resized(
    images: np.ndarray,
    size: tuple[int, int],
    how: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """Images `[n, h, w, channels]` of another size, bilinear, averaged where they are made smaller.

    Args:
        images: Of any numeric type.
        size: Height and width.
        how: Another of Pillow's ways, such as the nearest pixel.

    Returns:
        float32.
    """
    found = np.empty((len(images), *size, images.shape[-1]), np.float32)
    for image, scaled in zip(images, found, strict=True):
        for channel in range(image.shape[-1]):
            band = Image.fromarray(np.ascontiguousarray(image[..., channel], np.float32))
            scaled[..., channel] = band.resize(size[::-1], how)
    return found
