"""From an image of any size to its best class map."""

from zoo import lazy as _lazy

_METHODS = (
    *("activations", "augmented", "crf", "ensembles", "heatmaps", "large", "proposals"),
    *("strips", "tiles", "windows"),
)
_PLACES = {
    "Method": "methods",
    "Scorer": "scorers",
    "class_map": "scorers",
    "predict": "predicting",
    "scorer": "scorers",
}
__all__ = [*_PLACES, *_METHODS]

__getattr__ = _lazy.attach(
    "zoo.inference",
    {name: f"zoo.inference.{place}" for name, place in _PLACES.items()}
    | {name: f"zoo.inference.{name}" for name in _METHODS},
)


def __dir__() -> list[str]:
    return sorted(__all__)
