"""The scores of class maps: those of the FCN paper, those of each class, and those at boundaries.

`confusion_matrix` and `scores` are NumPy, `ConfusionMatrix` is the metric of Keras.
`boundary_counts` and `boundary_scores` look at the pixels near the edges of classes alone.
"""

from zoo.metrics.boundary import boundary_counts, boundary_scores
from zoo.metrics.confusion import MAX_CLASSES, confusion_matrix, scores
from zoo.metrics.metric import ConfusionMatrix

__all__ = [
    "ConfusionMatrix",
    "MAX_CLASSES",
    "boundary_counts",
    "boundary_scores",
    "confusion_matrix",
    "scores",
]
