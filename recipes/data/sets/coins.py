"""Coins: a photograph of 24 Greek coins, cut in two; classes background and coin.

The photograph, 303×384 grey, comes with scikit-image (`skimage.data.coins`; Brooklyn Museum
Collection, no known copyright restrictions). It comes without labels; they are computed as in
scikit-image's segmentation tutorial: the watershed of the Sobel elevation map from the markers
"darker than 30" (background) and "brighter than 150" (coin), with the holes filled.

The rows from 225 on, with 6 of the coins, are the split "val"; the rows above are "train". The cut
runs through the widest empty strip, 7 rows below the coins above it and 8 rows above those below
it, so no coin is in both splits.
"""

import pathlib

import numpy as np

from recipes.data.dataset import Dataset

CUT = 225


def photograph() -> np.ndarray:
    """The whole photograph, uint8 `[303, 384]`."""
    from skimage import data

    return data.coins()


def labels(photograph: np.ndarray) -> np.ndarray:
    """The class map of the whole photograph by marker-controlled watershed, uint8 `[303, 384]`."""
    from scipy import ndimage
    from skimage import filters, segmentation

    markers = np.zeros(photograph.shape, np.int32)
    markers[photograph < 30] = 1
    markers[photograph > 150] = 2
    regions = segmentation.watershed(filters.sobel(photograph), markers)
    return ndimage.binary_fill_holes(regions == 2).astype(np.uint8)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The two parts of the photograph; nothing is read from or written to `data_dir`."""
    image = photograph()
    label = labels(image)
    rows = {"train": slice(0, CUT), "val": slice(CUT, None)}
    return {
        split: _part(split, image[part, :, np.newaxis], label[part]) for split, part in rows.items()
    }


def _part(split: str, image: np.ndarray, label: np.ndarray) -> Dataset:
    return Dataset(
        name="coins",
        split=split,
        class_names=("background", "coin"),
        channels=1,
        files=((f"skimage.data.coins() ({split})", f"its watershed ({split})"),),
        example=lambda index: (image, label),
        background=0,
    )
