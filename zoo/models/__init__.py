"""The builders, one module per paper."""

from zoo.models.deconvnet import deconvnet
from zoo.models.encoder_decoder import encoder_decoder
from zoo.models.fcn import fcn8s, fcn8s_atonce, fcn16s, fcn32s, fcn_alexnet
from zoo.models.fcn_fusion import fcn32s_early_fusion, fcn32s_late_fusion
from zoo.models.fcn_googlenet import fcn_googlenet
from zoo.models.fcn_two_heads import fcn8s_two_heads, fcn16s_two_heads, fcn32s_two_heads
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
    "fcn8s_two_heads",
    "fcn16s",
    "fcn16s_two_heads",
    "fcn32s",
    "fcn32s_early_fusion",
    "fcn32s_late_fusion",
    "fcn32s_two_heads",
    "fcn_alexnet",
    "fcn_googlenet",
    "fullres",
    "segnet",
    "unet",
    "unet_vgg16",
    "vgg16_heatmap",
    "vgg19_heatmap",
]
