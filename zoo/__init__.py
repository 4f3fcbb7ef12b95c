"""The networks that founded semantic segmentation, exact to their authors' definitions.

`build(name)` gives a plain `keras.Model`, `load(path)` a trained one; `list_models()` and
`describe(name)` say what there is. Nothing is imported before it is used: neither TensorFlow nor
Keras comes with `import zoo`. (To open a `.keras` file with Keras, import Keras first, or
`zoo.layers`: Keras has to know the layers of the zoo.)
"""

import sys as _sys

from zoo import lazy as _lazy
from zoo.registry import Card, build, describe, list_models
from zoo.spec import Spec

__version__ = "0.1.0"

__all__ = [
    "Card",
    "Spec",
    "__version__",
    "build",
    "class_names",
    "describe",
    "images",
    "layers",
    "list_models",
    "load",
    "metrics",
    "models",
    "pictures",
    "read_spec",
    "weights",
]

_PARTS = ("class_names", "images", "layers", "metrics", "models", "pictures", "weights")

__getattr__ = _lazy.attach(
    "zoo",
    {name: f"zoo.{name}" for name in _PARTS} | {"load": "zoo.loading", "read_spec": "zoo.loading"},
)

if "keras" in _sys.modules:  # it may open a `.keras` file, whose layers it has to know by then
    from zoo import layers, metrics


def __dir__() -> list[str]:
    return sorted(__all__)
