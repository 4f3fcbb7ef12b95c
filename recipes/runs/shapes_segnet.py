"""A narrow SegNet learns textured shapes from scratch.

Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation", PAMI 2017, with 16 to 128 instead of 64 to 512 filters.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_segnet --workdir runs/shapes_segnet
Time      6 minutes, 1.26 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.6799 on 100 scenes that training does not see
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="segnet",
    options={"filters": 16},
    data="shapes",
    steps=800,
    batch_size=8,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
)
