"""The loss scale of float16, without which small gradients are 0: its smallest number is 6e-8.

The gradient of the loss times the scale is divided by it in float32. Where it overflows, no replica
changes the weights and the scale is halved; after 2000 steps in a row without that it is doubled,
as in Keras. Keras's LossScaleOptimizer is not used: of several replicas it asks the first one only.
"""

import dataclasses

import tensorflow as tf

FIRST = 2.0**15
GROWS_AFTER = 2000  # steps


@dataclasses.dataclass(frozen=True)
class LossScale:
    """The scale, float32, and how many steps it has stood without an overflow, int64."""

    value: tf.Variable = dataclasses.field(
        default_factory=lambda: tf.Variable(FIRST, trainable=False)
    )
    stood: tf.Variable = dataclasses.field(
        default_factory=lambda: tf.Variable(0, trainable=False, dtype=tf.int64)
    )

    def variables(self) -> list[tf.Variable]:
        """What a checkpoint holds."""
        return [self.value, self.stood]

    def update(self, finite: tf.Tensor) -> None:
        """Changes the scale after a step, by whether the gradients of all replicas are finite."""
        grows = finite & (self.stood + 1 >= GROWS_AFTER)
        self.stood.assign(tf.where(finite & ~grows, self.stood + 1, 0))
        self.value.assign(self.value * tf.where(grows, 2.0, tf.where(finite, 1.0, 0.5)))
