"""Turns a model into files: SavedModels for TensorFlow Serving, TFLite files for devices.

`saved_model.export(model, out)` and `tflite.export(model, out, size=(h, w))` write a version, check
it in the loaders that its users have, and only then give it its name. `python -m exports` is the
command for both.
"""

import zoo  # noqa: F401  (first: it imports TensorFlow without its messages)
from exports import check, saved_model, tflite

__all__ = ["check", "saved_model", "tflite"]
