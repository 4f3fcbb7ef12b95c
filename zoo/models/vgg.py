"""The VGG trunk: image → pool1 … pool5. DeconvNet takes its numbers from here, too.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015, Table 1, configurations D (VGG-16) and E (VGG-19).
"""

import keras

# Number of convolutions in each of the five stages.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def vgg(
    x: keras.KerasTensor,
    *,
    trunk: str,
    stages: tuple[int, ...],
    padding: str = "valid",
    first: str = "conv1_1",
    suffix: str = "",
) -> dict[str, keras.KerasTensor]:
    """Applies the five stages to an image that is preprocessed.

    Args:
        x: The image, `[n, h, w, c]`.
        trunk: "vgg16" or "vgg19".
        stages: Number of filters in each stage.
        padding: Of `conv1_1`: "valid" in the FCNs, whose authors pad the image by 100 pixels there,
            and "same" in VGG itself.
        first: The name of the first convolution.
        suffix: What ends the names of all layers, in a net with several trunks.

    Returns:
        The outputs `pool1` … `pool5` by name, each of which halves the height and width, rounded
        up; and what the last convolution before each gives, such as `conv3_3`.
    """
    outputs = {}
    for stage, (count, width) in enumerate(zip(CONVOLUTIONS[trunk], stages, strict=True), start=1):
        for index in range(1, count + 1):
            x = keras.layers.Conv2D(
                width,
                3,
                padding=padding if (stage, index) == (1, 1) else "same",
                activation="relu",
                kernel_initializer="he_normal",
                name=(first if (stage, index) == (1, 1) else f"conv{stage}_{index}") + suffix,
            )(x)
        outputs[f"conv{stage}_{count}"] = x
        # With a window of 2, Keras's "same" equals Caffe's ceil mode: an odd size is padded at its
        # end, and the padding is never the maximum.
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{stage}{suffix}")(x)
        outputs[f"pool{stage}"] = x
    return outputs
