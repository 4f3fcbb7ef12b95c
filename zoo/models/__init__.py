"""The builders, one module per paper."""

from zoo.models.deconvnet import deconvnet
from zoo.models.encoder_decoder import encoder_decoder
from zoo.models.fcn import fcn8s, fcn8s_atonce, fcn16s, fcn32s, fcn_alexnet
from zoo.models.fullres import fullres
from zoo.models.heatmaps import caffenet_heatmap, vgg16_heatmap, vgg19_heatmap
from zoo.models.segnet import segnet
from zoo.models.unet import unet
from zoo.models.unet_vgg import unet_vgg16

__all__ = [
    "caffenet_heatmap",
    "deconvnet",
    "encoder_decoder",
    "fcn8s",
    "fcn8s_atonce",
    "fcn16s",
    "fcn32s",
    "fcn_alexnet",
    "fullres",
    "segnet",
    "unet",
    "unet_vgg16",
    "vgg16_heatmap",
    "vgg19_heatmap",
]
