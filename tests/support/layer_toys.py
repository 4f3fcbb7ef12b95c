"""The layers' table: for each layer of the zoo, how it turns an image into something to check."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from zoo import layers


@dataclasses.dataclass(frozen=True)
class LayerToy:
    """What the layer is called with, and a height and width that it takes, odd where it can be.

    `tolerance` is the largest difference between two ways to compute it, relative to the largest
    value.
    """

    apply: Callable[[Any], Any]
    size: tuple[int, int] = (7, 9)
    tolerance: float = 1e-5


def weighted(layer: keras.Layer, image: Any) -> Any:
    """The layer with the same random weights on every backend, called."""
    layer.build(image.shape)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.2, weight.shape) for weight in layer.weights])
    return layer(image)


def prepared(image: Any, **options: Any) -> Any:
    """A PreparedConv2D of 6 filters with the kernel of a convolution."""
    layer = layers.PreparedConv2D(6, 3, **options)
    layer.build(image.shape)
    kernel = np.random.default_rng(0).normal(0, 0.2, (3, 3, 4 // layer.groups, 6))
    points = layers.transformed_kernel(kernel, layer.groups, layer.tile)
    layer.set_weights([points, np.arange(6)])
    return layer(image)


# Tiles of 8 × 8 pixels round more than a convolution.
TILES = 5e-5


LAYER_TOYS = {
    "MaxPoolingWithArgmax": LayerToy(lambda image: layers.MaxPoolingWithArgmax()(image)),
    "MaxUnpooling": LayerToy(
        lambda image: layers.MaxUnpooling()(*layers.MaxPoolingWithArgmax()(image), like=image)
    ),
    "MaxUnpooling, windows of 3, whole": LayerToy(
        lambda image: layers.MaxUnpooling(3)(*layers.MaxPoolingWithArgmax(3)(image))
    ),
    "NearestUnpooling": LayerToy(
        lambda image: layers.NearestUnpooling()(*layers.MaxPoolingWithArgmax()(image), like=image)
    ),
    "BedOfNailsUnpooling": LayerToy(
        lambda image: layers.BedOfNailsUnpooling(3)(
            layers.MaxPoolingWithArgmax(3)(image)[0], like=image
        )
    ),
    "BilinearUpsampling": LayerToy(lambda image: layers.BilinearUpsampling(4)(image)),
    "BilinearUpsampling, odd kernel": LayerToy(
        lambda image: layers.BilinearUpsampling(4, 7)(image)
    ),
    "BilinearUpsampling, learned": LayerToy(
        lambda image: layers.BilinearUpsampling(2, learned=True, use_bias=True)(image)
    ),
    "CropLike": LayerToy(
        lambda image: layers.CropLike((1, 2))(keras.layers.ZeroPadding2D(3)(image), image)
    ),
    "CaffeMaxPooling": LayerToy(lambda image: layers.CaffeMaxPooling(3, 2)(image), (8, 9)),
    "LocalResponseNormalization": LayerToy(
        lambda image: layers.LocalResponseNormalization(3, alpha=0.5)(image)
    ),
    "MirrorPadding": LayerToy(lambda image: layers.MirrorPadding(1)(image)),
    "PadToMultiple": LayerToy(lambda image: layers.PadToMultiple(4, minimum=10)(image)),
    "ValidTile": LayerToy(lambda image: layers.ValidTile(1)(image), (18, 20)),
    "WinogradConv2D": LayerToy(
        lambda image: weighted(layers.WinogradConv2D(6, 3, padding="same"), image), tolerance=TILES
    ),
    "WinogradConv2D, windows of 4, groups": LayerToy(
        lambda image: weighted(layers.WinogradConv2D(6, 4, groups=2), image), tolerance=TILES
    ),
    "WinogradConv2DTranspose": LayerToy(
        lambda image: weighted(layers.WinogradConv2DTranspose(6, 3, padding="same"), image),
        tolerance=TILES,
    ),
    "PreparedConv2D": LayerToy(
        lambda image: prepared(image, padding="same", activation="relu"), tolerance=TILES
    ),
    "PreparedConv2D, full, groups, small tiles": LayerToy(
        lambda image: prepared(image, padding="full", groups=2, tile=6)
    ),
    "ProductConv2D": LayerToy(lambda image: weighted(layers.ProductConv2D(6, 5), image)),
    "ProductConv2DTranspose": LayerToy(
        lambda image: weighted(layers.ProductConv2DTranspose(6, (2, 3)), image)
    ),
    "RepeatNearBorder": LayerToy(lambda image: layers.RepeatNearBorder(1, 2)(image)),
}


def layer_image(name: str, count: int = 2) -> np.ndarray:
    """Float32 values [count, h, w, 4] no two of which are closer than 1/128, in both signs."""
    shape = (count, *LAYER_TOYS[name].size, 4)
    values = np.random.default_rng(3).permutation(np.prod(shape))
    return ((values - values.size / 2) / 128).astype("float32").reshape(shape)


def layer_model(name: str, size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """The toy as a functional model, of unknown size unless one is given."""
    image = keras.Input((*size, 4), name="image")
    return keras.Model(image, LAYER_TOYS[name].apply(image))


def outputs_of(model: Callable[[Any], Any], image: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(image))]
