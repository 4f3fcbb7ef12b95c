"""U-Net on VGG-16: the trunk of the classifier as its encoder, which starts from ImageNet.

A variant that its users made and no paper's net to the unit. Its parts, with their sources:

- The encoder: the 13 convolutions and 5 poolings of Simonyan and Zisserman, "Very Deep
  Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, Table 1, D, under their
  names, with the authors' preprocessing. In front of each pooling a skip begins, as Iglovikov and
  Shvets do with VGG-11 in "TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet",
  arXiv:1801.05746, Figure 1.
- The bottom and the decoder: U-Net's (Ronneberger, Fischer and Brox, MICCAI 2015, Figure 1). Two
  3 × 3 convolutions at each level; a 2 × 2 up-convolution without a ReLU, and the skip before its
  features. TernausNet has one 3 × 3 convolution at the bottom and at each level.

Deviations from U-Net:
- All convolutions pad with zeros, as VGG's do, so that no pixel is lost and nothing is cropped. An
  image is padded at the bottom and right, to a multiple of 32, behind the preprocessing.
- The widths are VGG's. The bottom is as wide as the last stage, and no level is wider.
- There is no dropout.
- Without `encoder_weights` the encoder starts He-normal.
"""

import os
from collections.abc import Sequence

import keras

from zoo.layers import CropLike, PadToMultiple
from zoo.models.builder import builder
from zoo.models.inputs import image_input, subtract_mean
from zoo.models.unet import convolution, up_convolution
from zoo.models.vgg import CONVOLUTIONS, WIDTHS, vgg
from zoo.weights.filling import load

TRUNK = "vgg16"


@builder
def unet_vgg16(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: Sequence[int] = WIDTHS,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "unet_vgg16",
) -> keras.Model:
    """Builds U-Net on VGG-16.

    VGG-16 as the encoder of a U-Net: a skip in front of each pooling, a decoder that mirrors it.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        stages: Number of filters in each of the five stages; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            that of the FCNs' authors for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as VGG takes BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    # The mean colour, as the convolutions pad with it.
    x = PadToMultiple(32, dtype="float32", name="pad")(x)
    encoder = vgg(x, trunk=TRUNK, stages=stages, padding="same")
    x = _two(encoder["pool5"], stages[4], "bottom")
    for stage in (5, 4, 3, 2, 1):
        x = up_convolution(x, stages[stage - 1], f"upconv{stage}")
        skip = encoder[f"conv{stage}_{CONVOLUTIONS[TRUNK][stage - 1]}"]
        x = keras.layers.Concatenate(name=f"concat{stage}")([skip, x])
        x = _two(x, stages[stage - 1], f"up{stage}")
    x = convolution(x, classes, 1, "up-score", activation=None, dtype="float32")
    scores = CropLike(0, dtype="float32", name="score")(x, image)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _two(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """The two 3 × 3 convolutions of a level, each with its ReLU."""
    for index in (1, 2):
        x = convolution(x, filters, 3, f"{name}_{index}", padding="same")
    return x
