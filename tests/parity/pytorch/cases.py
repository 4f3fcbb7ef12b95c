"""What is asked of both engines: nets in toy widths, and image sizes that include odd ones."""

import dataclasses
from typing import Any

import numpy as np

# Largest difference between two engines, relative to the largest value.
TOLERANCE = 1e-5
# What a class map has where the best two scores are closer than that.
UNDECIDED = 255
# Places along a side, from border to border, at which the class is recorded, and at which the
# scores and the gradient are.
CLASSES, SCORES = 64, 8


@dataclasses.dataclass(frozen=True)
class Case:
    """A model with its options, images [n, h, w, channels], and how it is run."""

    model: str
    options: dict[str, Any]
    shape: tuple[int, int, int, int]
    training: bool = False  # batch normalization by the batch's statistics
    precision: str = "float32"  # of the zoo's model


DECONVNET = {"classes": 5, "stages": (4, 5, 6, 7, 8), "fc_filters": 12}
UNET = {"classes": 5, "channels": 3, "filters": 4, "depth": 2, "dropout": 0.0}
# Wide enough that no window of features is all zero: the next layer would be flat there, and ties.
SEGNET = {"classes": 5, "filters": 8}
BASIC = SEGNET | {"definition": "basic"}
LESSON = {"classes": 3, "filters": 4}
DOWN_AND_UP = LESSON | {"depth": 2}
VALID, MIRROR, SAME = ({"border": border} for border in ("valid", "mirror", "same"))
UNET_VGG16 = {"classes": 5, "stages": (4, 5, 6, 7, 8)}

CASES = {
    "deconvnet": Case("deconvnet", DECONVNET, (1, 224, 224, 3)),
    "deconvnet_odd": Case("deconvnet", DECONVNET, (1, 97, 131, 3)),
    "deconvnet_tall": Case("deconvnet", DECONVNET, (1, 257, 33, 3)),
    # Without a border: its flat surface ties in the poolings, rounding decides where each value
    # returns, and the statistics of a whole batch carry that into every pixel.
    # A small batch's statistics amplify a rounding of float32 a thousand times, in either engine.
    "deconvnet_training": Case(
        "deconvnet", DECONVNET, (2, 224, 256, 3), training=True, precision="float64"
    ),
    # Of so many windows one is nearly a tie, which a rounding of float32 decides.
    "segnet": Case("segnet", SEGNET, (1, 360, 480, 3), precision="float64"),
    "segnet_odd": Case("segnet", SEGNET, (1, 45, 71, 3)),
    "segnet_basic": Case("segnet", BASIC, (1, 360, 480, 3)),
    "segnet_basic_odd": Case("segnet", BASIC, (1, 37, 50, 3)),
    "fullres": Case("fullres", LESSON | {"depth": 4}, (1, 21, 30, 3)),
    **{
        f"encoder_decoder_{up}": Case(
            "encoder_decoder", DOWN_AND_UP | {"upsampling": up}, (1, 21, 31, 3)
        )
        for up in ("nearest", "bed_of_nails", "max_unpooling", "transposed", "bilinear")
    },
    "encoder_decoder_strided": Case(
        *("encoder_decoder", DOWN_AND_UP | {"downsampling": "strided", "upsampling": "transposed"}),
        (1, 22, 29, 3),
    ),
    "unet_valid": Case("unet", UNET | VALID, (2, 92, 108, 3)),
    "unet_release": Case("unet", UNET | VALID | {"definition": "release"}, (1, 92, 76, 3)),
    "unet_deep": Case("unet", UNET | VALID | {"depth": 4, "filters": 8}, (1, 204, 220, 3)),
    "unet_mirror": Case("unet", UNET | MIRROR | {"depth": 3}, (1, 37, 50, 3)),
    "unet_same": Case("unet", UNET | SAME | {"depth": 3}, (1, 37, 50, 3)),
    "unet_normalized": Case("unet", UNET | SAME | {"batch_norm": True}, (1, 41, 54, 3)),
    "unet_vgg16": Case("unet_vgg16", UNET_VGG16, (1, 97, 131, 3)),
    "unet_narrow": Case("unet", UNET | MIRROR | {"channels": 1}, (1, 5, 81, 1)),
}


def places(array: np.ndarray, count: int) -> np.ndarray:
    """Of images [n, h, w, …] at most `count` rows and columns, evenly, with the first and last."""
    rows, columns = (
        np.unique(np.linspace(0, side - 1, count).astype(int)) for side in array.shape[1:3]
    )
    return array[:, rows][:, :, columns]
