"""A fully convolutional network at the resolution of the image: convolutions alone, no pooling.

The second step of the way to U-Net, after the sliding window: "Detection and Segmentation",
Lecture 11 of CS231n, Stanford 2017. Each convolution sees only one more pixel on each side, and its
features have the size of the image: memory and time grow with every layer, the field of view hardly
does.

The lecture draws the net and gives no numbers. Ours: `filters` as at the first level of U-Net,
ReLU, He's initialization, and a last convolution of 1 × 1.
"""

import os
from collections.abc import Mapping
from typing import Any

import keras

from zoo.models.builder import builder
from zoo.models.inputs import image_input
from zoo.weights.filling import load

MAX_DEPTH = 100


def most_parameters(options: Mapping[str, Any]) -> int:
    """A bound on the parameters of a model, from its checked options; it builds nothing."""
    channels, filters, depth = (options[name] for name in ("channels", "filters", "depth"))
    return filters * (9 * channels + (9 * filters + 1) * depth + options["classes"] + 1)


@builder(bound=most_parameters)
def fullres(
    *,
    classes: int = 2,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    filters: int = 64,
    depth: int = 8,
    name: str = "fullres",
) -> keras.Model:
    """Builds a net of convolutions at the resolution of the image.

    `depth` convolutions of 3 × 3, each of `filters`, without pooling.

    Args:
        classes: Number of classes, 2 to 255, the background included.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: A file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        filters: Of each convolution.
        depth: Number of convolutions of 3 × 3, at most 100. A score sees a square of
            `2 * depth + 1` pixels.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    if depth > MAX_DEPTH:
        raise ValueError(
            f"depth is a number of convolutions, at most {MAX_DEPTH}; received {depth}. Pass "
            "depth=8, for example."
        )
    image = image_input(channels)
    x = keras.layers.Rescaling(1 / 255, dtype="float32", name="rescale")(image)
    for index in range(1, depth + 1):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"conv_{index}",
        )(x)
    scores = keras.layers.Conv2D(
        classes, 1, kernel_initializer="he_normal", dtype="float32", name="score"
    )(x)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)
