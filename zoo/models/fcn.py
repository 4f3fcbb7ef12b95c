"""Fully convolutional networks: FCN-AlexNet, FCN-32s, FCN-16s, FCN-8s and FCN-8s at-once.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017
(Long et al., CVPR 2015); every layer as in github.com/shelhamer/fcn.berkeleyvision.org.

Deviations:
- The fixed bilinear deconvolutions and scales hold no weights; their numbers are the authors'.
  `upsampling="learned"` is the definition of 2015, which learned those between the skips.
- Without `encoder_weights` the trunk starts He-normal; the authors always start from ImageNet.
- `trunk="vgg19"`, which the paper's Section 4.1 tried and did not publish as a net of its own.
"""

import os

import keras

from zoo.layers import BilinearUpsampling, CropLike
from zoo.models import alexnet as alexnet_trunk
from zoo.models import vgg as vgg_trunk
from zoo.models.builder import builder
from zoo.models.inputs import check_at_least, check_classes, image_input, subtract_mean
from zoo.weights.filling import load

# The mean colour of the authors' VOC data layers; `mean_bgr=` gives another data set's.
MEAN_BGR = (104.00699, 116.66877, 122.67892)

# Of each net: its skips, the last deconvolution (name, kernel, stride) and the crop's offset.
# Of each skip: the pool, its fixed scale, the deconvolution before the fusion, the crop's offset.
HEADS = {
    "fcn_alexnet": ([], ("upscore", 63, 32), 18),
    "fcn32s": ([], ("upscore", 64, 32), 19),
    "fcn16s": ([("pool4", 1, "upscore2", 5)], ("upscore16", 32, 16), 27),
    "fcn8s": (
        [("pool4", 1, "upscore2", 5), ("pool3", 1, "upscore_pool4", 9)],
        ("upscore8", 16, 8),
        31,
    ),
    "fcn8s_atonce": (
        [("pool4", 0.01, "upscore2", 5), ("pool3", 0.0001, "upscore_pool4", 9)],
        ("upscore8", 16, 8),
        31,
    ),
}


@builder
def fcn_alexnet(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: tuple[int, ...] = alexnet_trunk.WIDTHS,
    head: int = 4096,
    mean_bgr: tuple[float, float, float] = MEAN_BGR,
) -> keras.Model:
    """FCN-AlexNet: 32-pixel scores of a grouped, normalized AlexNet, up-sampled at once."""
    check_classes(classes)
    image = image_input(channels)
    x = subtract_mean(image, mean_bgr=mean_bgr)
    x = keras.layers.ZeroPadding2D(100, name="pad100")(x)
    x = alexnet_trunk.alexnet(x, stages=stages)
    x = _classifier(x, kernel=6, head=head)
    model = _decode("fcn_alexnet", image, x, pools={}, classes=classes)
    return load(model, weights=weights, encoder_weights=encoder_weights)


@builder
def fcn32s(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: tuple[int, ...] = vgg_trunk.WIDTHS,
    head: int = 4096,
    mean_bgr: tuple[float, float, float] = MEAN_BGR,
) -> keras.Model:
    """FCN-32s: 32-pixel scores of a fully convolutional VGG, up-sampled at once."""
    return _fcn_vgg("fcn32s", **locals())


@builder
def fcn16s(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: tuple[int, ...] = vgg_trunk.WIDTHS,
    head: int = 4096,
    mean_bgr: tuple[float, float, float] = MEAN_BGR,
    upsampling: str = "fixed",
) -> keras.Model:
    """FCN-16s: FCN-32s with the scores of pool4 added at 16 pixels."""
    return _fcn_vgg("fcn16s", **locals())


@builder
def fcn8s(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: tuple[int, ...] = vgg_trunk.WIDTHS,
    head: int = 4096,
    mean_bgr: tuple[float, float, float] = MEAN_BGR,
    upsampling: str = "fixed",
) -> keras.Model:
    """FCN-8s: FCN-16s with the scores of pool3 added at 8 pixels; trained stage by stage."""
    return _fcn_vgg("fcn8s", **locals())


@builder
def fcn8s_atonce(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    trunk: str = "vgg16",
    stages: tuple[int, ...] = vgg_trunk.WIDTHS,
    head: int = 4096,
    mean_bgr: tuple[float, float, float] = MEAN_BGR,
    upsampling: str = "fixed",
) -> keras.Model:
    """FCN-8s at-once: FCN-8s with scaled pools, so that it trains in one stage."""
    return _fcn_vgg("fcn8s_atonce", **locals())


def _fcn_vgg(
    name: str,
    *,
    classes: int,
    weights: str | os.PathLike | None,
    encoder_weights: str | os.PathLike | None,
    channels: int,
    trunk: str,
    stages: tuple[int, ...],
    head: int,
    mean_bgr: tuple[float, float, float],
    upsampling: str = "fixed",
) -> keras.Model:
    check_classes(classes)
    if upsampling not in ("fixed", "learned"):
        raise ValueError(
            "upsampling between the skips is 'fixed' (the authors' release) or 'learned' (their "
            f"nets of 2015); received {upsampling!r}. Pass upsampling='fixed'."
        )
    image = image_input(channels)
    x = subtract_mean(image, mean_bgr=mean_bgr)
    # Large enough for the 7 × 7 window of fc6 to fit at any image size, down to 1 × 1.
    x = keras.layers.ZeroPadding2D(100, name="pad100")(x)
    pools = vgg_trunk.vgg(x, trunk=trunk, stages=stages)
    x = _classifier(pools["pool5"], kernel=7, head=head)
    learned = upsampling == "learned"
    model = _decode(name, image, x, pools=pools, classes=classes, learned=learned)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _classifier(x: keras.KerasTensor, *, kernel: int, head: int) -> keras.KerasTensor:
    """The fully connected layers fc6 and fc7 of the trunk, as convolutions."""
    check_at_least(1, head=head)
    for name, size in (("6", kernel), ("7", 1)):
        x = keras.layers.Conv2D(
            head, size, activation="relu", kernel_initializer="he_normal", name=f"fc{name}"
        )(x)
        x = keras.layers.Dropout(0.5, name=f"drop{name}")(x)
    return x


def _decode(
    name: str,
    image: keras.KerasTensor,
    x: keras.KerasTensor,
    *,
    pools: dict[str, keras.KerasTensor],
    classes: int,
    learned: bool = False,
) -> keras.Model:
    """Scores at the trunk's stride, fused with those of the skips and up-sampled to the image."""
    skips, (up, kernel, stride), offset = HEADS[name]
    x = _score(x, classes, "score_fr")
    for pool, scale, upscore, skip_offset in skips:
        # As in the authors' FCN-8s of 2015, where only the first of the two has a bias.
        bias = learned and pool == "pool4"
        x = BilinearUpsampling(2, trainable=learned, use_bias=bias, name=upscore)(x)
        skip = pools[pool]
        if scale != 1:
            skip = keras.layers.Rescaling(scale, name=f"scale_{pool}")(skip)
        skip = _score(skip, classes, f"score_{pool}")
        skip = CropLike(skip_offset, name=f"score_{pool}c")(skip, x)
        x = keras.layers.Add(name=f"fuse_{pool}")([x, skip])
    x = BilinearUpsampling(stride, kernel_size=kernel, dtype="float32", name=up)(x)
    scores = CropLike(offset, dtype="float32", name="score")(x, image)
    return keras.Model(image, scores, name=name)


def _score(x: keras.KerasTensor, classes: int, name: str) -> keras.KerasTensor:
    """A 1 × 1 convolution to class scores, zero at the start (Section 4.3)."""
    return keras.layers.Conv2D(classes, 1, kernel_initializer="zeros", name=name)(x)
