"""FCN-8s, from VGG-16 as trained on ImageNet, for a folder of your own images and masks.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017,
with all scores trained at once by Adam instead of stage by stage.

Data      images/, masks/ and classes.txt, in colour: see recipes/data/sets/folder.py
Command   zoo train folder_fcn8s --workdir runs/mine --data-dir path/to/folder
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn8s",
    encoder_weights="imagenet",
    data="folder",
    steps=20_000,
    batch_size=4,
    crop=384,
    augment=("scale", "flip", "light"),
    learning_rate=1e-5,
    schedule="polynomial",
    save_every=500,
    validate_every=2000,
)
