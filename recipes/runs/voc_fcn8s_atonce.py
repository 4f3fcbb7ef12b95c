"""FCN-8s at-once from VGG-16 on VOC, in one stage, by the authors' solver.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017;
the solver of voc-fcn8s-atonce in the authors' release.

Deviation:
- Each epoch takes every image once, in random order; the authors draw with replacement.

Data      VOC2011 with SBD's labels, 8,498 images and 736 to score: see recipes/data/sets/sbd.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train voc_fcn8s_atonce --workdir runs/voc_fcn8s_atonce --data-dir path/to/sbd
Time      not yet run
Result    not yet run
Paper     the authors report a mean IoU of 65.4 on the 736 images
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn8s_atonce",
    encoder_weights="imagenet",
    data="sbd",
    steps=300_000,
    batch_size=1,
    optimizer="sgd",
    learning_rate=1e-10,
    momentum=0.99,
    biases="doubled",
    weight_decay=5e-4,
    reduction="sum",
    save_every=1000,
    validate_every=4000,
)
