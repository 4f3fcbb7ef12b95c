"""DeconvNet from VGG-16 on crops of CamVid, by the solver of its authors for VOC.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015. Its
authors train on windows of VOC's images, in two stages; the solver is that of their first.

Our choice:
- Random crops of 224 × 224 in the place of windows around objects, in one stage.
- 5,000 steps of 64 crops, and the rate falls after each 2,250 steps: a quarter of the authors'
  numbers, for 367 images.
- The classes have no weights, as in the authors' training.
- Images are scored with the running averages of batch normalization, as in voc_deconvnet_objects.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train camvid_deconvnet --workdir runs/camvid_deconvnet --data-dir path/to/CamVid
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="deconvnet",
    encoder_weights="imagenet",
    data="camvid",
    steps=5000,
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
    step_size=2250,
    sync_batch_norm=True,
    save_every=250,
    validate_every=250,
)
