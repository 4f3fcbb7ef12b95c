"""A narrow FCN-8s learns textured shapes from scratch.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017,
with 16 to 64 instead of 64 to 512 filters and none of the authors' stages of training.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_fcn8s --workdir runs/shapes_fcn8s
Time      3 minutes on 2 cores
Result    mean IoU 0.9226 on 100 scenes that training does not see; measured when crops
          lay mostly at the ends of an image, as they no longer do
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn8s",
    options={"stages": [16, 32, 64, 64, 64], "fc_filters": 128},
    data="shapes",
    steps=800,
    batch_size=8,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
)
