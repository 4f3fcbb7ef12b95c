"""DeconvNet: a VGG-16 encoder, and a decoder that mirrors it and undoes each pooling.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015; every
layer as in github.com/HyeonwooNoh/DeconvNet.

Deviations:
- The authors train with batch statistics and compute the averages for inference afterwards; here
  Keras keeps moving averages. Across replicas the statistics are those of the whole batch.
- The authors take windows of 224 × 224 pixels. Here an image of any size is padded at the bottom
  and right, as the authors pad their windows, and the scores are cropped.
- Without `encoder_weights` the encoder starts He-normal; the authors always start from ImageNet.
"""

import os
from collections.abc import Sequence

import keras

from zoo.layers import CropLike, MaxPoolingWithArgmax, MaxUnpooling, PadToMultiple
from zoo.models.builder import builder
from zoo.models.inputs import image_input, subtract_mean
from zoo.models.vgg import CONVOLUTIONS, WIDTHS
from zoo.weights.filling import load

# Standard deviation of the Gaussian from which the decoder and the score layer start.
GAUSSIAN = 0.01


@builder
def deconvnet(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: Sequence[int] = WIDTHS,
    fc_filters: int = 4096,
    mean: Sequence[float] | None = None,
    channel_order: Sequence[int] | None = None,
    name: str = "deconvnet",
) -> keras.Model:
    """Builds DeconvNet.

    VGG-16 and its mirror image; max-unpooling puts each value back where it was.

    Args:
        classes: Number of classes, 2 to 255, the background included; the default is VOC's.
        weights: A file that sets every weight; see `zoo.weights.load`.
        encoder_weights: "imagenet" or a file for layers of the same name; see `zoo.weights.load`.
        channels: Of the image: 3 for RGB, 1 for grey, or any other number.
        stages: Number of filters in each of the five stages; the default is VGG's.
        fc_filters: Number of filters in fc6 and fc7; the default is VGG's.
        mean: A number to subtract from each channel, 0-255, in the order of the image; by default
            the authors' for VOC, and their average for channels that are not RGB.
        channel_order: Which channel of the image the net takes first, second, and so on. By default
            RGB is reversed, as the authors' net takes BGR, and other images stay as they are.
        name: The name of the model.

    Returns:
        The model: image float32 `[n, h, w, channels]`, 0-255 → scores float32 `[n, h, w, classes]`.

    Raises:
        ValueError: An option is invalid, or the weights do not fit.
        OSError: The weights cannot be read.
    """
    image = image_input(channels)
    # Padded with black before the mean is subtracted, as the authors pad their windows.
    padded = PadToMultiple(32, minimum=224, dtype="float32", name="pad")(image)
    x = subtract_mean(padded, mean=mean, channel_order=channel_order)

    pools = []
    for stage, (count, width) in enumerate(zip(CONVOLUTIONS["vgg16"], stages, strict=True), 1):
        for index in range(1, count + 1):
            x = _conv(x, width, 3, f"conv{stage}_{index}", padding="same")
            x = _bn_relu(x, f"bn{stage}_{index}", f"relu{stage}_{index}")
        before = x
        x, switches = MaxPoolingWithArgmax(name=f"pool{stage}")(x)
        pools.append((switches, before))

    for layer, size in (("fc6", 7), ("fc7", 1)):
        x = _conv(x, fc_filters, size, layer, padding="valid")
        x = _bn_relu(x, f"bn{layer}", f"relu{layer[2:]}")
    x = _deconv(x, stages[4], 7, "fc6-deconv", padding="valid")
    x = _bn_relu(x, "fc6-deconv-bn", "fc6-deconv-relu")

    for stage in (5, 4, 3, 2, 1):
        switches, before = pools[stage - 1]
        x = MaxUnpooling(name=f"unpool{stage}")(x, switches, like=before)
        count, width = CONVOLUTIONS["vgg16"][stage - 1], stages[stage - 1]
        # The encoder's stages widen at their first convolution, so the decoder's stages narrow at
        # their last deconvolution.
        last = stages[max(stage - 2, 0)]
        for index in range(1, count + 1):
            x = _deconv(x, width if index < count else last, 3, f"deconv{stage}_{index}")
            x = _bn_relu(x, f"debn{stage}_{index}", f"derelu{stage}_{index}")
    x = keras.layers.Conv2D(
        classes, 1, kernel_initializer=_gaussian(), dtype="float32", name="seg-score-voc"
    )(x)
    scores = CropLike(0, dtype="float32", name="score")(x, image)
    model = keras.Model(image, scores, name=name)
    return load(model, weights=weights, encoder_weights=encoder_weights)


def _conv(
    x: keras.KerasTensor, filters: int, size: int, name: str, *, padding: str
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters, size, padding=padding, kernel_initializer="he_normal", name=name
    )(x)


def _deconv(
    x: keras.KerasTensor, filters: int, size: int, name: str, *, padding: str = "same"
) -> keras.KerasTensor:
    return keras.layers.Conv2DTranspose(
        filters, size, padding=padding, kernel_initializer=_gaussian(), name=name
    )(x)


def _bn_relu(x: keras.KerasTensor, bn: str, relu: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(
        epsilon=1e-9,
        beta_initializer=keras.initializers.Constant(0.001),
        name=bn,
    )(x)
    return keras.layers.ReLU(name=relu)(x)


def _gaussian() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=GAUSSIAN)
