r"""DeconvNet from VGG-16 on the objects of VOC: the first of the authors' two stages.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015; the solver
of the first stage in the authors' release.

Deviations:
- The images are those that FCN's authors train on, and 736 are kept to score; DeconvNet's authors
  take VOC2012's training and validation images.
- Images are scored with the running averages of batch normalization; the authors compute
  averages over about 500 batches of the trained net.

Data      VOC2011 with SBD's labels, each object a window: see recipes/data/sets/sbd_objects.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train voc_deconvnet_objects --workdir runs/voc_deconvnet_objects \
              --data-dir path/to/sbd
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="deconvnet",
    encoder_weights="imagenet",
    data="sbd_objects",
    steps=20_000,
    batch_size=8,
    crop=224,
    augment=("flip",),
    accumulate=8,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    biases="doubled",
    weight_decay=5e-4,
    schedule="step",
    step_size=9000,
    sync_batch_norm=True,
    save_every=500,
    validate_every=500,
)
