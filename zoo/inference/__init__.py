"""From an image of any size to its best class map."""

from zoo import lazy as _lazy

__all__ = ["Scorer", "class_map", "scorer"]

__getattr__ = _lazy.attach("zoo.inference", dict.fromkeys(__all__, "zoo.inference.scorers"))


def __dir__() -> list[str]:
    return sorted(__all__)
