"""A narrow DeconvNet learns CamVid from scratch, on a computer without a GPU.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, with 16 to
64 instead of 64 to 512 filters.

Our choice: crops and Adam, the same for all of camvid_…_small, so that the nets can be compared.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     random weights
Command   zoo train camvid_deconvnet_small --workdir runs/camvid_deconvnet_small \
              --data-dir path/to/CamVid
Time      15 minutes, 1.67 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.1602 on the 233 images of test, 0.1674 on the 101 of val
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="deconvnet",
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
