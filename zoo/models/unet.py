"""U-Net: an encoder and a decoder of valid convolutions, joined by cropped skips.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, Figure 1; layer names of the authors' Caffe release of 2015.

Deviations:
- `border="mirror"`, the default, mirrors the image at its border (the paper's overlap-tile
  strategy, Figure 2), so that the scores have the size of the image. `border="valid"` is the
  paper's tile, whose scores are smaller than the image: 572 → 388.
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

import keras

from zoo.layers import CropLike, MirrorPadding, ValidTile
from zoo.models.builder import builder
from zoo.models.inputs import image_input
from zoo.weights.filling import load

CHOICES = {
    "border": {"mirror": "any image size", "valid": "the paper's tile"},
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
        border: "mirror" for images of any size, or "valid", the paper's tile.
        definition: "paper", Figure 1, or "release", the authors' Caffe files.
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
    else:
        x = ValidTile(depth, dtype="float32", name="tile")(image)
    x = keras.layers.Rescaling(1 / 255, dtype="float32", name="d0a")(x)

    skips = []
    for level in range(depth + 1):
        x = _conv(x, filters * 2**level, 3, f"conv_d{level}a-b")
        x = _conv(x, filters * 2**level, 3, f"conv_d{level}b-c")
        if level >= depth - 1:
            x = keras.layers.Dropout(dropout, name=f"dropout_d{level}c")(x)
        if level < depth:
            skips.append(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool_d{level}c-{level + 1}a")(x)

    below = f"d{depth}c"
    release = definition == "release"
    for level in reversed(range(depth)):
        x = keras.layers.Conv2DTranspose(
            2 * filters if release and level == 0 else filters * 2**level,
            2,
            strides=2,
            activation="relu" if release else None,
            # Windows of 2 at stride 2 do not overlap, so each output sees one position.
            kernel_initializer=_he(fan_in=x.shape[-1]),
            name=f"upconv_{below}_u{level}a",
        )(x)
        # Pixels lost on each side by the convolutions of all levels below: 4, 16, 40, …
        margin = 12 * 2 ** (depth - 1 - level) - 8
        skip = keras.layers.Cropping2D(margin, name=f"crop_d{level}c-d{level}cc")(skips[level])
        both = [x, skip] if release else [skip, x]
        x = keras.layers.Concatenate(name=f"concat_d{level}cc_u{level}a-b")(both)
        x = _conv(x, filters * 2**level, 3, f"conv_u{level}b-c")
        x = _conv(x, filters * 2**level, 3, f"conv_u{level}c-d")
        below = f"u{level}d"
    x = _conv(x, classes, 1, "conv_u0d-score", activation=None, dtype="float32")
    if border == "mirror":
        x = CropLike(0, dtype="float32", name="score")(x, image)
    model = keras.Model(image, x, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _conv(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    activation: str | None = "relu",
    dtype: str | None = None,
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        size,
        activation=activation,
        kernel_initializer=_he(fan_in=size * size * x.shape[-1]),
        dtype=dtype,
        name=name,
    )(x)


def _he(*, fan_in: int) -> keras.initializers.Initializer:
    """A Gaussian of standard deviation √(2 / N), where N nodes feed one neuron (Section 3)."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2 / fan_in))
