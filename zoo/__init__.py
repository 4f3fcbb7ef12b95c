"""The networks that founded semantic segmentation, exact to their authors' definitions.

`build(name)` gives a plain `keras.Model`, `load(path)` a trained one, and `predict(model, image)`
the class of each pixel; `list_models()` and `describe(name)` say what there is. Nothing is imported
before it is used: neither TensorFlow nor Keras comes with `import zoo`. (To open a `.keras` file
with Keras, import Keras first, or `zoo.layers`: Keras has to know the layers of the zoo.)
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
    "faster",
    "images",
    "inference",
    "layers",
    "list_models",
    "load",
    "metrics",
    "models",
    "pictures",
    "predict",
    "read_spec",
    "weights",
]

_PARTS = (
    *("class_names", "images", "inference", "layers", "metrics", "models", "pictures", "weights"),
)

__getattr__ = _lazy.attach(
    "zoo",
    {name: f"zoo.{name}" for name in _PARTS}
    | dict.fromkeys(("load", "read_spec"), "zoo.loading")
    | {"faster": "zoo.fast_copy", "predict": "zoo.inference.predicting"},
)

if "keras" in _sys.modules:  # it may open a `.keras` file, whose layers it has to know by then
    from zoo import layers, metrics


def __dir__() -> list[str]:
    return sorted(__all__)
