"""Crops with real context: a U-Net of valid convolutions sees the image around what is scored.

U-Net (Ronneberger, Fischer and Brox, MICCAI 2015, Figure 2) scores the middle of a tile; mirroring
is for what lies outside of the image. So a crop is trained in the tile around it: the layers behind
`zoo.layers.MirrorPadding` take the tile, with the same weights. A tile has the size that mirroring
would give the crop, and costs no more.
"""

import keras

from recipes.training.recipe import Recipe
from zoo.layers import CropLike, MirrorPadding


def around(recipe: Recipe, model: keras.Model) -> tuple[int, int]:
    """The pixels of the image before and behind a crop, along each axis, that training reads.

    0 for whole images, and for a model that mirrors nothing.
    """
    mirror = _mirror(recipe, model)
    if mirror is None:
        return 0, 0
    _, side, _, _ = mirror.compute_output_shape((None, recipe.crop, recipe.crop, None))
    return mirror.margin, side - recipe.crop - mirror.margin


def trained(recipe: Recipe, model: keras.Model) -> keras.Model:
    """The model that takes the crops of `around`, with the layers and weights of the given one.

    Its scores are those of the crop.
    """
    mirror = _mirror(recipe, model)
    if mirror is None:
        return model
    (cropped,) = (layer for layer in model.layers if isinstance(layer, CropLike))
    scores, _ = cropped.input
    scores = scores[:, : recipe.crop, : recipe.crop]  # a tile's may be more
    return keras.Model(mirror.output, scores, name=f"{model.name}_tile")


def _mirror(recipe: Recipe, model: keras.Model) -> MirrorPadding | None:
    """The layer that mirrors the border of the image, if crops are trained with their context."""
    if not (recipe.context and recipe.crop):
        return None
    return next((layer for layer in model.layers if isinstance(layer, MirrorPadding)), None)
