"""What a network needs around its image: mirrored margins, sizes that divide, valid tiles.

A U-Net of valid convolutions with `depth` poolings, and `f = 2 ** depth`, takes heights and widths
of `f * k + 4 * f - 4` and gives scores that are `12 * f - 8` smaller: `6 * f - 4` on each side. For
the paper's depth of 4 that is 16 k + 60, 184 less and 92 on each side: 572 → 388.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class MirrorPadding(keras.layers.Layer):
    """Extends an image by mirroring, so that a valid U-Net's scores cover all of it.

    >>> tile = zoo.layers.MirrorPadding(depth=4)(image)  # 388 × 388 → 572 × 572

    `[n, h, w, c]` of any size from 1 × 1 on. The U-Net's scores for the result begin at the
    image's top left and are as large as the image, or up to `2 ** depth - 1` larger at the bottom
    and right. The pixels on the border are not repeated, and where the image is smaller than the
    margin, it is mirrored again and again.

    Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", 2015, §2 and Figure 2.
    """

    def __init__(self, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.depth = _checked_depth(depth)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        for axis in (1, 2):
            image = ops.take(image, self._sources(ops.shape(image)[axis]), axis=axis)
        return image

    def _sources(self, size):
        """Which row or column stands where: a triangle wave between the first and the last."""
        last = size - 1
        margin = _loss(self.depth) // 2
        position = ops.arange(_tile_for(size, self.depth), dtype="int32") - margin
        return last - ops.abs(position % ops.maximum(2 * last, 1) - last)

    def compute_output_shape(self, image_shape):
        n, height, width, channels = image_shape
        height, width = (s if s is None else _tile_for(s, self.depth) for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


@keras.saving.register_keras_serializable(package="zoo")
class ValidTile(keras.layers.Layer):
    """Passes an image on, if a valid U-Net can take its size; an error that says which, if not.

    >>> image = zoo.layers.ValidTile(depth=4)(image)  # 188, 204, … 572, …

    Sizes are checked where they are known: eagerly, and in a model or graph for those that are
    fixed there.
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
        # The smallest tile is the one for scores of one pixel; the next, for one pixel more.
        needed = [
            s if s is None else _tile_for(max(s - _loss(self.depth), 1), self.depth)
            for s in received
        ]
        if list(received) != needed:
            factor, smallest = 2**self.depth, _tile_for(1, self.depth)
            raise ValueError(
                f"A valid U-Net of depth {self.depth} takes heights and widths of {factor}k + "
                f"{4 * factor - 4} from {smallest} on ({smallest}, {smallest + factor}, "
                f"{smallest + 2 * factor}, …); received {_spelled(received)}. Pad the image to "
                f'{_spelled(needed)}, or build with border="mirror".'
            )
        return image_shape

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


@keras.saving.register_keras_serializable(package="zoo")
class PadToMultiple(keras.layers.Layer):
    """Adds zeros at the bottom and right, up to a multiple of `multiple` and at least `minimum`.

    >>> padded = zoo.layers.PadToMultiple(32, minimum=224)(image)  # 300 × 100 → 320 × 224

    `[n, h, w, c]` of any size. A `minimum` that is no multiple is rounded up to one.
    """

    def __init__(self, multiple: int, *, minimum: int = 1, **kwargs):
        super().__init__(**kwargs)
        if multiple < 1 or minimum < 1:
            raise ValueError(
                "multiple and minimum are sizes in pixels from 1 on; received multiple "
                f"{multiple} and minimum {minimum}."
            )
        self.multiple = multiple
        self.minimum = minimum
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, image):
        height, width = ops.shape(image)[1:3]
        bottom, right = self._padded(height) - height, self._padded(width) - width
        return ops.pad(image, [[0, 0], [0, bottom], [0, right], [0, 0]])

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
    """By how many pixels a valid U-Net's scores are smaller than its image."""
    return 12 * 2**depth - 8


def _tile_for(size, depth):
    """The smallest tile of which a valid U-Net scores `size` pixels or more; they are f * k + 4."""
    factor = 2**depth
    return -((4 - size) // factor) * factor + 4 + _loss(depth)


def _checked_depth(depth):
    if not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth counts the poolings, from 1 on; received {depth!r}.")
    return depth


def _spelled(sizes):
    return " × ".join("?" if size is None else str(size) for size in sizes)
