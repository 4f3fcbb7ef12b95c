"""The AlexNet trunk of FCN-AlexNet and CaffeNet: image → pool5.

This is the variant CaffeNet, which pools before it normalizes: Krizhevsky, Sutskever and Hinton,
"ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012; layers and settings of
`voc-fcn-alexnet` in github.com/shelhamer/fcn.berkeleyvision.org.
"""

import keras

from zoo.layers import CaffeMaxPooling, LocalResponseNormalization

WIDTHS = (96, 256, 384, 384, 256)


def alexnet(x: keras.KerasTensor, *, stages: tuple[int, ...]) -> keras.KerasTensor:
    """Applies the five stages to an image that is preprocessed and, for the FCN, padded.

    Args:
        x: The image, `[n, h, w, c]`.
        stages: Number of filters in each stage.

    Returns:
        The output of pool5.

    Raises:
        ValueError: A width is odd.
    """
    if any(width % 2 for width in stages):
        raise ValueError(
            "stages of AlexNet are even, because its convolutions have two groups; received "
            f"{stages!r}. Pass even widths, such as stages={WIDTHS}."
        )
    conv1, conv2, conv3, conv4, conv5 = stages
    x = _conv(x, conv1, 11, "conv1", strides=4, padding="valid")
    x = CaffeMaxPooling(3, strides=2, name="pool1")(x)
    x = LocalResponseNormalization(name="norm1")(x)
    x = _conv(x, conv2, 5, "conv2", groups=2)
    x = CaffeMaxPooling(3, strides=2, name="pool2")(x)
    x = LocalResponseNormalization(name="norm2")(x)
    x = _conv(x, conv3, 3, "conv3")
    x = _conv(x, conv4, 3, "conv4", groups=2)
    x = _conv(x, conv5, 3, "conv5", groups=2)
    return CaffeMaxPooling(3, strides=2, name="pool5")(x)


def _conv(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    strides: int = 1,
    padding: str = "same",
    groups: int = 1,
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        groups=groups,
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )(x)
