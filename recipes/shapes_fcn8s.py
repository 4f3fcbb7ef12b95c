"""A narrow FCN-8s learns textured shapes from scratch."""

import sys

from recipes.recipe import Recipe

RECIPE = Recipe(
    model="fcn8s",
    options={"stages": [16, 32, 64, 64, 64], "head": 128},
    data="shapes",
    steps=600,
    batch_size=8,
    crop=96,
    augment=("flip", "turn"),
    learning_rate=1e-3,
    schedule="cosine",
)

if __name__ == "__main__":
    from recipes.train import main

    sys.exit(main(RECIPE, __doc__))
