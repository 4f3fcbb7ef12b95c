"""A narrow SegNet learns CamVid from scratch, on a computer without a GPU.

Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation", PAMI 2017, with 16 to 128 instead of 64 to 512 filters.

Our choice: crops and Adam, the same for all of camvid_…_small, so that the nets can be compared.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     random weights
Command   zoo train camvid_segnet_small --workdir runs/camvid_segnet_small \
              --data-dir path/to/CamVid
Time      17 minutes, 1.71 GB, on 2 cores of an AMD EPYC without AVX-512
Result    mean IoU 0.1959 on the 233 images of test, 0.1983 on the 101 of val
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="segnet",
    options={"filters": 16},
    data="camvid",
    steps=1000,
    batch_size=4,
    crop=224,
    augment=("scale", "flip", "light"),
    learning_rate=1e-3,
    schedule="cosine",
    validate_every=500,
)
