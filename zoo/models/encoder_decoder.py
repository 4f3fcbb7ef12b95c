"""An encoder and a decoder without skips: down and up again, in each way that is taught.

The third step of the way to U-Net: "Detection and Segmentation", Lecture 11 of CS231n, Stanford
2017, which names two ways down and four of the ways up. It gives no numbers. Ours are those of
`unet`: at the same `filters` and `depth`, a level has the same width and the same two convolutions
of 3 × 3. What a comparison of the two shows is the skips.

Down, between two levels, a side of `s` becomes `ceil(s / 2)`:
- `downsampling="pooling"`: the maximum of windows of 2 × 2, as in `unet`.
- `downsampling="strided"`: a convolution of 3 × 3 at stride 2 and pad 1, of the same width.

Up, a side is doubled, and cropped at its end to what it was on the way down, so that an image has
any size. What has no weights comes after a convolution of 1 × 1, which narrows the features to the
width of the level above, as a transposed convolution does by itself:
- `upsampling="nearest"`: each value fills its window of 2 × 2 (`keras.layers.UpSampling2D`).
- `upsampling="bed_of_nails"`: each value at the top left of its window, zeros elsewhere.
- `upsampling="max_unpooling"`: each value where the maximum of the pooling was, zeros elsewhere.
- `upsampling="transposed"`: a transposed convolution of 3 × 3 at stride 2 and pad 1. It is a bed of
  nails and a convolution of 3 × 3 in one. Its kernel is no multiple of its stride: of four pixels
  one gets the sum of four products, two get that of two, and one gets a single one, which an
  untrained net shows as a checkerboard. The up-convolution of `unet`, 2 × 2 at stride 2, does not
  overlap.
- `upsampling="bilinear"`: a fixed mix of the four nearest values, as in the FCNs
  (`zoo.layers.BilinearUpsampling`): a transposed convolution of 4 × 4 at stride 2 and pad 1 that is
  not learned. Its kernel is a multiple of its stride. `keras.layers.UpSampling2D` cannot mix in a
  graph for images of any size.

Max-unpooling is also what DeconvNet and SegNet do; what a bed of nails lacks are the places.
"""

import os

import keras

from zoo.layers import (
    BedOfNailsUnpooling,
    BilinearUpsampling,
    CropLike,
    MaxPoolingWithArgmax,
    MaxUnpooling,
)
from zoo.models.builder import builder
from zoo.models.inputs import image_input
from zoo.weights.filling import load

CHOICES = {
    "downsampling": {
        "pooling": "the maximum of each 2 × 2 pixels",
        "strided": "a convolution at stride 2",
    },
    "upsampling": {
        "nearest": "each value fills its window",
        "bed_of_nails": "each value at the top left of its window",
        "max_unpooling": "each value where the maximum was",
        "transposed": "a transposed convolution at stride 2",
        "bilinear": "a mix of the nearest values",
    },
}


@builder(choices=CHOICES)
def encoder_decoder(
    *,
    classes: int = 2,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    filters: int = 64,
    depth: int = 4,
    downsampling: str = "pooling",
    upsampling: str = "nearest",
    name: str = "encoder_decoder",
) -> keras.Model:
    """Builds an encoder and a decoder without skips.

    Down and up again by a choice of layers; widths and `depth` as in U-Net, and no skips.

    Args:
        classes: Number of classes, 2 to 255, the background included.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: A file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        filters: At the first level; each level has twice those of the level above.
        depth: Number of times that the resolution is halved.
        downsampling: "pooling" or "strided".
        upsampling: "nearest", "bed_of_nails", "max_unpooling" (with pooling only), "transposed" or
            "bilinear".
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    if (downsampling, upsampling) == ("strided", "max_unpooling"):
        raise ValueError(
            "Max-unpooling puts values back to where the maxima of a pooling were, and a strided "
            "convolution has none; received downsampling='strided' with "
            "upsampling='max_unpooling'. Pass downsampling='pooling', or another upsampling, such "
            "as 'transposed'."
        )
    image = image_input(channels)
    x = keras.layers.Rescaling(1 / 255, dtype="float32", name="rescale")(image)

    levels = []  # of each but the lowest: its features, and the switches of their pooling
    for level in range(depth + 1):
        width = filters * 2**level
        x = _conv(x, width, f"conv_d{level}_1")
        x = _conv(x, width, f"conv_d{level}_2")
        if level == depth:
            break
        before, switches = x, None
        if downsampling == "strided":
            # Padded here: Keras's "same" would pad images of even and odd sizes at other sides.
            x = keras.layers.ZeroPadding2D(1, name=f"pad_d{level}")(x)
            x = _conv(x, width, f"down_d{level}", strides=2, padding="valid")
        elif upsampling == "max_unpooling":
            x, switches = MaxPoolingWithArgmax(name=f"pool_d{level}")(x)
        else:
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool_d{level}")(x)
        levels.append((before, switches))

    for level in reversed(range(depth)):
        before, switches = levels[level]
        x = _doubled(x, upsampling, level, width=filters * 2**level, switches=switches)
        pad = int(upsampling in ("transposed", "bilinear"))
        x = CropLike(pad, name=f"crop_u{level}")(x, before)
        x = _conv(x, filters * 2**level, f"conv_u{level}_1")
        x = _conv(x, filters * 2**level, f"conv_u{level}_2")
    scores = _conv(x, classes, "score", size=1, activation=None, dtype="float32")
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _doubled(
    x: keras.KerasTensor,
    upsampling: str,
    level: int,
    *,
    width: int,
    switches: keras.KerasTensor | None,
) -> keras.KerasTensor:
    """Features of twice the height and width, and of the width of the level above.

    Those of the two transposed convolutions begin one pixel earlier, and end later: their pad.
    """
    if upsampling == "transposed":
        return keras.layers.Conv2DTranspose(
            width,
            3,
            strides=2,
            kernel_initializer="he_normal",
            name=f"upconv_u{level}",
        )(x)
    x = _conv(x, width, f"narrow_u{level}", size=1, activation=None)
    name = f"up_u{level}"
    if upsampling == "max_unpooling":
        return MaxUnpooling(name=name)(x, switches)
    if upsampling == "bed_of_nails":
        return BedOfNailsUnpooling(name=name)(x)
    if upsampling == "bilinear":
        return BilinearUpsampling(2, name=name)(x)
    return keras.layers.UpSampling2D(2, name=name)(x)


def _conv(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    *,
    size: int = 3,
    strides: int = 1,
    padding: str = "same",
    activation: str | None = "relu",
    dtype: str | None = None,
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        activation=activation,
        kernel_initializer="he_normal",
        dtype=dtype,
        name=name,
    )(x)
