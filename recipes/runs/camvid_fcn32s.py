"""FCN-32s from VGG-16 on CamVid, by the solver of its authors for VOC.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017.
Its authors train on other data; the solver is that of voc_fcn32s.

Our choice:
- 36,700 steps of one image: 100 epochs.
- The classes have no weights, as the authors found none necessary.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train camvid_fcn32s --workdir runs/camvid_fcn32s --data-dir path/to/CamVid
Time      not yet run
Result    not yet run
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn32s",
    encoder_weights="imagenet",
    data="camvid",
    steps=36_700,
    batch_size=1,
    optimizer="sgd",
    learning_rate=1e-10,
    momentum=0.99,
    biases="doubled",
    weight_decay=5e-4,
    reduction="sum",
    save_every=500,
    validate_every=1835,
)
