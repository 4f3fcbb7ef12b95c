"""Layers that the zoo's networks need and Keras does not have."""

from zoo.layers.borders import MirrorPadding, PadToMultiple, ValidTile
from zoo.layers.caffe import CaffeMaxPooling, LocalResponseNormalization
from zoo.layers.products import ProductConv2D, ProductConv2DTranspose
from zoo.layers.repeating import RepeatNearBorder
from zoo.layers.unpooling import (
    BedOfNailsUnpooling,
    MaxPoolingWithArgmax,
    MaxUnpooling,
    NearestUnpooling,
    flat_indices_to_switches,
    switches_to_flat_indices,
)
from zoo.layers.upsampling import BilinearUpsampling, CropLike, bilinear_kernel
from zoo.layers.winograd import (
    PreparedConv2D,
    WinogradConv2D,
    WinogradConv2DTranspose,
    transformed_kernel,
)

__all__ = [
    "BedOfNailsUnpooling",
    "BilinearUpsampling",
    "CaffeMaxPooling",
    "CropLike",
    "LocalResponseNormalization",
    "MaxPoolingWithArgmax",
    "MaxUnpooling",
    "MirrorPadding",
    "NearestUnpooling",
    "PadToMultiple",
    "PreparedConv2D",
    "ProductConv2D",
    "ProductConv2DTranspose",
    "RepeatNearBorder",
    "ValidTile",
    "WinogradConv2D",
    "WinogradConv2DTranspose",
    "bilinear_kernel",
    "flat_indices_to_switches",
    "switches_to_flat_indices",
    "transformed_kernel",
]
