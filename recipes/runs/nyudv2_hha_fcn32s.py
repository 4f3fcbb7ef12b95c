r"""FCN-32s from VGG-16 on NYUDv2's HHA images, which encode depth, by the authors' solver.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017;
the solver of nyud-fcn32s-hha in the authors' release.

Deviations:
- Each epoch takes every image once, in random order; the authors draw with replacement.
- The authors' script ends after 100,000 steps, and the limit of their solver is 300,000 as here;
  `--limit-steps 100000` stops there.

Data      NYUDv2, 795 images and 654 to score: see recipes/data/sets/nyudv2.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train nyudv2_hha_fcn32s --workdir runs/nyudv2_hha_fcn32s \
              --data-dir path/to/nyudv2
Time      not yet run
Result    not yet run
Paper     the CVPR paper of 2015 reports a mean IoU of 24.2
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn32s",
    options={"mean": [132.431, 94.076, 118.477], "channel_order": [0, 1, 2]},
    encoder_weights="imagenet",
    data="nyudv2_hha",
    steps=300_000,
    batch_size=1,
    optimizer="sgd",
    learning_rate=1e-10,
    momentum=0.99,
    biases="doubled",
    weight_decay=5e-4,
    reduction="sum",
    save_every=1000,
    validate_every=2000,
)
