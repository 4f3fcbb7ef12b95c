"""The builders, one module per paper."""

from zoo.models.deconvnet import deconvnet
from zoo.models.fcn import fcn8s, fcn8s_atonce, fcn16s, fcn32s, fcn_alexnet
from zoo.models.heatmaps import caffenet_heatmap, vgg16_heatmap, vgg19_heatmap
from zoo.models.unet import unet
from zoo.models.unet_vgg import unet_vgg16

__all__ = [
    "caffenet_heatmap",
    "deconvnet",
    "fcn8s",
    "fcn8s_atonce",
    "fcn16s",
    "fcn32s",
    "fcn_alexnet",
    "unet",
    "unet_vgg16",
    "vgg16_heatmap",
    "vgg19_heatmap",
]
