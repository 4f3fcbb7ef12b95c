"""Checks that a file gives the model's answers, in the loaders that its users have.

Everything is computed on the CPU: it is the file that is checked, and a GPU rounds more coarsely.
`python -m exports.check served/unet/1` checks a version that is in place.
"""

import zoo  # isort: skip  # noqa: F401  (first: it imports TensorFlow without its messages)

from exports.check.agreement import (
    ROUNDING,
    Agreement,
    Finding,
    MismatchError,
    NotChecked,
    WarmedUp,
    compare,
)
from exports.check.lite import tflite
from exports.check.reference import textures
from exports.check.segmenter import mediapipe
from exports.check.served import among_loaders, saved_model
from exports.runtimes.litert import interpreter

__all__ = [
    "saved_model",
    "among_loaders",
    "tflite",
    "mediapipe",
    "Agreement",
    "NotChecked",
    "WarmedUp",
    "Finding",
    "MismatchError",
    "compare",
    "interpreter",
    "textures",
    "ROUNDING",
]
