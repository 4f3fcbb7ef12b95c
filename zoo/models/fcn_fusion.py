"""FCN-32s for colour and depth: the authors' nets of early and late fusion for NYUDv2.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017,
Section 5; every layer as in `nyud-fcn32s-color-d` and `nyud-fcn32s-color-hha` in
github.com/shelhamer/fcn.berkeleyvision.org. Deviations: those of `zoo.models.fcn`.
"""

import os
from collections.abc import Sequence

import keras

from zoo.models import vgg as vgg_trunk
from zoo.models.builder import builder
from zoo.models.fcn import CHOICES, HEADS, classifier, decode, score, upscore
from zoo.models.inputs import image_input, subtract_mean
from zoo.weights.filling import load
from zoo.weights.trunks import Paths

# The authors' means for NYUDv2: red, green and blue, and the logarithm of the depth in millimetres.
MEAN = (92.318, 97.203, 116.190)
MEAN_LOG_DEPTH = 7.844


@builder(
    choices={"trunk": CHOICES["trunk"]}, mean=(*MEAN, MEAN_LOG_DEPTH), channel_order=(2, 1, 0, 3)
)
def fcn32s_early_fusion(
    *,
    classes: int = 40,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 4,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn32s_early_fusion",
) -> keras.Model:
    """Builds FCN-32s with early fusion: the depth is a channel of the image.

    FCN-32s on RGB and the logarithm of the depth.

    Args:
        classes: Number of classes, 2 to 255; the default is NYUDv2's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: red, green, blue, and the natural logarithm of the depth in
            millimetres.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for NYUDv2.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, and the depth is the last.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]` → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    x = keras.layers.ZeroPadding2D(100, name="pad100")(x)
    pools = vgg_trunk.vgg(x, trunk=trunk, stages=stages, first="conv1_1_bgrd")
    x = classifier(pools["pool5"], kernel=7, fc_filters=fc_filters)
    scores = decode(HEADS["fcn32s"], image, x, pools=pools, classes=classes)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


@builder(choices={"trunk": CHOICES["trunk"]}, mean=MEAN)
def fcn32s_late_fusion(
    *,
    classes: int = 40,
    weights: str | os.PathLike | None = None,
    encoder_weights: Paths | None = None,
    channels: int = 3,
    hha_channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    hha_mean: Sequence[float] | None = None,
    name: str = "fcn32s_late_fusion",
) -> keras.Model:
    """Builds FCN-32s with late fusion: a trunk for colour and one for HHA.

    The mean of the 32-pixel scores of two FCN-32s, up-sampled at once.

    Args:
        classes: Number of classes, 2 to 255; the default is NYUDv2's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for both trunks, or `{"color": …, "hha": …}`; see
            `zoo.weights.load`.
        channels: Of the colour image.
        hha_channels: Of the HHA image: disparity, height above ground and angle with gravity.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel of the colour image, 0-255, in its order; by
            default the authors' for NYUDv2.
        channel_order: Which channel of the colour image the net takes first, second, and so on. By
            default RGB is reversed.
        hha_mean: A number to subtract from each channel of the HHA image; by default the authors'.
        name: The name of the model.

    Returns:
        The model: a dict of `color` float32 `[n, h, w, channels]` and `hha`
        `[n, h, w, hha_channels]`, 0-255, of one size → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    images = {"color": image_input(channels, "color"), "hha": image_input(hha_channels, "hha")}
    orders = {"color": channel_order, "hha": range(hha_channels)}
    means = {"color": mean, "hha": hha_mean}
    coarse = []
    for one, image in images.items():
        x = subtract_mean(image, mean=means[one], channel_order=orders[one], suffix=one)
        x = keras.layers.ZeroPadding2D(100, name=f"pad100{one}")(x)
        pools = vgg_trunk.vgg(x, trunk=trunk, stages=stages, suffix=one)
        x = classifier(pools["pool5"], kernel=7, fc_filters=fc_filters, suffix=one)
        coarse.append(score(x, classes, f"score_fr{one}"))
    fused = keras.layers.Average(name="score_fused")(coarse)
    scores = upscore(HEADS["fcn32s"], images["color"], fused)
    model = keras.Model(images, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)
