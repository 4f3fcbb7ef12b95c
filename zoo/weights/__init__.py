"""Loads and saves the weights of a model, or loads those of its trunk."""

from zoo import lazy as _lazy

ENDINGS = (".weights.h5", ".h5", ".keras", ".caffemodel")
"""Of the files of weights that can be read."""

__all__ = [
    "ENDINGS",
    "CaffeFileError",
    "catalog",
    "is_whole",
    "load",
    "read_caffemodel",
    "save",
    "sha256",
]

__getattr__ = _lazy.attach(
    "zoo.weights",
    {
        "CaffeFileError": "zoo.weights.caffe",
        "catalog": "zoo.weights.catalog",
        "is_whole": "zoo.weights.checksums",
        "load": "zoo.weights.filling",
        "read_caffemodel": "zoo.weights.caffe",
        "save": "zoo.weights.saving",
        "sha256": "zoo.weights.checksums",
    },
)
