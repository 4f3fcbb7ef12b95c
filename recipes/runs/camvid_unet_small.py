"""A narrow U-Net learns CamVid from scratch, on a computer without a GPU.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, with 16 to 256 instead of 64 to 1024 filters.

Its border is padded with zeros: a crop with the image around it, as the paper's tile, would cost
three times as much.

Our choice: crops and Adam, the same for all of camvid_…_small, so that the
nets can be compared.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     random weights
Command   zoo train camvid_unet_small --workdir runs/camvid_unet_small \
              --data-dir path/to/CamVid
Time      not yet run; meant for about 20 minutes on 2 cores
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    options={"filters": 16, "border": "same", "batch_norm": True},
    data="camvid",
    steps=1000,
    batch_size=4,
    crop=224,
    augment=("scale", "flip", "light"),
    learning_rate=1e-3,
    schedule="cosine",
    validate_every=500,
)
