"""A U-Net on VGG-16 as trained on ImageNet, for a folder of your own images and masks.

Iglovikov and Shvets, "TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet",
arXiv:1801.05746, on VGG-16: see zoo/models/unet_vgg.py.

Data      images/, masks/ and classes.txt, in colour: see recipes/data/sets/folder.py
Command   zoo train folder_unet_vgg16 --workdir runs/mine --data-dir path/to/folder
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet_vgg16",
    encoder_weights="imagenet",
    data="folder",
    steps=4000,
    batch_size=4,
    crop=256,
    augment=("scale", "flip", "light"),
    learning_rate=1e-4,
    schedule="cosine",
    validate_every=500,
)
