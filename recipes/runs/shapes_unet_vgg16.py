"""A narrow U-Net on VGG-16 learns textured shapes from scratch.

Iglovikov and Shvets, "TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet",
arXiv:1801.05746, on VGG-16 with 16 to 64 instead of 64 to 512 filters, without ImageNet.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_unet_vgg16 --workdir runs/shapes_unet_vgg16
Time      7 minutes, 1.2 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.4475 on 100 scenes that training does not see
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet_vgg16",
    options={"stages": [16, 32, 64, 64, 64]},
    data="shapes",
    steps=800,
    batch_size=8,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
)
