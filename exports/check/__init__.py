"""Checks that an exported file gives the model's answers, in the loaders that its users have.

Everything is computed on the CPU: the file is checked, and a GPU rounds more coarsely. `zoo check
served/unet/1` checks a version that is in place.
"""

from exports.check.agreement import (
    ROUNDING,
    Agreement,
    Finding,
    MismatchError,
    NotChecked,
    WarmedUp,
    compare,
)
from exports.check.class_map import check_class_map
from exports.check.mediapipe import check_mediapipe
from exports.check.saved_model import check_loaders, check_saved_model
from exports.check.tflite import check_tflite

__all__ = [
    "ROUNDING",
    "Agreement",
    "Finding",
    "MismatchError",
    "NotChecked",
    "WarmedUp",
    "check_class_map",
    "check_loaders",
    "check_mediapipe",
    "check_saved_model",
    "check_tflite",
    "compare",
]
