"""A narrow FCN-GoogLeNet learns textured shapes from scratch.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, and Shelhamer, Long and Darrell, "Fully
Convolutional Networks for Semantic Segmentation", TPAMI 2017, with 16 instead of 64 filters at
first.

Our choice: steps, batches and class weights as for FCN-32s, since all its scores come from a map at
a stride of 32 pixels, too.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_fcn_googlenet --workdir runs/shapes_fcn_googlenet
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn_googlenet",
    options={"filters": 16},
    data="shapes",
    steps=2000,
    batch_size=4,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
    class_weights="balanced",
)
