"""A narrow FCN-8s at-once learns CamVid from scratch, on a computer without a GPU.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", TPAMI 2017,
with 16 to 64 instead of 64 to 512 filters.

Our choice: crops and Adam, the same for all of camvid_…_small, so that the nets can be compared.
All classes weigh the same, unlike in SegNet's paper: with --class-weights balanced 44 % of the
pixels of val were right in the place of 63 %. After so few steps the rare classes were found, and
drawn over much else; the mean accuracy, in which each class counts alike, was 0.42 in the place of
0.34. The mean IoU, 0.2049 in the place of 0.2235, differs no more than between two seeds.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     random weights
Command   zoo train camvid_fcn8s_atonce_small --workdir runs/camvid_fcn8s_atonce_small \
              --data-dir path/to/CamVid
Time      13 minutes, 1.39 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.2110 on the 233 images of test, 0.2235 on the 101 of val
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="fcn8s_atonce",
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
