"""U-Net on the ISBI challenges' grey images, by the settings that its paper gives.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, Section 3: one large tile a step, with a momentum of 0.99 to make up for it; the weight
map, elastic deformation, and dropout at the end of the contracting path.

Deviations:
- The paper gives no learning rate and no number of steps. Of the rates 1e-4, 1e-3, 1e-2 and 5e-2,
  1e-3 gave the best scores in 300 steps of a U-Net with 16 filters on drawn membranes.
- The tile is the whole image, extended by mirroring; the loss is a weighted mean.
- The paper names no numbers for shift and rotation; here images are also mirrored.
- A fifth of the images is held out; the paper trains on all, and the challenge scores others.

Data      membranes or moving cells: see recipes/data/sets/isbi.py
Start     random weights, as the paper draws them
Command   zoo train isbi_unet --workdir runs/isbi_unet --data-dir path/to/isbi
Time      not yet run; the authors report 10 hours on a Titan GPU
Result    not yet run
Paper     the authors report a warping error of 0.000353 on the challenge's test images
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    data="isbi",
    steps=30_000,
    batch_size=1,
    augment=("shift", "rotate", "elastic", "flip", "light"),
    weight_map=True,
    optimizer="sgd",
    learning_rate=1e-3,
    momentum=0.99,
    save_every=500,
    validate_every=1000,
)
