"""SegNet from VGG-16 on CamVid, as its paper trains it.

Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation", PAMI 2017: stochastic gradient descent at 0.1 with a momentum of 0.9, 12
whole images a step, and class weights by median frequency. These weights, the weight decay, the
doubled rate of biases and the 40,000 steps are those of the authors' release,
`Models/segnet_train.prototxt` and `segnet_solver.prototxt` of
github.com/alexgkendall/SegNet-Tutorial. There the rate is 0.001 and a step has 4 images; a rate of
0.1 is that of its SegNet-Basic.

Deviations:
- The loss is divided by the sum of the weights of all pixels, those of the classes included.
- The authors compute averages for batch normalization after training; here they are kept during it.

Our choice:
- The images are not changed.

Data      CamVid, 367 images, 101 in val and 233 in test: see recipes/data/sets/camvid.py
Start     VGG-16 as trained on ImageNet, which Keras fetches
Command   zoo train camvid_segnet --workdir runs/camvid_segnet --data-dir path/to/CamVid
Time      not yet run
Result    not yet run; the paper scores the 233 images: zoo evaluate runs/camvid_segnet --split test
"""

from recipes.training.recipe import Recipe

RECIPE = Recipe(
    model="segnet",
    encoder_weights="imagenet",
    data="camvid",
    steps=40_000,
    batch_size=12,
    class_weights=(
        *(0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826),
        *(9.6446, 1.8418, 0.6823, 6.2478, 7.3614),
    ),
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    biases="doubled",
    weight_decay=5e-4,
    sync_batch_norm=True,
    save_every=500,
    validate_every=1000,
)
