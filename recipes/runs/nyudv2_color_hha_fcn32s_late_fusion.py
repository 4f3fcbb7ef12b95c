r"""Two FCN-32s on NYUDv2, for colour and for HHA, fused and trained on by the authors' solver.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017;
the solver of nyud-fcn32s-color-hha in the authors' release.

Deviations:
- Each epoch takes every image once, in random order; the authors draw with replacement.
- The authors' script ends after 100,000 steps, and the limit of their solver is 300,000 as here;
  `--limit-steps 100000` stops there.
- The authors start from the colour net of step 28,000 and the HHA net of step 60,000; train those
  with `--limit-steps` to do the same.

Data      NYUDv2, 795 images and 654 to score: see recipes/data/sets/nyudv2.py
Start     the weights in runs/nyudv2_fcn32s and runs/nyudv2_hha_fcn32s; of other runs:
          --encoder-weights color=WORKDIR,hha=WORKDIR
Command   zoo train nyudv2_color_hha_fcn32s_late_fusion \
              --workdir runs/nyudv2_color_hha_fcn32s_late_fusion \
              --data-dir path/to/nyudv2
Time      not yet run
Result    not yet run
Paper     the CVPR paper of 2015 reports a mean IoU of 32.8
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn32s_late_fusion",
    encoder_weights="color=runs/nyudv2_fcn32s,hha=runs/nyudv2_hha_fcn32s",
    data="nyudv2_color_hha",
    steps=300_000,
    batch_size=1,
    optimizer="sgd",
    learning_rate=1e-12,
    momentum=0.99,
    biases="doubled",
    weight_decay=5e-4,
    reduction="sum",
    save_every=1000,
    validate_every=2000,
)
