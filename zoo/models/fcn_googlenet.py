"""FCN-GoogLeNet: 32-pixel scores of a fully convolutional GoogLeNet, up-sampled at once.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017,
Section 4.1 and Table 1, which gives it 22 layers, 6 million parameters, a receptive field of 907
pixels and a stride of 32. The trunk is that of Szegedy et al., "Going Deeper with Convolutions",
CVPR 2015, Table 1, as `models/bvlc_googlenet` in github.com/BVLC/caffe has it, whose weights it
takes. Layers have the names there, with `_` in the place of `/`, which Keras does not allow.

The authors announced this net and published neither its definition nor its weights. So this is our
reading of the paper:
- The trunk ends with the average pooling of 7 × 7, at a stride of 1: without it the receptive field
  would be 715, and with it it is the 907 of Table 1. But the text says that the authors discarded
  this pooling, and that it helped: that is `final_pooling="none"`.
- The classifier becomes a 1 × 1 convolution to the classes that starts at zero, as in the authors'
  other nets, and only the last of GoogLeNet's three losses stays, as the text says. Dropout is 0.4,
  as in GoogLeNet.
- The image gets a border of 114 pixels in the place of conv1's 3, as the authors' other nets have
  one of 100. It is the smallest with which the window of 7 fits at any image size, even 1 × 1.
- The up-sampling is a bilinear one of 63 × 63, as in FCN-AlexNet: with 64 the scores would lie half
  a pixel aside. Where the crop begins follows from all windows, strides and pads.

Deviation: without `encoder_weights` the trunk starts He-normal; BVLC's starts with Glorot's
initialization and biases of 0.2.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from zoo.layers import CaffeMaxPooling, LocalResponseNormalization
from zoo.models.builder import builder
from zoo.models.fcn import Head, score, upscore
from zoo.models.inputs import image_input, subtract_mean
from zoo.weights.filling import load

# The mean red, green and blue of BVLC's training images.
MEAN = (123.0, 117.0, 104.0)
BORDER = 114

# "Going Deeper with Convolutions", Table 1: the filters of each inception module, of 1 × 1, before
# 3 × 3, 3 × 3, before 5 × 5, 5 × 5, and after the pooling. `None` is a pooling at a stride of 2.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "pool3": None,
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "pool4": None,
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# Where the crop begins: 31 is the middle of the kernel of 63, and the first score lies 129 - 114
# pixels within the image, 33 - 114 where no pooling is between.
HEADS = {
    "average": Head(skips=(), upscore="upscore", kernel=63, stride=32, crop=31 - (129 - BORDER)),
    "none": Head(skips=(), upscore="upscore", kernel=63, stride=32, crop=31 - (33 - BORDER)),
}
CHOICES = {
    "final_pooling": {
        "average": "a receptive field of 907, as in the paper's Table 1",
        "none": "discarded, as in the paper's text",
    }
}


def _parameters_at_most(options: Mapping[str, Any]) -> int:
    # The authors' 64 filters give 6.0 million.
    filters = options["filters"]
    return (
        49 * options["channels"] * filters
        + 1600 * filters**2
        + 17 * filters * (options["classes"] + 1)
    )


@builder(mean=MEAN, choices=CHOICES, bound=_parameters_at_most)
def fcn_googlenet(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    filters: int = 64,
    final_pooling: str = "average",
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn_googlenet",
) -> keras.Model:
    """Builds FCN-GoogLeNet.

    32-pixel scores of nine inception modules, up-sampled at once.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: A file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        filters: Of conv1; all other layers have theirs in proportion. The default is GoogLeNet's.
        final_pooling: "average", over 7 × 7 features, or "none".
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            BVLC's, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as BVLC's net takes BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    x = keras.layers.ZeroPadding2D(BORDER, name=f"pad{BORDER}")(x)
    x = _googlenet(x, filters=filters)
    if final_pooling == "average":
        x = keras.layers.AveragePooling2D(7, strides=1, name="pool5_7x7_s1")(x)
    x = keras.layers.Dropout(0.4, name="pool5_drop_7x7_s1")(x)
    x = score(x, classes, "score_fr")
    model = keras.Model(image, upscore(HEADS[final_pooling], image, x), name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _googlenet(x: keras.KerasTensor, *, filters: int) -> keras.KerasTensor:
    """The trunk up to the output of the last inception module, `inception_5b`.

    Args:
        x: The image, preprocessed and with its border.
        filters: Of conv1.
    """

    def width(authors: int) -> int:
        return max(1, authors * filters // 64)

    x = _conv(x, filters, 7, "conv1_7x7_s2", strides=2, padding="valid")
    x = CaffeMaxPooling(3, strides=2, name="pool1_3x3_s2")(x)
    x = LocalResponseNormalization(name="pool1_norm1")(x)
    x = _conv(x, width(64), 1, "conv2_3x3_reduce")
    x = _conv(x, width(192), 3, "conv2_3x3")
    x = LocalResponseNormalization(name="conv2_norm2")(x)
    x = CaffeMaxPooling(3, strides=2, name="pool2_3x3_s2")(x)
    for module, widths in MODULES.items():
        if widths is None:
            x = CaffeMaxPooling(3, strides=2, name=f"{module}_3x3_s2")(x)
        else:
            x = _inception(x, tuple(map(width, widths)), f"inception_{module}")
    return x


def _inception(x: keras.KerasTensor, widths: tuple[int, ...], name: str) -> keras.KerasTensor:
    """Convolutions of three sizes and a pooling, side by side: Figure 2(b)."""
    one, before_three, three, before_five, five, after_pool = widths
    pool = keras.layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    return keras.layers.Concatenate(name=f"{name}_output")(
        [
            _conv(x, one, 1, f"{name}_1x1"),
            _conv(_conv(x, before_three, 1, f"{name}_3x3_reduce"), three, 3, f"{name}_3x3"),
            _conv(_conv(x, before_five, 1, f"{name}_5x5_reduce"), five, 5, f"{name}_5x5"),
            _conv(pool, after_pool, 1, f"{name}_pool_proj"),
        ]
    )


def _conv(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    strides: int = 1,
    padding: str = "same",
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )(x)
