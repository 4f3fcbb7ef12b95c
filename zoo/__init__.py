"""The networks that founded semantic segmentation, exact to their authors' definitions.

`build(name)` gives a plain `keras.Model`; `list_models()` and `describe(name)` say what there is.
"""

from zoo._quiet import quiet_import

with quiet_import():
    import keras as _keras  # noqa: F401  (registers nothing; only its messages are held back)

from zoo import class_names, layers, metrics, models, pictures, weights
from zoo.registry import Card, build, describe, list_models

__version__ = "0.1.0"

__all__ = [
    "Card",
    "__version__",
    "build",
    "class_names",
    "describe",
    "layers",
    "list_models",
    "metrics",
    "models",
    "pictures",
    "weights",
]
