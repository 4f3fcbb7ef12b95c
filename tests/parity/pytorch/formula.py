"""Parameters and images for two engines: each number is a formula of its name and place.

The numbers are exact integers scaled at the end, without a generator and without a sine, whose
last digits could depend on a version. Place i of the array `name` holds, with c = crc32(name),

    u = ((2654435769 i² + (2 c + 1) i + c) mod 2³²) / 2³¹ - 1        from -1 up to 1

and the parameters are made of u so that the features keep their size through the net and every
class wins somewhere:

    kernel    u √(6 / N), N the incoming nodes      bias      0.1 u
    scale     1 + 0.5 u                             shift     0.5 u
    mean      0.5 u                                 variance  1 + 0.5 u

Kernels of the other nets lose half of their mean, because their inputs are not normalized, those
of scores all of it; both grow by 1.2. What DeconvNet and SegNet normalize is 10⁻⁴ of that:
kernel, bias and mean; the variance 10⁻⁸. It is then of the size of the epsilon of 10⁻⁹, so that
another epsilon shows. The size of the image's values is taken back in the first kernel.
"""

import math
import re
import zlib

import numpy as np

SMALL = 1e-4
# The models whose layers are normalized to the size of their epsilon, all but those of the scores.
NORMALIZED = ("deconvnet", "segnet")
SCORES = ("seg-score-voc", "score", "conv1_1_D", "conv_classifier")
# What comes after a max-unpooling, after which three of four values are zero.
UNPOOLED = re.compile(r"deconv\d_1|conv[345]_3_D|conv[12]_2_D|conv_decode\d")


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values u of the array `name`, float64."""
    place = np.arange(math.prod(shape), dtype=np.uint64)
    c = zlib.crc32(name.encode())
    # Products wrap around at 2⁶⁴, of which 2³² is a divisor.
    mixed = (place * place * 2654435769 + place * (2 * c + 1) + c) % 2**32
    return (mixed / 2**31 - 1).reshape(shape)


def parameter(model: str, layer: str, role: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 parameter of a model's layer; a kernel's shape is Caffe's and PyTorch's.

    That is `[outputs, inputs, rows, columns]`, and `[inputs, outputs, rows, columns]` for a
    transposed convolution.
    """
    u = uniform(f"{layer}/{role}", shape)
    scores = layer in SCORES
    small = SMALL if model in NORMALIZED and not scores else 1
    if role == "kernel":
        value = small * math.sqrt(6 / _incoming(layer, shape)) * u
        if small == 1 and not layer.startswith("upconv"):
            part = 1 if scores else 0.5
            value = 1.2 * (value - part * value.mean(axis=(1, 2, 3), keepdims=True))
        if layer in ("conv1_1", "conv1"):
            value /= 64
    else:
        value = {
            "bias": small * 0.1 * u,
            "scale": 1 + 0.5 * u,
            "shift": 0.5 * u,
            "mean": small * 0.5 * u,
            "variance": small**2 * (1 + 0.5 * u),
        }[role]
    return value.astype("float32")


def _incoming(layer: str, shape: tuple[int, ...]) -> float:
    """How many values that are not zero one output of the layer is a sum of, about."""
    if layer.startswith(("upconv", "fc6-deconv")):
        return shape[0]  # the windows do not overlap, or there is one
    features = shape[0] if layer.startswith("deconv") else shape[1]
    return math.prod(shape[2:]) * features / (4 if UNPOOLED.fullmatch(layer) else 1)


def images(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Large blocks, small blocks and texture: float32 whole numbers 0-255 [n, h, w, channels]."""
    n, height, width, channels = shape
    value = 127.5
    for side, weight in ((32, 56), (8, 48), (1, 23)):
        blocks = uniform(f"blocks of {side}", (n, -(-height // side), -(-width // side), channels))
        value = value + weight * blocks.repeat(side, 1).repeat(side, 2)[:, :height, :width]
    return np.rint(value).astype("float32")
