r"""FCN-32s from VGG-16 on PASCAL-Context, by the authors' solver.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017;
the solver of pascalcontext-fcn32s in the authors' release.

Deviations:
- Each epoch takes every image once, in random order; the authors draw with replacement.
- The authors' script goes on for 400,000 steps, though the limit of their solver is 300,000 as
  here; `--steps 400000` does that.

Data      PASCAL-Context, 4,998 images and 5,105 to score: see recipes/data/sets/pascal_context.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train pascal_context_fcn32s --workdir runs/pascal_context_fcn32s \
              --data-dir VOCdevkit/VOC2010
Time      not yet run
Result    not yet run
Paper     an earlier version of the paper (arXiv:1411.4038v2) reports a mean IoU of 31.8 of the 59
          classes; here the background counts too
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn32s",
    options={"mean": [122.679, 116.669, 104.007]},
    encoder_weights="imagenet",
    data="pascal_context",
    steps=300_000,
    batch_size=1,
    optimizer="sgd",
    learning_rate=1e-10,
    momentum=0.99,
    biases="doubled",
    weight_decay=5e-4,
    reduction="sum",
    save_every=1000,
    validate_every=8000,
)
