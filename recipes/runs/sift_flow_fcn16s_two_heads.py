r"""FCN-16s with two heads from FCN-32s on SIFT Flow, by the authors' solver.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017;
the solver of siftflow-fcn16s in the authors' release.

Deviations:
- Each epoch takes every image once, in random order; the authors draw with replacement.
- The authors' script ends after 100,000 steps, and the limit of their solver is 300,000 as here;
  `--limit-steps 100000` stops there.
- The mean IoU leaves out the three classes that no test image shows.

Data      SIFT Flow, 2,486 images and 200 to score: see recipes/data/sets/sift_flow.py
Start     the weights in runs/sift_flow_fcn32s_two_heads; of another run:
          --encoder-weights WORKDIR
Command   zoo train sift_flow_fcn16s_two_heads --workdir runs/sift_flow_fcn16s_two_heads \
              --data-dir path/to/sift_flow
Time      not yet run
Result    not yet run
Paper     the CVPR paper of 2015 reports a mean IoU of 39.5, and a pixel accuracy of 94.3 for the
          geometric classes
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn16s_two_heads",
    encoder_weights="runs/sift_flow_fcn32s_two_heads",
    data="sift_flow",
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
