"""FCN-32s, FCN-16s and FCN-8s with two heads: the authors' nets for SIFT Flow.

One trunk answers for the semantic and for the geometric class of each pixel. Shelhamer, Long and
Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017, Section 5; every layer
as in `siftflow-fcn32s`, `siftflow-fcn16s` and `siftflow-fcn8s` in
github.com/shelhamer/fcn.berkeleyvision.org, where the names of a head's layers end in `_sem` or
`_geo`. Deviations: those of `zoo.models.fcn`.
"""

import os
from collections.abc import Sequence

import keras

from zoo.models import vgg as vgg_trunk
from zoo.models.builder import builder
from zoo.models.fcn import CHOICES, HEADS, classifier, decode
from zoo.models.inputs import image_input, subtract_mean
from zoo.weights.filling import load

# The mean red, green and blue of the authors' data layer for SIFT Flow.
MEAN = (108.353, 115.294, 114.578)


@builder(choices={"trunk": CHOICES["trunk"]}, mean=MEAN)
def fcn32s_two_heads(
    *,
    classes: int = 33,
    geometric_classes: int = 3,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn32s_two_heads",
) -> keras.Model:
    """Builds FCN-32s with two heads.

    32-pixel scores of a fully convolutional VGG, for two sets of classes.

    Args:
        classes: Number of semantic classes, 2 to 255; the default is SIFT Flow's.
        geometric_classes: Number of geometric classes, 2 to 255; the default is SIFT Flow's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for SIFT Flow, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → a dict of scores:
        `semantic` float32 `[n, h, w, classes]` and `geometric` `[n, h, w, geometric_classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _two_heads(
        "fcn32s",
        classes={"semantic": classes, "geometric": geometric_classes},
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        name=name,
    )


@builder(choices={"trunk": CHOICES["trunk"]}, mean=MEAN)
def fcn16s_two_heads(
    *,
    classes: int = 33,
    geometric_classes: int = 3,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn16s_two_heads",
) -> keras.Model:
    """Builds FCN-16s with two heads.

    FCN-32s with two heads, the scores of pool4 added at 16 pixels in each.

    Args:
        classes: Number of semantic classes, 2 to 255; the default is SIFT Flow's.
        geometric_classes: Number of geometric classes, 2 to 255; the default is SIFT Flow's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for SIFT Flow, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → a dict of scores:
        `semantic` float32 `[n, h, w, classes]` and `geometric` `[n, h, w, geometric_classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _two_heads(
        "fcn16s",
        classes={"semantic": classes, "geometric": geometric_classes},
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        name=name,
    )


@builder(choices={"trunk": CHOICES["trunk"]}, mean=MEAN)
def fcn8s_two_heads(
    *,
    classes: int = 33,
    geometric_classes: int = 3,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn8s_two_heads",
) -> keras.Model:
    """Builds FCN-8s with two heads.

    FCN-16s with two heads, the scores of pool3 added at 8 pixels in each.

    Args:
        classes: Number of semantic classes, 2 to 255; the default is SIFT Flow's.
        geometric_classes: Number of geometric classes, 2 to 255; the default is SIFT Flow's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for SIFT Flow, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → a dict of scores:
        `semantic` float32 `[n, h, w, classes]` and `geometric` `[n, h, w, geometric_classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _two_heads(
        "fcn8s",
        classes={"semantic": classes, "geometric": geometric_classes},
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        name=name,
    )


def _two_heads(
    row: str,
    *,
    classes: dict[str, int],
    weights: str | os.PathLike | None,
    encoder_weights: str | os.PathLike | None,
    channels: int,
    trunk: str,
    stages: Sequence[int],
    fc_filters: int,
    mean: Sequence[float],
    channel_order: Sequence[int],
    name: str,
) -> keras.Model:
    """The FCN with this row's skips and up-samplings, all of them once for each head."""
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    x = keras.layers.ZeroPadding2D(100, name="pad100")(x)
    pools = vgg_trunk.vgg(x, trunk=trunk, stages=stages)
    x = classifier(pools["pool5"], kernel=7, fc_filters=fc_filters)
    scores = {
        one: decode(HEADS[row], image, x, pools=pools, classes=count, suffix=f"_{one[:3]}")
        for one, count in classes.items()
    }
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)
