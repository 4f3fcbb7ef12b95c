"""The VGG trunk: image → pool1 … pool5, made fully convolutional by FCN and DeconvNet.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015, Table 1, configurations D (VGG-16) and E (VGG-19).
"""

import keras

from zoo.models.inputs import check_stages

# Convolutions of each of the five stages.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def vgg(x: keras.KerasTensor, *, trunk: str, stages: tuple[int, ...]) -> dict:
    """The five stages on an image that is already preprocessed and padded, by 100 pixels in FCN.

    `conv1_1` does not pad: the border of 100 is its own, as in the authors' definition.

    Returns:
        The outputs `pool1` … `pool5` by name; each halves the height and width, rounded up.
    """
    if trunk not in CONVOLUTIONS:
        raise ValueError(
            f"trunk is one of {', '.join(CONVOLUTIONS)}; received {trunk!r}. Pass trunk='vgg16'."
        )
    check_stages(stages)
    pools = {}
    for stage, (count, width) in enumerate(zip(CONVOLUTIONS[trunk], stages, strict=True), start=1):
        for index in range(1, count + 1):
            x = keras.layers.Conv2D(
                width,
                3,
                padding="valid" if (stage, index) == (1, 1) else "same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"conv{stage}_{index}",
            )(x)
        # With a window of 2, Keras's "same" is Caffe's ceil mode: padded at the end, never scored.
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{stage}")(x)
        pools[f"pool{stage}"] = x
    return pools
