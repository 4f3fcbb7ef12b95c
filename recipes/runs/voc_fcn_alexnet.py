"""FCN-AlexNet from CaffeNet on VOC, by the authors' solver.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017;
the solver of voc-fcn-alexnet in the authors' release.

Deviation:
- Each epoch takes every image once, in random order; the authors draw with replacement.

Data      VOC2011 with SBD's labels, 8,498 images and 736 to score: see recipes/data/sets/sbd.py
Start     bvlc_reference_caffenet.caffemodel, in this folder or from `zoo fetch`; see
          `zoo weights fcn_alexnet`
Command   zoo train voc_fcn_alexnet --workdir runs/voc_fcn_alexnet --data-dir path/to/sbd
Time      not yet run
Result    not yet run
Paper     the authors report a mean IoU of 48.0 on the 736 images
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn_alexnet",
    encoder_weights="bvlc_reference_caffenet.caffemodel",
    data="sbd",
    steps=100_000,
    batch_size=1,
    accumulate=20,
    optimizer="sgd",
    learning_rate=1e-4,
    momentum=0.9,
    weight_decay=5e-4,
    biases="doubled-scores",
    save_every=1000,
    validate_every=4000,
)
