"""U-Net on CamVid, by the settings that its paper gives for images of a microscope.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015. One large tile a step, with a momentum of 0.99 to make up for it, as in isbi_unet.

Our choice:
- The learning rate 1e-3, as in isbi_unet, and 36,700 steps: 100 epochs.
- The tile is the whole image, extended by mirroring.
- Balanced class weights in the place of the weight map, whose first part balances the classes; its
  second part is for cells that touch.
- A road has an up and a down: images are scaled, shifted, mirrored and made lighter, and neither
  turned nor deformed.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     random weights, as the paper draws them
Command   zoo train camvid_unet --workdir runs/camvid_unet --data-dir path/to/CamVid
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    data="camvid",
    steps=36_700,
    batch_size=1,
    augment=("scale", "shift", "flip", "light"),
    class_weights="balanced",
    optimizer="sgd",
    learning_rate=1e-3,
    momentum=0.99,
    save_every=500,
    validate_every=1835,
)
