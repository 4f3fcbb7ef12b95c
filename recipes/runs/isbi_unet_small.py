"""A narrow U-Net learns the ISBI challenges' grey images, on a computer without a GPU.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, with 16 to 256 instead of 64 to 1024 filters; the weight map and the augmentation of
isbi_unet.

Our choice: crops of 256 × 256, each with the image around it, and Adam.

Data      membranes or moving cells: see recipes/data/sets/isbi.py
Start     random weights, as the paper draws them
Command   zoo train isbi_unet_small --workdir runs/isbi_unet_small --data-dir path/to/isbi
Time      23 minutes, 1.81 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.7246 on 6 of the 30 EM images, which training does not see; V_Rand 0.952 with
          thin membranes, the challenge's score since 2015
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    options={"filters": 16},
    data="isbi",
    steps=1000,
    batch_size=2,
    crop=256,
    augment=("shift", "rotate", "elastic", "flip", "light"),
    weight_map=True,
    learning_rate=1e-3,
    schedule="cosine",
    validate_every=250,
)
