r"""DeconvNet on windows of VOC that may hold an object: the second of the authors' two stages.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015; the solver
of the second stage in the authors' release.

Deviations:
- The images are those that FCN's authors train on, and 736 are kept to score; DeconvNet's authors
  take VOC2012's training and validation images.
- Images are scored with the running averages of batch normalization; the authors compute
  averages over about 500 batches of the trained net.
- EdgeBoxes start from gradients, not from a structured forest's edges:
  zoo/inference/edge_boxes.py.

Data      VOC2011 with SBD's labels, windows from EdgeBoxes or a list: see
          recipes/data/sets/sbd_proposals.py
Start     the weights in runs/voc_deconvnet_objects; of another run: --encoder-weights WORKDIR
Command   zoo train voc_deconvnet_proposals --workdir runs/voc_deconvnet_proposals \
              --data-dir path/to/sbd
Time      not yet run
Result    not yet run
Paper     the authors report a mean IoU of 69.6 on VOC2012's test images, by joining 50 windows of
          each
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="deconvnet",
    encoder_weights="runs/voc_deconvnet_objects",
    data="sbd_proposals",
    steps=40_000,
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
    step_size=10_000,
    sync_batch_norm=True,
    save_every=500,
    validate_every=500,
)
