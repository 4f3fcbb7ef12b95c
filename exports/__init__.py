"""Turns a model into files: for TensorFlow Serving, for devices, and for other runtimes.

`formats.saved_model.export(model, out)`, `formats.tflite.export(model, out, size=(h, w))` and
`formats.exchange.export(model, out, form="onnx")` write a version, check it in the loaders that its
users have, and only then give it its name. `python -m exports` is the command for all of them.
"""

import importlib
import types

__all__ = ["check", "formats"]


def __getattr__(name: str) -> types.ModuleType:
    """Imports a part when it is first asked for: `exports.client` needs no TensorFlow."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import zoo  # noqa: F401  (first: it imports TensorFlow without its messages)

    return importlib.import_module(f"exports.{name}")
