"""A narrow DeconvNet learns textured shapes from scratch.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, with 16 to
64 instead of 64 to 512 filters, on whole scenes instead of boxes around objects.

Data      500 scenes drawn by the program, in PASCAL VOC's layout: see recipes/data/sets/shapes.py
Command   zoo train shapes_deconvnet --workdir runs/shapes_deconvnet
Time      10 minutes on 2 busy cores
Result    mean IoU 0.3687 on 100 scenes that training does not see; measured when crops
          lay mostly at the ends of an image, as they no longer do
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="deconvnet",
    options={"stages": [16, 32, 64, 64, 64], "fc_filters": 128},
    data="shapes",
    steps=800,
    batch_size=8,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
)
