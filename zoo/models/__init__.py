"""The builders, one module per paper."""

from zoo.models.deconvnet import deconvnet
from zoo.models.fcn import fcn8s, fcn8s_atonce, fcn16s, fcn32s, fcn_alexnet
from zoo.models.unet import unet

__all__ = [
    "deconvnet",
    "fcn8s",
    "fcn8s_atonce",
    "fcn16s",
    "fcn32s",
    "fcn_alexnet",
    "unet",
]
