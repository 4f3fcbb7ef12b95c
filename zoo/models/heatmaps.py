"""ImageNet classifiers as fully convolutional nets, which give a heat map for each class.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017,
Figure 2: with its fully connected layers as convolutions, a classifier takes an image of any size,
and its answer becomes a coarse map of each class. VGG-16 and VGG-19 are those of Simonyan and
Zisserman, ICLR 2015, Table 1, D and E; CaffeNet is `bvlc_reference_caffenet` in
github.com/BVLC/caffe. Layers are named fc6, fc7 and fc8 as there.

Of an image of the classifier's own size, 224 × 224 (CaffeNet: 227 × 227), the one cell of the map
is the classifier's answer. Each further cell is that of the window 32 pixels on, but that the net
sees the image beyond the window there, and not zeros.

Deviations:
- No padding of 100 pixels, which the FCNs have: the map's cells are the classifier's windows.
- A side that is shorter than the window is padded with zeros, after the mean is subtracted, at the
  bottom or right. So an image of any size has an answer, if of 1 × 1 pixels, too.
- An image's last rows and columns count where they fill a window in part, because Caffe's pooling
  rounds sizes up.
- The answer is scores, before the softmax.
"""

import dataclasses
import os
from collections.abc import Sequence

import keras

from zoo.layers import PadToMultiple
from zoo.models import alexnet as alexnet_trunk
from zoo.models import vgg as vgg_trunk
from zoo.models.builder import builder
from zoo.models.fcn import classifier
from zoo.models.inputs import image_input, subtract_mean
from zoo.spec import MAX_CLASSES
from zoo.weights.filling import load

# The mean red, green and blue of the Oxford group's training images. CaffeNet's is the FCNs'.
VGG_MEAN = (123.68, 116.779, 103.939)


@dataclasses.dataclass(frozen=True)
class Trunk:
    """What differs between the nets: the side of the window, and of the kernel of fc6 in pool5."""

    window: int
    kernel: int


TRUNKS = {
    "vgg16": Trunk(window=224, kernel=7),
    "vgg19": Trunk(window=224, kernel=7),
    "caffenet": Trunk(window=227, kernel=6),
}


@builder(most_classes=MAX_CLASSES, mean=VGG_MEAN)
def vgg16_heatmap(
    *,
    classes: int = 1000,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "vgg16_heatmap",
) -> keras.Model:
    """Builds the heat map net of VGG-16.

    VGG-16 as a convolutional classifier: a coarse heat map for each of 1000 classes.

    Args:
        classes: Number of classes, 2 to 1000; the default is ImageNet's.
        weights: "imagenet" or a file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        stages: Number of filters in each of the five stages; the default is the authors'.
        fc_filters: Number of filters in fc6 and fc7; the default is the authors'.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors', and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' net takes BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32
        `[n, rows, columns, classes]`, a row for each 32 pixels and one at least.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _heatmap(
        "vgg16",
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        name=name,
    )


@builder(most_classes=MAX_CLASSES, mean=VGG_MEAN)
def vgg19_heatmap(
    *,
    classes: int = 1000,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "vgg19_heatmap",
) -> keras.Model:
    """Builds the heat map net of VGG-19.

    VGG-19 as a convolutional classifier: a coarse heat map for each of 1000 classes.

    Args:
        classes: Number of classes, 2 to 1000; the default is ImageNet's.
        weights: "imagenet" or a file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        stages: Number of filters in each of the five stages; the default is the authors'.
        fc_filters: Number of filters in fc6 and fc7; the default is the authors'.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors', and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' net takes BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32
        `[n, rows, columns, classes]`, a row for each 32 pixels and one at least.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _heatmap(
        "vgg19",
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        name=name,
    )


@builder(most_classes=MAX_CLASSES)
def caffenet_heatmap(
    *,
    classes: int = 1000,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: Sequence[int] = alexnet_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "caffenet_heatmap",
) -> keras.Model:
    """Builds the heat map net of CaffeNet.

    CaffeNet as a convolutional classifier: a coarse heat map for each of 1000 classes.

    Args:
        classes: Number of classes, 2 to 1000; the default is ImageNet's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: A file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        stages: Number of filters in each of the five stages; the default is the authors'.
        fc_filters: Number of filters in fc6 and fc7; the default is the authors'.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors', and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' net takes BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32
        `[n, rows, columns, classes]`, a row for each 32 pixels and one at least.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _heatmap(
        "caffenet",
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        name=name,
    )


def _heatmap(
    trunk: str,
    *,
    classes: int,
    weights: str | os.PathLike | None,
    encoder_weights: str | os.PathLike | None,
    channels: int,
    stages: Sequence[int],
    fc_filters: int,
    mean: Sequence[float],
    channel_order: Sequence[int],
    name: str,
) -> keras.Model:
    row = TRUNKS[trunk]
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    x = PadToMultiple(1, minimum=row.window, name="pad")(x)
    if trunk == "caffenet":
        x = alexnet_trunk.alexnet(x, stages=stages)
    else:
        x = vgg_trunk.vgg(x, trunk=trunk, stages=stages, padding="same")["pool5"]
    x = classifier(x, kernel=row.kernel, fc_filters=fc_filters)
    scores = keras.layers.Conv2D(
        classes, 1, kernel_initializer="he_normal", dtype="float32", name="fc8"
    )(x)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)
