"""The first part of every model: checked options, the image input, the authors' preprocessing."""

import keras


def check_classes(classes: int) -> None:
    """Raises ValueError unless `classes` is a whole number from 2 to 255."""
    if isinstance(classes, bool) or not isinstance(classes, int) or not 2 <= classes <= 255:
        raise ValueError(
            "classes is a whole number from 2 to 255, the background included, because class maps "
            f"are uint8 and 255 marks ignored pixels; received {classes!r}. "
            "Pass the number of classes of your labels, such as classes=21."
        )


def check_at_least(minimum: int, **values: int) -> None:
    """Raises ValueError unless each of `values` is a whole number of at least `minimum`."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(
                f"{name} is a whole number of at least {minimum}; received {value!r}. "
                f"Pass {name}={minimum} or more."
            )


def check_stages(stages: tuple[int, ...]) -> None:
    """Raises ValueError unless `stages` holds five widths: the filters of the trunk's stages."""
    if len(stages) != 5 or not all(isinstance(width, int) and width > 0 for width in stages):
        raise ValueError(
            "stages holds the widths of the trunk's five stages, each at least 1; received "
            f"{stages!r}. Pass five whole numbers, such as stages=(64, 128, 256, 512, 512)."
        )


def image_input(channels: int) -> keras.KerasTensor:
    """Makes the input `image`: float32 `[n, h, w, channels]`, RGB or grey, 0-255, of any size.

    Raises:
        ValueError: `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise ValueError(
            f"channels is 3 for RGB images or 1 for grey ones; received {channels!r}. "
            "Pass channels=3 or channels=1."
        )
    return keras.Input((None, None, channels), name="image")


def subtract_mean(image: keras.KerasTensor, *, mean_bgr: tuple[float, ...]) -> keras.KerasTensor:
    """Caffe's preprocessing: RGB → BGR, minus the data set's mean colour.

    Computes in float32 under every precision policy, because bfloat16 cannot tell 255 from 254.5.
    From a grey image it subtracts the average of the three numbers.

    Args:
        image: `[n, h, w, channels]`, RGB or grey, 0-255.
        mean_bgr: The mean of blue, green and red, 0-255.

    Raises:
        ValueError: `mean_bgr` is not three numbers from 0 to 255.
    """
    numbers = [x for x in mean_bgr if isinstance(x, int | float) and 0 <= x <= 255]
    if len(mean_bgr) != 3 or len(numbers) != 3:
        raise ValueError(
            "mean_bgr is the mean colour of the training images, three numbers from 0 to 255 for "
            f"blue, green and red; received {mean_bgr!r}. Pass mean_bgr=(104, 116.7, 122.7)."
        )
    if image.shape[-1] == 1:
        offset = [-sum(mean_bgr) / 3]
    else:
        image = keras.ops.flip(image, axis=-1)
        offset = [-mean for mean in mean_bgr]
    # One scale for each offset, both along the channels.
    return keras.layers.Rescaling(
        scale=[1.0] * len(offset), offset=offset, dtype="float32", name="subtract_mean"
    )(image)
