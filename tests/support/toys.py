"""The conformance tables: one toy of every registered model. A test names the model without one.

`TOYS` answers each pixel of an RGB image, `CLASSIFIER_TOYS` the cells of a coarse grid.
`OTHER_TOYS` takes other images or has several heads: `build_toy` makes of one the model of one
image and of its first head.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

import zoo
from zoo.models.plain import plain


@dataclasses.dataclass(frozen=True)
class Toy:
    """Options that make a model small, an image size, and the layer that holds its class biases.

    `heads` maps each head of a net with several to its layer of biases, the first one first.
    """

    options: dict[str, Any]
    size: tuple[int, int]
    score: str
    heads: Mapping[str, str] = dataclasses.field(default_factory=dict)


VGG_TOY = Toy({"classes": 4, "stages": (4, 6, 8, 8, 8), "fc_filters": 12}, (37, 50), "score_fr")

TOYS = {
    "deconvnet": Toy(
        {"classes": 4, "stages": (4, 4, 6, 6, 8), "fc_filters": 12}, (45, 230), "seg-score-voc"
    ),
    "fcn16s": VGG_TOY,
    "fcn32s": VGG_TOY,
    "fcn8s": VGG_TOY,
    "fcn8s_atonce": VGG_TOY,
    "fcn_alexnet": Toy(
        {"classes": 4, "stages": (8, 8, 12, 12, 8), "fc_filters": 12}, (53, 70), "score_fr"
    ),
    "fcn_googlenet": Toy({"classes": 4, "filters": 8}, (53, 70), "score_fr"),
    "encoder_decoder": Toy({"classes": 4, "filters": 4, "depth": 2}, (33, 50), "score"),
    # At 33 × 50 two classes of a pixel tie, and each runtime rounds in its own way.
    "fullres": Toy({"classes": 4, "filters": 4, "depth": 3}, (35, 50), "score"),
    "segnet": Toy({"classes": 4, "filters": 2}, (45, 70), "conv1_1_D"),
    "unet": Toy({"classes": 4, "filters": 4, "depth": 2}, (33, 50), "conv_u0d-score"),
    "unet_vgg16": Toy({"classes": 4, "stages": (4, 6, 8, 8, 8)}, (45, 70), "up-score"),
}
NAMES = sorted(TOYS)

_VGG_HEATMAP = Toy({"classes": 4, "stages": (4, 6, 8, 8, 8), "fc_filters": 12}, (300, 390), "fc8")
CLASSIFIER_TOYS = {
    "caffenet_heatmap": Toy(
        {"classes": 4, "stages": (8, 8, 12, 12, 8), "fc_filters": 12}, (300, 390), "fc8"
    ),
    "vgg16_heatmap": _VGG_HEATMAP,
    "vgg19_heatmap": _VGG_HEATMAP,
}
CLASSIFIERS = sorted(CLASSIFIER_TOYS)

_TWO_HEADS = Toy(
    VGG_TOY.options | {"geometric_classes": 3},
    VGG_TOY.size,
    "score_fr_sem",
    {"semantic": "score_fr_sem", "geometric": "score_fr_geo"},
)
OTHER_TOYS = {
    "fcn16s_two_heads": _TWO_HEADS,
    "fcn32s_early_fusion": VGG_TOY,
    "fcn32s_late_fusion": dataclasses.replace(VGG_TOY, score="score_frcolor"),
    "fcn32s_two_heads": _TWO_HEADS,
    "fcn8s_two_heads": _TWO_HEADS,
}
OTHERS = sorted(OTHER_TOYS)
ALL_TOYS = TOYS | CLASSIFIER_TOYS | OTHER_TOYS
ALL = sorted(ALL_TOYS)
"""All models: what holds for each is tested with these."""


def toy_images(name: str, count: int = 2, size: tuple[int, int] | None = None) -> np.ndarray:
    """Smooth random colours, float32 whole numbers 0-255 [count, h, w, c], the same every time.

    Of a net with several inputs the channels of all lie one behind the other.
    """
    height, width = size or ALL_TOYS[name].size
    rng = np.random.default_rng(7)
    known = zoo.describe(name).options
    channels = known["channels"] + known.get("hha_channels", 0)
    coarse = rng.uniform(0, 255, (count, height // 12 + 3, width // 12 + 3, channels))
    rows = np.linspace(0, coarse.shape[1] - 1.01, height)
    columns = np.linspace(0, coarse.shape[2] - 1.01, width)
    y, x = rows.astype(int), columns.astype(int)
    fy, fx = (rows - y)[:, None, None], (columns - x)[:, None]
    top = coarse[:, y][:, :, x] * (1 - fx) + coarse[:, y][:, :, x + 1] * fx
    bottom = coarse[:, y + 1][:, :, x] * (1 - fx) + coarse[:, y + 1][:, :, x + 1] * fx
    return np.round(top * (1 - fy) + bottom * fy).astype("float32")


@functools.cache
def toy_weights(name: str, **options: Any) -> list[np.ndarray]:
    """Weights with which every class of each head wins somewhere on `toy_images(name)`.

    An untrained net answers one class everywhere, and then equal class maps prove nothing. So:
    random kernels, the images' own moving statistics, class biases that level the classes.
    """
    model = zoo.build(name, **ALL_TOYS[name].options, **options)
    rng = np.random.default_rng(11)
    for variable in model.trainable_variables:
        shape = variable.shape
        if variable.name == "kernel":
            transposed = variable.path.startswith(("deconv", "fc6-deconv", "upconv"))
            fan_in = int(np.prod(shape)) // shape[-2 if transposed else -1]
            # Score kernels are drawn large, so that the skips weigh as much as the trunk.
            gain = 4.0 if variable.path.startswith("score_pool") else 1.0
            value = rng.normal(0, gain * np.sqrt(2 / fan_in), shape)
        elif variable.name == "gamma":
            value = rng.uniform(0.5, 1.5, shape)
        elif variable.name == "beta":
            # Most features pass their ReLU: a net of 29 halved ones amplifies each rounding.
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        variable.assign(value.astype("float32"))
    images = toy_images(name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the moving statistics become those of the next batch
    toy = ALL_TOYS[name]
    for head, score in (toy.heads or {None: toy.score}).items():
        one = plain(model, head)
        one(images, training=True)
        bias = one.get_layer(score).bias
        scores = scores_of(one, images)
        bias.assign_add(keras.ops.ones_like(bias))
        response = scores_of(one, images) - scores
        bias.assign_add(levelling(scores, response) - 1)
    return model.get_weights()


def levelling(scores: np.ndarray, response: np.ndarray) -> np.ndarray:
    """What to add to each class's bias so that all classes win about equally often.

    `response` is what the scores gain when each bias gains 1: less than 1 where an FCN fades out.
    """
    shift = -scores.mean((0, 1, 2))
    rate = 2 * scores.std()
    for _ in range(300):
        winners = (scores + shift * response).argmax(-1)
        won = np.bincount(winners.ravel(), minlength=len(shift))
        shift -= rate * (won / won.sum() - 1 / len(shift))
        rate *= 0.98
    return shift


def build_toy(name: str, **options: Any) -> keras.Model:
    """The toy of a model, with weights that let every class win somewhere.

    It has one image and one head: see `whole_toy`.
    """
    return plain(whole_toy(name, **options), next(iter(ALL_TOYS[name].heads), None))


def whole_toy(name: str, **options: Any) -> keras.Model:
    """The same with all its inputs and heads, as its builder makes it."""
    model = zoo.build(name, **(ALL_TOYS[name].options | options))
    with_weights = {name: value for name, value in options.items() if name == "batch_norm"}
    model.set_weights(toy_weights(name, **with_weights))
    return model


def scores_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images))


@functools.cache
def toy_scores(name: str) -> np.ndarray:
    """What `build_toy(name)` answers to `toy_images(name)`: computed once, and read only."""
    scores = scores_of(build_toy(name), toy_images(name))
    scores.flags.writeable = False
    return scores


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest score."""
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Models that are built here compute in this type, as `"mixed_float16"`."""
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def keras_vgg(stages, fc_filters, *, trunk="vgg16", classes=9) -> keras.Model:
    """A net with the layers and names of Keras's VGG, in any widths; it gives scores."""
    counts = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}[trunk]
    x = image = keras.Input((224, 224, 3))
    for stage, (count, width) in enumerate(zip(counts, stages, strict=True), 1):
        for index in range(1, count + 1):
            name = f"block{stage}_conv{index}"
            x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=name)(x)
        x = keras.layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(fc_filters, "relu", name="fc1")(x)
    x = keras.layers.Dense(fc_filters, "relu", name="fc2")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="predictions")(x), name=trunk)
