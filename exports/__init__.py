"""Turns a model into files: for TensorFlow Serving, for devices, and for other runtimes.

`export(model, out, formats)` writes a version, checks it in the loaders that its users have, and
only then gives it its name. `read_spec(path)` says what an exported model is. The commands are
`zoo export`, `zoo check` and `zoo ask`.
"""

from zoo import lazy as _lazy

__all__ = ["check", "export", "formats", "read_spec"]

__getattr__ = _lazy.attach(
    "exports",
    {
        "check": "exports.check",
        "export": "exports.exporting",
        "formats": "exports.formats",
        "read_spec": "exports.reading",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
