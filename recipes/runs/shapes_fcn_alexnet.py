"""A narrow FCN-AlexNet learns textured shapes from scratch.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017,
with 16 to 48 instead of 96 to 384 filters.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_fcn_alexnet --workdir runs/shapes_fcn_alexnet
Time      3 minutes on 2 busy cores
Result    mean IoU 0.1896 on 100 scenes that training does not see; measured when crops
          lay mostly at the ends of an image, as they no longer do
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn_alexnet",
    options={"stages": [16, 32, 48, 48, 32], "fc_filters": 128},
    data="shapes",
    steps=2000,
    batch_size=4,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
    class_weights="balanced",
)
