"""Rows and columns that need not be computed, since they are those beside them."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class RepeatNearBorder(keras.layers.Layer):
    """Repeats one row near the top and one near the bottom, and a column near the left and right.

    >>> x = zoo.layers.RepeatNearBorder(index=2, count=10)(image)  # 20 pixels higher and wider

    `[n, h, w, c]` → `[n, h + 2 * count, w + 2 * count, c]`.

    Args:
        index: Which row to repeat, counted from the border from 0.
        count: How many more times it stands there.
        **kwargs: Options of every Keras layer.

    Raises:
        ValueError: `index` or `count` is negative.
    """

    def __init__(self, index: int, count: int, **kwargs):
        super().__init__(**kwargs)
        if index < 0 or count < 0:
            raise ValueError(
                "index and count are rows, at least 0; received "
                f"index {index} and count {count}. Pass index=0 to repeat the border itself."
            )
        self.index = index
        self.count = count
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, x):
        return self._repeated(self._repeated(x, 1), 2)

    def _repeated(self, x, axis):
        first, last = self.index, ops.shape(x)[axis] - 1 - self.index
        part = (slice(None),) * axis
        before, inside, behind = (
            x[(*part, piece)]
            for piece in (slice(first), slice(first, last + 1), slice(last + 1, None))
        )
        again = [
            ops.repeat(x[(*part, slice(row, row + 1))], self.count, axis=axis)
            for row in (first, last)
        ]
        return ops.concatenate([before, again[0], inside, again[1], behind], axis=axis)

    def compute_output_shape(self, shape):
        n, height, width, channels = shape
        height, width = (s if s is None else s + 2 * self.count for s in (height, width))
        return n, height, width, channels

    def get_config(self):
        return {**super().get_config(), "index": self.index, "count": self.count}
