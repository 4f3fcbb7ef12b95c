"""DeconvNet: a VGG-16 encoder and its mirror image, joined by unpooling.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015; every
layer as in github.com/HyeonwooNoh/DeconvNet.

Deviations:
- The authors train with batch statistics and fold averages in afterwards; here the moving averages
  of Keras do that. Across replicas the statistics are those of the whole batch.
- An image of any size is padded at the bottom and right, as the authors pad windows, and the scores
  are cropped; they take windows of 224 × 224.
- Without `encoder_weights` the encoder starts He-normal; the authors always start from ImageNet.
"""

import os

import keras

from zoo.layers import CropLike, MaxPoolingWithArgmax, MaxUnpooling, PadToMultiple
from zoo.models.builder import builder
from zoo.models.inputs import (
    check_at_least,
    check_classes,
    check_stages,
    image_input,
    subtract_mean,
)
from zoo.models.vgg import CONVOLUTIONS, WIDTHS
from zoo.weights.filling import load

# The mean colour that the authors' inference subtracts.
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
# The decoder and the scores start from a Gaussian of this deviation.
GAUSSIAN = 0.01


@builder
def deconvnet(
    *,
    classes: int = 21,
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    channels: int = 3,
    stages: tuple[int, ...] = WIDTHS,
    head: int = 4096,
) -> keras.Model:
    """DeconvNet: VGG-16 and its mirror image; max-unpooling puts each value back where it was."""
    check_classes(classes)
    check_stages(stages)
    check_at_least(1, head=head)
    image = image_input(channels)
    # Black before the mean is subtracted, as the authors pad their windows.
    padded = PadToMultiple(32, minimum=224, dtype="float32", name="pad")(image)
    x = subtract_mean(padded, mean_bgr=MEAN_BGR)

    pools = []
    for stage, (count, width) in enumerate(zip(CONVOLUTIONS["vgg16"], stages, strict=True), 1):
        for index in range(1, count + 1):
            x = keras.layers.Conv2D(
                width,
                3,
                padding="same",
                kernel_initializer="he_normal",
                name=f"conv{stage}_{index}",
            )(x)
            x = _bn_relu(x, f"bn{stage}_{index}", f"relu{stage}_{index}")
        unpooled = x
        x, switches = MaxPoolingWithArgmax(name=f"pool{stage}")(x)
        pools.append((switches, unpooled))

    for name, size in (("fc6", 7), ("fc7", 1)):
        x = _conv(x, head, size, name, padding="valid")
        x = _bn_relu(x, f"bn{name}", f"relu{name[2:]}")
    x = _deconv(x, stages[4], 7, "fc6-deconv", padding="valid")
    x = _bn_relu(x, "fc6-deconv-bn", "fc6-deconv-relu")

    for stage in (5, 4, 3, 2, 1):
        switches, before = pools[stage - 1]
        x = MaxUnpooling(name=f"unpool{stage}")(x, switches, like=before)
        count, width = CONVOLUTIONS["vgg16"][stage - 1], stages[stage - 1]
        # The last deconvolution of a stage narrows to the width of the next one, as pooling
        # widened it on the way down.
        last = stages[max(stage - 2, 0)]
        for index in range(1, count + 1):
            x = _deconv(x, width if index < count else last, 3, f"deconv{stage}_{index}")
            x = _bn_relu(x, f"debn{stage}_{index}", f"derelu{stage}_{index}")
    x = keras.layers.Conv2D(
        classes, 1, kernel_initializer=_gaussian(), dtype="float32", name="seg-score-voc"
    )(x)
    scores = CropLike(0, dtype="float32", name="score")(x, image)
    model = keras.Model(image, scores, name="deconvnet")
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
        # Keras has whole-batch statistics on TensorFlow only.
        synchronized=keras.backend.backend() == "tensorflow",
        name=bn,
    )(x)
    return keras.layers.ReLU(name=relu)(x)


def _gaussian() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=GAUSSIAN)
