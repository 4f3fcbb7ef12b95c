"""A U-Net for a folder of your own images and masks.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, with 32 instead of 64 filters and Adam instead of momentum. For images without an up
and down, such as those of a microscope, add turn or rotate to --augment.

Data      images/, masks/ and classes.txt: see recipes/data/sets/folder.py
Command   zoo train folder_unet --workdir runs/mine --data-dir path/to/folder
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    options={"filters": 32},
    data="folder",
    steps=4000,
    batch_size=4,
    crop=256,
    augment=("elastic", "flip", "light"),
    learning_rate=3e-4,
    schedule="cosine",
    validate_every=500,
)
