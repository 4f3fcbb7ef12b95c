"""U-Net: an encoder and a decoder of valid convolutions, joined by cropped skips.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, Figure 1; layer names of the authors' Caffe release of 2015.

Deviations:
- `border="mirror"`, the default, mirrors the image at its border (the paper's overlap-tile
  strategy, Figure 2), so that the scores have the size of the image. `border="valid"` is the
  paper's tile, whose scores are smaller than the image: 572 → 388. `border="same"` is what most
  re-implementations do: convolutions pad with zeros, so that no pixel is lost and nothing is
  cropped; an image is padded with zeros at the bottom and right, to a multiple of `2 ** depth`. It
  computes 3.0 times fewer pixels for an image of 256 × 256 (256² instead of 444²). A net that was
  trained with the other borders is another function with this one.
- `batch_norm=True`: a batch normalization between each 3 × 3 convolution and its ReLU, in the place
  of the bias. The paper has none.
- Dropout is on the two deepest levels, as in the release; the paper only says "at the end of the
  contracting path".
- Paper and release differ. `definition="paper"`, the default, follows Figure 1: no ReLU after an
  up-convolution, each up-convolution halves the features, and the concatenation begins with the
  skip. `definition="release"` fits the weights of the authors' Caffe release (phseg_v5): a ReLU
  after each up-convolution, the last one keeps the number of features, and the concatenation ends
  with the skip.
"""

import math
import os
from typing import Any

import keras

from zoo.layers import CropLike, MirrorPadding, PadToMultiple, ValidTile
from zoo.models.builder import builder
from zoo.models.inputs import image_input
from zoo.weights.filling import load

CHOICES = {
    "border": {
        "mirror": "any image size",
        "valid": "the paper's tile",
        "same": "any image size, padded with zeros",
    },
    "definition": {"paper": "Figure 1", "release": "the authors' Caffe files"},
}


@builder(choices=CHOICES)
def unet(
    *,
    classes: int = 2,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    filters: int = 64,
    depth: int = 4,
    dropout: float = 0.5,
    border: str = "mirror",
    definition: str = "paper",
    batch_norm: bool = False,
    name: str = "unet",
) -> keras.Model:
    """Builds U-Net.

    A valid encoder and decoder with skips; `depth` levels, `filters` at the first.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is the paper's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: A file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        filters: At the first level; each level has twice those of the level above. The default is
            Figure 1's.
        depth: Number of poolings; the default is Figure 1's.
        dropout: Fraction of features to drop, from 0 to below 1; the default is the release's.
        border: "mirror" for images of any size; "valid", the paper's tile; or "same", for images of
            any size, whose convolutions pad with zeros.
        definition: "paper", Figure 1, or "release", the authors' Caffe files.
        batch_norm: Normalizes the features between each 3 × 3 convolution and its ReLU.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.
        With `border="valid"`, the scores are smaller: see `zoo.layers.ValidTile`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    image = image_input(channels)
    if border == "mirror":
        x = MirrorPadding(depth, dtype="float32", name="mirror")(image)
    elif border == "valid":
        x = ValidTile(depth, dtype="float32", name="tile")(image)
    else:
        x = PadToMultiple(2**depth, dtype="float32", name="pad")(image)
    x = keras.layers.Rescaling(1 / 255, dtype="float32", name="d0a")(x)
    padding = "same" if border == "same" else "valid"

    skips = []
    for level in range(depth + 1):
        for step in ("a-b", "b-c"):
            x = _conv(x, filters * 2**level, f"d{level}{step}", padding, batch_norm)
        if level >= depth - 1:
            x = keras.layers.Dropout(dropout, name=f"dropout_d{level}c")(x)
        if level < depth:
            skips.append(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool_d{level}c-{level + 1}a")(x)

    below = f"d{depth}c"
    release = definition == "release"
    for level in reversed(range(depth)):
        x = up_convolution(
            x,
            2 * filters if release and level == 0 else filters * 2**level,
            f"upconv_{below}_u{level}a",
            activation="relu" if release else None,
        )
        skip = skips[level]
        if padding == "valid":
            # Pixels lost on each side by the convolutions of all levels below: 4, 16, 40, …
            margin = 12 * 2 ** (depth - 1 - level) - 8
            skip = keras.layers.Cropping2D(margin, name=f"crop_d{level}c-d{level}cc")(skip)
        both = [x, skip] if release else [skip, x]
        x = keras.layers.Concatenate(name=f"concat_d{level}cc_u{level}a-b")(both)
        for step in ("b-c", "c-d"):
            x = _conv(x, filters * 2**level, f"u{level}{step}", padding, batch_norm)
        below = f"u{level}d"
    x = convolution(x, classes, 1, "conv_u0d-score", activation=None, dtype="float32")
    if border != "valid":
        x = CropLike(0, dtype="float32", name="score")(x, image)
    model = keras.Model(image, x, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _conv(
    x: keras.KerasTensor, filters: int, name: str, padding: str, batch_norm: bool
) -> keras.KerasTensor:
    """A 3 × 3 convolution and its ReLU."""
    conv = f"conv_{name}"
    if not batch_norm:
        return convolution(x, filters, 3, conv, padding=padding)
    x = convolution(x, filters, 3, conv, padding=padding, activation=None, use_bias=False)
    x = keras.layers.BatchNormalization(name=f"bn_{name}")(x)
    return keras.layers.ReLU(name=f"relu_{name}")(x)


def convolution(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    activation: str | None = "relu",
    **options: Any,
) -> keras.KerasTensor:
    """A convolution that starts as the paper's; `options` are Keras's."""
    return keras.layers.Conv2D(
        filters,
        size,
        activation=activation,
        kernel_initializer=_he(fan_in=size * size * x.shape[-1]),
        name=name,
        **options,
    )(x)


def up_convolution(
    x: keras.KerasTensor, filters: int, name: str, *, activation: str | None = None
) -> keras.KerasTensor:
    """The paper's up-convolution, 2 × 2 at a stride of 2."""
    return keras.layers.Conv2DTranspose(
        filters,
        2,
        strides=2,
        activation=activation,
        # Windows of 2 at stride 2 do not overlap, so each output sees one position.
        kernel_initializer=_he(fan_in=x.shape[-1]),
        name=name,
    )(x)


def _he(*, fan_in: int) -> keras.initializers.Initializer:
    """A Gaussian of standard deviation √(2 / N), where N nodes feed one neuron (Section 3)."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2 / fan_in))
