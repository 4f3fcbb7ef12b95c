"""Turns a model into files: for TensorFlow Serving, for devices, and for other runtimes.

`saved_model.export(model, out)`, `tflite.export(model, out, size=(h, w))` and
`exchange.export(model, out, form="onnx")` write a version, check it in the loaders that its users
have, and only then give it its name. `python -m exports` is the command for all of them.
"""

import zoo  # noqa: F401  (first: it imports TensorFlow without its messages)
from exports import check, exchange, saved_model, tflite

__all__ = ["check", "exchange", "saved_model", "tflite"]
