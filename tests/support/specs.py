"""The Spec with which a toy is exported: every field says something."""

import zoo
from tests.support.toys import TOYS

UNET = zoo.Spec(
    "unet",
    TOYS["unet"].options,
    class_names=("sky", "sea [deep]", "Sønd", "background"),
    background=3,
    colours=((1, 2, 3), (4, 5, 6), (7, 8, 255), (0, 0, 0)),
)
