"""Fully convolutional networks: FCN-AlexNet, FCN-32s, FCN-16s, FCN-8s and FCN-8s at-once.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017
(Long et al., CVPR 2015); every layer as in github.com/shelhamer/fcn.berkeleyvision.org.

Deviations:
- The fixed bilinear deconvolutions and scales hold no weights; their numbers are the authors'.
  `upsampling="learned"` is the definition of 2015, which learned those between the skips.
- Without `encoder_weights` the trunk starts He-normal; the authors always start from ImageNet.
- `trunk="vgg19"`: the paper tried it (Section 4.1), but the authors published no such net.
"""

import dataclasses
import os
from collections.abc import Sequence

import keras

from zoo.layers import BilinearUpsampling, CropLike
from zoo.models import alexnet as alexnet_trunk
from zoo.models import vgg as vgg_trunk
from zoo.models.builder import builder
from zoo.models.inputs import image_input, subtract_mean
from zoo.weights.filling import load


@dataclasses.dataclass(frozen=True)
class Skip:
    """A skip: the scores of a pool are added to the coarser scores, up-sampled by 2.

    `pool` is the name of the pool and `scale` a fixed factor for its features. `upscore` is the
    name of the up-sampling of the coarser scores. `crop` is where the crop of the pool's scores
    begins, in pixels of the pool from the top and left.
    """

    pool: str
    scale: float
    upscore: str
    crop: int


@dataclasses.dataclass(frozen=True)
class Head:
    """The way from the coarsest scores to those of the image: the skips, then an up-sampling.

    `upscore` is the name of the last up-sampling, `kernel` the side of its kernel and `stride` its
    factor. `crop` is where the crop to the size of the image begins, in pixels from the top and
    left.
    """

    skips: tuple[Skip, ...]
    upscore: str
    kernel: int
    stride: int
    crop: int


# Source: `voc-fcn-alexnet`, `voc-fcn32s`, `voc-fcn16s`, `voc-fcn8s` and `voc-fcn8s-atonce` in
# github.com/shelhamer/fcn.berkeleyvision.org.
HEADS = {
    "fcn_alexnet": Head(skips=(), upscore="upscore", kernel=63, stride=32, crop=18),
    "fcn32s": Head(skips=(), upscore="upscore", kernel=64, stride=32, crop=19),
    "fcn16s": Head(
        skips=(Skip(pool="pool4", scale=1, upscore="upscore2", crop=5),),
        upscore="upscore16",
        kernel=32,
        stride=16,
        crop=27,
    ),
    "fcn8s": Head(
        skips=(
            Skip(pool="pool4", scale=1, upscore="upscore2", crop=5),
            Skip(pool="pool3", scale=1, upscore="upscore_pool4", crop=9),
        ),
        upscore="upscore8",
        kernel=16,
        stride=8,
        crop=31,
    ),
    "fcn8s_atonce": Head(
        skips=(
            Skip(pool="pool4", scale=0.01, upscore="upscore2", crop=5),
            Skip(pool="pool3", scale=0.0001, upscore="upscore_pool4", crop=9),
        ),
        upscore="upscore8",
        kernel=16,
        stride=8,
        crop=31,
    ),
}

CHOICES = {
    "trunk": {"vgg16": "the authors'", "vgg19": "tried in the paper"},
    "upsampling": {"fixed": "the authors' release", "learned": "their nets of 2015"},
}


@builder
def fcn_alexnet(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: Sequence[int] = alexnet_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn_alexnet",
) -> keras.Model:
    """Builds FCN-AlexNet.

    32-pixel scores of a grouped, normalized AlexNet, up-sampled at once.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: A file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        stages: Number of filters in each of the five stages; the default is the authors'.
        fc_filters: Number of filters in fc6 and fc7; the default is the authors'.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    x = keras.layers.ZeroPadding2D(100, name="pad100")(x)
    x = alexnet_trunk.alexnet(x, stages=stages)
    x = classifier(x, kernel=6, fc_filters=fc_filters)
    scores = decode(HEADS["fcn_alexnet"], image, x, pools={}, classes=classes)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


@builder(choices={"trunk": CHOICES["trunk"]})
def fcn32s(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "fcn32s",
) -> keras.Model:
    """Builds FCN-32s.

    32-pixel scores of a fully convolutional VGG, up-sampled at once.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _fcn_vgg(
        HEADS["fcn32s"],
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        upsampling="fixed",
        name=name,
    )


@builder(choices=CHOICES)
def fcn16s(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    upsampling: str = "fixed",
    name: str = "fcn16s",
) -> keras.Model:
    """Builds FCN-16s.

    FCN-32s with the scores of pool4 added at 16 pixels.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        upsampling: Between the skips: "fixed", the authors' release, or "learned", their nets of
            2015.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _fcn_vgg(
        HEADS["fcn16s"],
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        upsampling=upsampling,
        name=name,
    )


@builder(choices=CHOICES)
def fcn8s(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    upsampling: str = "fixed",
    name: str = "fcn8s",
) -> keras.Model:
    """Builds FCN-8s.

    FCN-16s with the scores of pool3 added at 8 pixels; trained stage by stage.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        upsampling: Between the skips: "fixed", the authors' release, or "learned", their nets of
            2015.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _fcn_vgg(
        HEADS["fcn8s"],
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        upsampling=upsampling,
        name=name,
    )


@builder(choices=CHOICES)
def fcn8s_atonce(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: Sequence[int] = vgg_trunk.WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    upsampling: str = "fixed",
    name: str = "fcn8s_atonce",
) -> keras.Model:
    """Builds FCN-8s at-once.

    FCN-8s with scaled pools, so that it trains in one stage.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        trunk: "vgg16", the authors', or "vgg19".
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        upsampling: Between the skips: "fixed", the authors' release, or "learned", their nets of
            2015.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    return _fcn_vgg(
        HEADS["fcn8s_atonce"],
        classes=classes,
        weights=weights,
        encoder_weights=encoder_weights,
        channels=channels,
        trunk=trunk,
        stages=stages,
        fc_filters=fc_filters,
        mean=mean,
        channel_order=channel_order,
        upsampling=upsampling,
        name=name,
    )


def _fcn_vgg(
    row: Head,
    *,
    classes: int,
    weights: str | os.PathLike | None,
    encoder_weights: str | os.PathLike | None,
    channels: int,
    trunk: str,
    stages: Sequence[int],
    fc_filters: int,
    mean: Sequence[float],
    channel_order: Sequence[int],
    upsampling: str,
    name: str,
) -> keras.Model:
    """The FCN on a VGG trunk with this row's skips and up-samplings."""
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    # With this border the 7 × 7 window of fc6 fits at any image size, even 1 × 1.
    x = keras.layers.ZeroPadding2D(100, name="pad100")(x)
    pools = vgg_trunk.vgg(x, trunk=trunk, stages=stages)
    x = classifier(pools["pool5"], kernel=7, fc_filters=fc_filters)
    learned = upsampling == "learned"
    scores = decode(row, image, x, pools=pools, classes=classes, learned=learned)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def classifier(
    x: keras.KerasTensor, *, kernel: int, fc_filters: int, suffix: str = ""
) -> keras.KerasTensor:
    """The fully connected layers fc6 and fc7 of the trunk, as convolutions."""
    for name, size in (("6", kernel), ("7", 1)):
        x = keras.layers.Conv2D(
            fc_filters,
            size,
            activation="relu",
            kernel_initializer="he_normal",
            name=f"fc{name}{suffix}",
        )(x)
        x = keras.layers.Dropout(0.5, name=f"drop{name}{suffix}")(x)
    return x


def decode(
    row: Head,
    image: keras.KerasTensor,
    x: keras.KerasTensor,
    *,
    pools: dict[str, keras.KerasTensor],
    classes: int,
    learned: bool = False,
    suffix: str = "",
) -> keras.KerasTensor:
    """Scores at the trunk's stride, summed with those of the skips and up-sampled to the image.

    `suffix` ends the names of the layers, in a net with several heads.
    """
    x = score(x, classes, f"score_fr{suffix}")
    for skip in row.skips:
        # As in the authors' FCN-8s of 2015, where only the first of the two has a bias.
        bias = learned and skip.pool == "pool4"
        x = BilinearUpsampling(2, learned=learned, use_bias=bias, name=skip.upscore + suffix)(x)
        pool = pools[skip.pool]
        if skip.scale != 1:
            pool = keras.layers.Rescaling(skip.scale, name=f"scale_{skip.pool}{suffix}")(pool)
        pool = score(pool, classes, f"score_{skip.pool}{suffix}")
        pool = CropLike(skip.crop, name=f"score_{skip.pool}{suffix}c")(pool, x)
        x = keras.layers.Add(name=f"fuse_{skip.pool}{suffix}")([x, pool])
    return upscore(row, image, x, suffix=suffix)


def upscore(
    row: Head, image: keras.KerasTensor, x: keras.KerasTensor, *, suffix: str = ""
) -> keras.KerasTensor:
    """Scores at the last stride, up-sampled and cropped to the image."""
    x = BilinearUpsampling(row.stride, row.kernel, dtype="float32", name=row.upscore + suffix)(x)
    return CropLike(row.crop, dtype="float32", name=f"score{suffix}")(x, image)


def score(x: keras.KerasTensor, classes: int, name: str) -> keras.KerasTensor:
    """A 1 × 1 convolution to class scores that starts at zero (Section 4.3)."""
    return keras.layers.Conv2D(classes, 1, kernel_initializer="zeros", name=name)(x)
