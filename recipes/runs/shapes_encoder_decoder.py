"""A small encoder and decoder without skips learns textured shapes from scratch.

Down by pooling and up by max-unpooling ("Detection and Segmentation", Lecture 11 of CS231n,
Stanford 2017), with the widths and levels of shapes_unet.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_encoder_decoder --workdir runs/shapes_encoder_decoder
Time      4 minutes, 1.12 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.4679 on 100 scenes that training does not see
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="encoder_decoder",
    options={"filters": 16, "depth": 3, "upsampling": "max_unpooling"},
    data="shapes",
    steps=800,
    batch_size=8,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
)
