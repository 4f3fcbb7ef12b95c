"""A small U-Net outlines the coins of one photograph.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, with 16 instead of 64 filters and 3 instead of 4 levels.

Data      the photograph of coins in scikit-image, cut in two: see recipes/data/sets/coins.py
Command   zoo train coins_unet --workdir runs/coins
Time      1 to 3 minutes on 2 cores
Result    mean IoU 0.9892 on the held-out part of the photograph
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    options={"filters": 16, "depth": 3, "dropout": 0.2},
    data="coins",
    steps=300,
    batch_size=4,
    crop=128,
    augment=("flip", "turn", "light"),
    learning_rate=1e-3,
    schedule="cosine",
    save_every=100,
)
