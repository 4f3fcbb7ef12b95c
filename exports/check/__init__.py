"""Checks that an exported file gives the model's answers, in the loaders that its users have.

Everything is computed on the CPU: the file is checked, and a GPU rounds more coarsely. `zoo check
served/unet/1` checks a version that is in place.
"""

from zoo import lazy as _lazy

_PLACES = {
    "agreement": (
        *("ROUNDING", "Agreement", "Finding", "MismatchError", "Named", "NotChecked", "WarmedUp"),
        "compare",
    ),
    "class_map": ("check_class_map",),
    "mediapipe": ("check_mediapipe",),
    "saved_model": ("check_loaders", "check_saved_model"),
    "tflite": ("check_tflite", "class_map_of"),
}

__all__ = sorted(name for names in _PLACES.values() for name in names)

__getattr__ = _lazy.attach(
    "exports.check",
    {name: f"exports.check.{module}" for module, names in _PLACES.items() for name in names},
)
