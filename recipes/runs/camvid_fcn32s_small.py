"""A narrow FCN-32s learns CamVid from scratch, on a computer without a GPU.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017,
with 16 to 64 instead of 64 to 512 filters.

Our choice: crops and Adam, the same for all of camvid_…_small, so that the nets can be compared.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     random weights
Command   zoo train camvid_fcn32s_small --workdir runs/camvid_fcn32s_small \
              --data-dir path/to/CamVid
Time      15 minutes, 1.35 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.1995 on the 233 images of test, 0.2047 on the 101 of val
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn32s",
    options={"stages": [16, 32, 64, 64, 64], "fc_filters": 128},
    data="camvid",
    steps=1000,
    batch_size=4,
    crop=224,
    augment=("scale", "flip", "light"),
    learning_rate=1e-3,
    schedule="cosine",
    validate_every=500,
)
