"""SegNet and SegNet-Basic: a decoder that gets the places of the maxima, and no features.

Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation", PAMI 2017; every layer as in `Models/segnet_train.prototxt` and
`Models/segnet_basic_train.prototxt` of github.com/alexgkendall/SegNet-Tutorial (bb68b64), with the
layers `BN` and `Upsample` of github.com/alexgkendall/caffe-segnet.

What those say beyond the paper: images are BGR, 0-255, and no mean is subtracted. SegNet-Basic
divides each pixel's colours by their energy (LRN of 5 channels, alpha 1e-4, beta 0.75). `BN` has an
epsilon of 1e-9, and starts at scale 1 and shift 0.001; kernels start He-normal (`msra`). Poolings
round up, and keep where their maxima were. SegNet-Basic's decoder has no ReLU.

Deviations:
- The authors train with batch statistics and compute the averages for inference afterwards; here
  Keras keeps moving averages. Across replicas the statistics are those of the whole batch.
- The authors state the sizes of their up-samplings, for images of 360 × 480. Here each restores the
  size before its pooling: the same numbers there, and scores for images of any size.
- Without `encoder_weights` the encoder starts He-normal; the authors start SegNet from ImageNet.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from zoo.layers import LocalResponseNormalization, MaxPoolingWithArgmax, MaxUnpooling
from zoo.models.builder import builder
from zoo.models.inputs import image_input, subtract_mean
from zoo.weights.filling import load


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution and what follows it: its name, its width as a multiple of `filters`, its ReLU.

    The authors have 64 `filters`. `relu` is the name of the ReLU, or None.
    """

    name: str
    width: int
    relu: str | None


@dataclasses.dataclass(frozen=True)
class Definition:
    """The tables of a net: its stages from the image on, and from the scores of the lowest on.

    `decoder` lists the convolutions behind each up-sampling, the lowest stage first. All but the
    last of SegNet's are normalized. `window` is the side of the kernels, and that of the last is
    `score_window`.
    """

    encoder: tuple[tuple[Conv, ...], ...]
    decoder: tuple[tuple[Conv, ...], ...]
    window: int
    score: str
    score_window: int
    normalizes_image: bool


def _stage(stage: int, *widths: int) -> tuple[Conv, ...]:
    return tuple(
        Conv(f"conv{stage}_{index}", width, f"relu{stage}_{index}")
        for index, width in enumerate(widths, 1)
    )


def _stage_back(stage: int, *widths: int, last: int = 1) -> tuple[Conv, ...]:
    """The decoder counts down to `last`."""
    return tuple(
        Conv(f"conv{stage}_{index}_D", width, f"relu{stage}_{index}_D")
        for index, width in zip(range(last + len(widths) - 1, last - 1, -1), widths, strict=True)
    )


DEFINITIONS = {
    "vgg16": Definition(
        encoder=(
            _stage(1, 1, 1),
            _stage(2, 2, 2),
            _stage(3, 4, 4, 4),
            _stage(4, 8, 8, 8),
            _stage(5, 8, 8, 8),
        ),
        decoder=(
            _stage_back(5, 8, 8, 8),
            _stage_back(4, 8, 8, 4),
            _stage_back(3, 4, 4, 2),
            _stage_back(2, 2, 1),
            _stage_back(1, 1, last=2),  # conv1_1_D gives the scores
        ),
        window=3,
        score="conv1_1_D",
        score_window=3,
        normalizes_image=False,
    ),
    "basic": Definition(
        encoder=tuple((Conv(f"conv{stage}", 1, f"relu{stage}"),) for stage in (1, 2, 3, 4)),
        decoder=tuple((Conv(f"conv_decode{stage}", 1, None),) for stage in (4, 3, 2, 1)),
        window=7,
        score="conv_classifier",
        score_window=1,
        normalizes_image=True,
    ),
}
CHOICES = {"definition": {"vgg16": "SegNet", "basic": "SegNet-Basic"}}


def most_parameters(options: Mapping[str, Any]) -> int:
    """A bound on the parameters of a model, from its checked options; it builds nothing."""
    filters, channels, classes = (options[name] for name in ("filters", "channels", "classes"))
    # SegNet's convolutions between features hold fewer than 7,200 squares of `filters`.
    return filters * (49 * channels + 7200 * filters + 300 + 9 * classes)


@builder(mean=(0, 0, 0), choices=CHOICES, bound=most_parameters)
def segnet(
    *,
    classes: int = 11,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    filters: int = 64,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    definition: str = "vgg16",
    name: str = "segnet",
) -> keras.Model:
    """Builds SegNet.

    VGG-16's convolutions, normalized, and a decoder of convolutions after max-unpoolings.

    Args:
        classes: Number of classes, 2 to 255; the default is CamVid's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        filters: At the first stage; the others have 1 to 8 times as many. The default is the
            authors'.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            0, as the authors subtract none.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' nets take BGR, and other images stay as they are.
        definition: "vgg16", SegNet, or "basic", SegNet-Basic.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    table = DEFINITIONS[definition]
    image = image_input(channels)
    x = subtract_mean(image, mean=mean, channel_order=channel_order)
    if table.normalizes_image:
        # Squares of 255 do not fit into half precision.
        x = LocalResponseNormalization(dtype="float32", name="norm")(x)

    pools = []
    for stage, convolutions in enumerate(table.encoder, 1):
        for convolution in convolutions:
            x = _normalized(x, convolution, table.window, filters)
        before = x
        x, switches = MaxPoolingWithArgmax(name=f"pool{stage}")(x)
        pools.append((switches, before))

    stages = range(len(pools), 0, -1)
    for stage, convolutions in zip(stages, table.decoder, strict=True):
        switches, before = pools[stage - 1]
        x = MaxUnpooling(name=f"upsample{stage}")(x, switches, like=before)
        for convolution in convolutions:
            x = _normalized(x, convolution, table.window, filters)
    scores = keras.layers.Conv2D(
        classes,
        table.score_window,
        padding="same",
        kernel_initializer="he_normal",
        dtype="float32",
        name=table.score,
    )(x)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _normalized(
    x: keras.KerasTensor, convolution: Conv, window: int, filters: int
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        convolution.width * filters,
        window,
        padding="same",
        kernel_initializer="he_normal",
        name=convolution.name,
    )(x)
    x = keras.layers.BatchNormalization(
        epsilon=1e-9,
        beta_initializer=keras.initializers.Constant(0.001),
        name=f"{convolution.name}_bn",
    )(x)
    return keras.layers.ReLU(name=convolution.relu)(x) if convolution.relu else x
