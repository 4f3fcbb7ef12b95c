"""NumPy doubles of the layers, written from their definitions: slow, plain, one pixel at a time."""

import itertools
import math

import numpy as np


def max_pooling_with_argmax(image, pool_size):
    """The greatest value of each window, the first one on ties, and its position in the window."""
    n, height, width, channels = image.shape
    shape = (n, math.ceil(height / pool_size), math.ceil(width / pool_size), channels)
    pooled, switches = np.empty(shape, image.dtype), np.empty(shape, "int32")
    for b, row, column, c in np.ndindex(shape):
        best = None
        for dy, dx in itertools.product(range(pool_size), repeat=2):
            y, x = row * pool_size + dy, column * pool_size + dx
            if y < height and x < width and (best is None or image[b, y, x, c] > best):
                best = image[b, y, x, c]
                pooled[b, row, column, c] = best
                switches[b, row, column, c] = dy * pool_size + dx
    return pooled, switches


def max_unpooling(pooled, switches, pool_size, size):
    """Each value where its switch says, in an image of the size (height, width)."""
    restored = np.zeros((len(pooled), *size, pooled.shape[-1]), pooled.dtype)
    for b, row, column, c in np.ndindex(pooled.shape):
        dy, dx = divmod(switches[b, row, column, c], pool_size)
        y, x = row * pool_size + dy, column * pool_size + dx
        restored[b, y, x, c] = pooled[b, row, column, c]
    return restored


def nearest_unpooling(pooled, pool_size, size):
    restored = np.empty((len(pooled), *size, pooled.shape[-1]), pooled.dtype)
    for y, x in np.ndindex(*size):
        restored[:, y, x] = pooled[:, y // pool_size, x // pool_size]
    return restored


def bed_of_nails_unpooling(pooled, pool_size, size):
    restored = np.zeros((len(pooled), *size, pooled.shape[-1]), pooled.dtype)
    for row, column in np.ndindex(pooled.shape[1:3]):
        restored[:, row * pool_size, column * pool_size] = pooled[:, row, column]
    return restored


def bilinear_kernel(size):
    """The kernel of the authors' surgery: 1 in the middle, falling to 0 just outside."""
    kernel = np.empty((size, size))
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    for y, x in np.ndindex(size, size):
        kernel[y, x] = (1 - abs(y - centre) / factor) * (1 - abs(x - centre) / factor)
    return kernel


def deconvolve(scores, *, factor, kernel_size):
    """Caffe's Deconvolution: each value strews the kernel, `factor` pixels after the one before."""
    n, height, width, channels = scores.shape
    kernel = bilinear_kernel(kernel_size)[None, :, :, None]
    size = ((height - 1) * factor + kernel_size, (width - 1) * factor + kernel_size)
    result = np.zeros((n, *size, channels))
    for y, x in np.ndindex(height, width):
        top, left = y * factor, x * factor
        result[:, top : top + kernel_size, left : left + kernel_size] += (
            scores[:, y, x][:, None, None] * kernel
        )
    return result


def crop_like(x, like, offset):
    (top, left), (height, width) = offset, like.shape[1:3]
    return x[:, top : top + height, left : left + width]


def caffe_max_pooling(image, pool_size, strides):
    """Windows as long as one begins before the last one that reaches the border has ended."""
    n, height, width, channels = image.shape
    starts = []
    for size in (height, width):
        count = math.ceil((size - pool_size) / strides) + 1
        starts.append([i * strides for i in range(count)])
    pooled = np.empty((n, len(starts[0]), len(starts[1]), channels), image.dtype)
    for row, column in np.ndindex(pooled.shape[1:3]):
        top, left = starts[0][row], starts[1][column]
        window = image[:, top : top + pool_size, left : left + pool_size]
        pooled[:, row, column] = window.max((1, 2))
    return pooled


def local_response_normalization(features, size, alpha, beta, k):
    channels = features.shape[-1]
    result = np.empty_like(features, dtype="float64")
    for c in range(channels):
        first, last = max(c - size // 2, 0), min(c + size // 2, channels - 1)
        energy = (features[..., first : last + 1].astype("float64") ** 2).sum(-1)
        result[..., c] = features[..., c] / (k + alpha / size * energy) ** beta
    return result


def valid_unet_size(size, depth):
    """The size of a valid U-Net's scores for an image of this size; None if it cannot take it."""
    skips = []
    for _ in range(depth):
        size -= 4
        skips.append(size)
        if size < 2 or size % 2:
            return None
        size //= 2
    size -= 4
    for skip in reversed(skips):
        size *= 2
        if size < 1 or size > skip or (skip - size) % 2:
            return None
        size -= 4
    return size if size >= 1 else None


def mirror_padding(image, depth):
    """The smallest tile that a valid U-Net scores all of the image from, by walking to and fro."""
    for axis in (1, 2):
        size = image.shape[axis]
        tile = size
        while (valid_unet_size(tile, depth) or 0) < size:
            tile += 1
        margin = (tile - valid_unet_size(tile, depth)) // 2
        sources = [_walk(size, step - margin) for step in range(tile)]
        image = np.take(image, sources, axis)
    return image


def _walk(size, steps):
    """Where one stands after so many steps from pixel 0, turning around at either end."""
    position, direction = 0, 1 if steps > 0 else -1
    for _ in range(abs(steps)):
        if not 0 <= position + direction < size:
            direction = -direction
        if 0 <= position + direction < size:
            position += direction
    return position


def pad_to_multiple(image, multiple, minimum):
    n, height, width, channels = image.shape
    size = []
    for side in (height, width):
        while side < minimum or side % multiple:
            side += 1
        size.append(side)
    result = np.zeros((n, *size, channels), image.dtype)
    result[:, :height, :width] = image
    return result


def convolve(image, kernel, border, groups=1):
    """A convolution at a stride of 1, with so many pixels of zeros before and behind the image."""
    image = np.pad(image.astype("float64"), [(0, 0), border, border, (0, 0)])
    window, _, channels, filters = kernel.shape
    n, height, width, _ = image.shape
    height, width = height - window + 1, width - window + 1
    result = np.zeros((n, height, width, filters))
    for y in range(window):
        for x in range(window):
            part = image[:, y : y + height, x : x + width]
            for group in range(groups):
                taken = slice(group * channels, (group + 1) * channels)
                given = slice(group * filters // groups, (group + 1) * filters // groups)
                result[..., given] += part[..., taken] @ kernel[y, x, :, given].astype("float64")
    return result
