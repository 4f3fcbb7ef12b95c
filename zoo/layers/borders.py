"""Layers for the border of an image: mirrored margins, padding to a multiple, checked tiles.

A U-Net of valid convolutions has `depth` poolings. With `f = 2 ** depth` and a whole number `k`,
it takes heights and widths of `f * k + 4 * f - 4`. Its scores are `12 * f - 8` pixels smaller than
the image, `6 * f - 4` on each side. At the paper's depth of 4, it takes `16 * k + 60` and loses 184
pixels, 92 on each side: 572 → 388.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class MirrorPadding(keras.layers.Layer):
    """Mirrors an image beyond its border, so that a valid U-Net's scores cover the whole image.

    >>> tile = zoo.layers.MirrorPadding(depth=4)(image)  # 388 × 388 → 572 × 572

    Takes `[n, h, w, c]` of any size, at least 1 × 1. The U-Net's scores for the result start at the
    top left pixel of the image. They have the size of the image, or are up to `2 ** depth - 1`
    pixels larger at the bottom and right. The border pixels themselves are not repeated. An image
    that is smaller than the margin is mirrored several times.

    Args:
        depth: Number of poolings of the U-Net, at least 1.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `depth` is invalid. When called: an image without a pixel.

    Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", 2015, §2 and Figure 2.
    """

    def __init__(self, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.depth = _checked_depth(depth)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def margin(self) -> int:
        """The pixels that are mirrored at the top and at the left."""
        return _loss(self.depth) // 2

    def call(self, image):
        for axis in (1, 2):
            image = ops.take(image, self._sources(ops.shape(image)[axis]), axis=axis)
        return image

    def _sources(self, size):
        """The row or column to take for each position: a triangle wave from 0 to the last one."""
        if isinstance(size, int) and size < 1:
            raise ValueError(
                f"An image has at least 1 × 1 pixels to be mirrored; received a side of {size}. "
                "Leave out images without pixels."
            )
        last = size - 1
        larger = max if isinstance(size, int) else ops.maximum
        position = ops.arange(_tile_for(size, self.depth), dtype="int32") - self.margin
        return last - ops.abs(position % larger(2 * last, 1) - last)

    def compute_output_shape(self, image_shape):
        n, height, width, channels = image_shape
        height, width = (s if s is None else _tile_for(s, self.depth) for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


@keras.saving.register_keras_serializable(package="zoo")
class ValidTile(keras.layers.Layer):
    """Checks that a valid U-Net can take the size of an image; returns the image unchanged.

    >>> image = zoo.layers.ValidTile(depth=4)(image)  # 188, 204, … 572, …

    Args:
        depth: Number of poolings of the U-Net, at least 1.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `depth` is invalid. When called: the U-Net cannot take this size; the message
            names the next larger one. Eagerly every size is checked; in a model or graph, the
            sizes that are fixed.
    """

    def __init__(self, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.depth = _checked_depth(depth)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        self.compute_output_shape(image.shape)
        return image

    def compute_output_shape(self, image_shape):
        received = image_shape[1:3]
        # The smallest valid sizes that are not below the received ones.
        needed = [
            s if s is None else _tile_for(max(s - _loss(self.depth), 1), self.depth)
            for s in received
        ]
        if list(received) != needed:
            factor, smallest = 2**self.depth, _tile_for(1, self.depth)
            raise ValueError(
                f"A valid U-Net of depth {self.depth} takes heights and widths of {factor}k + "
                f"{4 * factor - 4}, at least {smallest} ({smallest}, {smallest + factor}, "
                f"{smallest + 2 * factor}, …); received {_spelled(received)}. Pad the image to "
                f'{_spelled(needed)}, or build with border="mirror".'
            )
        return image_shape

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


@keras.saving.register_keras_serializable(package="zoo")
class PadToMultiple(keras.layers.Layer):
    """Pads an image with zeros at the bottom and right, to a multiple of `multiple` pixels.

    >>> padded = zoo.layers.PadToMultiple(32, minimum=224)(image)  # 300 × 100 → 320 × 224

    Takes `[n, h, w, c]` of any size. Height and width become the next multiple of `multiple` that
    is at least `minimum`.

    Args:
        multiple: In pixels, at least 1.
        minimum: In pixels, at least 1.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `multiple` or `minimum` is less than 1.
    """

    def __init__(self, multiple: int, *, minimum: int = 1, **kwargs):
        super().__init__(**kwargs)
        if multiple < 1 or minimum < 1:
            raise ValueError(
                "multiple and minimum are sizes in pixels of at least 1; received multiple "
                f"{multiple} and minimum {minimum}. Pass multiple=32, for example."
            )
        self.multiple = multiple
        self.minimum = minimum
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        n, height, width, channels = ops.shape(image)
        rows, columns = self._padded(height), self._padded(width)
        padded = ops.pad(image, [[0, 0], [0, rows - height], [0, columns - width], [0, 0]])
        # TFLite's converter must know the channels, and forgets them at an unknown size.
        return ops.reshape(padded, (n, rows, columns, channels))

    def _padded(self, size):
        larger = max if isinstance(size, int) else ops.maximum
        return -(-larger(size, self.minimum) // self.multiple) * self.multiple

    def compute_output_shape(self, image_shape):
        n, height, width, channels = image_shape
        height, width = (s if s is None else self._padded(s) for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple, "minimum": self.minimum}


def _loss(depth):
    """The pixels that a valid U-Net loses along each axis, from its image to its scores."""
    return 12 * 2**depth - 8


def _tile_for(size, depth):
    """The side of the smallest image of which a valid U-Net scores at least `size` pixels."""
    factor = 2**depth
    scored = -((4 - size) // factor) * factor + 4  # a U-Net scores factor * k + 4 pixels
    return scored + _loss(depth)


def _checked_depth(depth):
    if not isinstance(depth, int) or depth < 1:
        raise ValueError(
            f"depth is the number of poolings, at least 1; received {depth!r}. Pass depth=4 for "
            "the U-Net of the paper."
        )
    return depth


def _spelled(sizes):
    return " × ".join("?" if size is None else str(size) for size in sizes)
