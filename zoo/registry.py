"""Every model by its name: its card, and the builder that makes it.

A builder is a function in the module that its card names, and has the name of the model. The
module is imported when the builder is first needed: cards alone need no Keras.
"""

import dataclasses
import difflib
import fnmatch
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


UNPUBLISHED = "none published"  # in the place of the licence of weights


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known about a model before it is built.

    `parameters` counts the trainable ones at the default options. In pixels: `stride` lies between
    neighbouring scores before the last up-sampling of an FCN, and between neighbouring features at
    the bottom of the others; `receptive_field` is what one feature at the bottom sees.
    `classes` is the builder's default.

    `task` says what a model answers with: "segmentation" with scores of the size of the image,
    "classification" with those of a coarse grid, `[n, rows, columns, classes]`, a row for each
    `stride` pixels. Such a model makes heat maps (`zoo.inference.heatmaps`) and no class map.

    `heads` names those of a net that gives a dict of scores, and `inputs` the images of one that
    takes a dict of them. `takes_log_depth` says that the last channel of an image is the natural
    logarithm of a depth in millimetres, and not 0-255.
    """

    name: str
    module: str
    summary: str
    paper: str
    year: int
    parameters: int
    stride: int
    receptive_field: int
    classes: int
    weights_licence: str
    task: str = "segmentation"
    heads: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    takes_log_depth: bool = False

    @property
    def builder(self) -> "Callable[..., keras.Model]":
        """The function that builds the model."""
        return getattr(importlib.import_module(f"zoo.models.{self.module}"), self.name)

    @property
    def options(self) -> dict[str, Any]:
        """The builder's keywords with their defaults."""
        keywords = inspect.signature(self.builder).parameters.values()
        return {keyword.name: keyword.default for keyword in keywords}


def _fcn(name: str, summary: str, *, module: str = "fcn", classes: int = 21, **known: Any) -> Card:
    return Card(
        name,
        module,
        summary,
        "Fully Convolutional Networks for Semantic Segmentation, arXiv:1605.06211",
        2015,
        classes=classes,
        **{"weights_licence": "unrestricted use", **known},
    )


def _two_heads(name: str, summary: str, **numbers: int) -> Card:
    heads = ("semantic", "geometric")
    return _fcn(name, summary, module="fcn_two_heads", classes=33, heads=heads, **numbers)


def _heatmap(name: str, summary: str, paper: str, **numbers: Any) -> Card:
    return Card(
        name, "heatmaps", summary, paper, classes=1000, task="classification", stride=32, **numbers
    )


def _lesson(name: str, summary: str, **numbers: int) -> Card:
    """A step before U-Net, of a lecture: nobody published weights."""
    return Card(
        name,
        name,
        summary,
        "CS231n, Lecture 11: Detection and Segmentation, Stanford 2017",
        2017,
        classes=2,
        weights_licence=UNPUBLISHED,
        **numbers,
    )


_VERY_DEEP = "Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"

CARDS = (
    _fcn(
        "fcn_alexnet",
        "FCN-AlexNet: 32-pixel scores of a grouped, normalized AlexNet, up-sampled at once.",
        parameters=56_954_261,
        stride=32,
        receptive_field=355,
    ),
    _fcn(
        "fcn32s",
        "FCN-32s: 32-pixel scores of a fully convolutional VGG, up-sampled at once.",
        parameters=134_346_581,
        stride=32,
        receptive_field=404,
    ),
    _fcn(
        "fcn16s",
        "FCN-16s: FCN-32s with the scores of pool4 added at 16 pixels.",
        parameters=134_357_354,
        stride=16,
        receptive_field=404,
    ),
    _fcn(
        "fcn8s",
        "FCN-8s: FCN-16s with the scores of pool3 added at 8 pixels; trained stage by stage.",
        parameters=134_362_751,
        stride=8,
        receptive_field=404,
    ),
    _fcn(
        "fcn8s_atonce",
        "FCN-8s at-once: FCN-8s with scaled pools, so that it trains in one stage.",
        parameters=134_362_751,
        stride=8,
        receptive_field=404,
    ),
    _two_heads(
        "fcn32s_two_heads",
        "FCN-32s with two heads: 32-pixel scores for semantic and for geometric classes.",
        parameters=134_408_036,
        stride=32,
        receptive_field=404,
    ),
    _two_heads(
        "fcn16s_two_heads",
        "FCN-16s with two heads, the scores of pool4 added at 16 pixels in each.",
        parameters=134_426_504,
        stride=16,
        receptive_field=404,
    ),
    _two_heads(
        "fcn8s_two_heads",
        "FCN-8s with two heads, the scores of pool3 added at 8 pixels in each.",
        parameters=134_435_756,
        stride=8,
        receptive_field=404,
    ),
    _fcn(
        "fcn32s_early_fusion",
        "FCN-32s on RGB and the logarithm of the depth, in one image of four channels.",
        module="fcn_fusion",
        classes=40,
        weights_licence=UNPUBLISHED,
        takes_log_depth=True,
        parameters=134_425_000,
        stride=32,
        receptive_field=404,
    ),
    _fcn(
        "fcn32s_late_fusion",
        "FCN-32s with a trunk for colour and one for HHA; the mean of their scores.",
        module="fcn_fusion",
        classes=40,
        inputs=("color", "hha"),
        parameters=268_848_848,
        stride=32,
        receptive_field=404,
    ),
    _fcn(
        "fcn_googlenet",
        "FCN-GoogLeNet: 32-pixel scores of nine inception modules, up-sampled at once.",
        module="fcn_googlenet",
        weights_licence=UNPUBLISHED,
        parameters=5_995_077,
        stride=32,
        receptive_field=907,
    ),
    Card(
        "deconvnet",
        "deconvnet",
        "DeconvNet: VGG-16 and its mirror image; max-unpooling puts each value back where it was.",
        "Learning Deconvolution Network for Semantic Segmentation, arXiv:1505.04366",
        2015,
        parameters=251_805_653,
        stride=32,
        receptive_field=404,
        classes=21,
        weights_licence="research use only, no redistribution",
    ),
    Card(
        "segnet",
        "segnet",
        "SegNet: VGG-16's convolutions, normalized, and their mirror image after max-unpoolings.",
        "SegNet: A Deep Convolutional Encoder-Decoder Architecture, arXiv:1511.00561",
        2017,
        parameters=29_449_355,
        stride=32,
        receptive_field=212,
        classes=11,
        weights_licence="CC BY-NC 4.0",
    ),
    _lesson(
        "fullres",
        "Convolutions of 3 × 3 at the resolution of the image, without pooling.",
        parameters=260_418,
        stride=1,
        receptive_field=17,
    ),
    _lesson(
        "encoder_decoder",
        "U-Net's levels without its skips: down and up again by a choice of layers.",
        parameters=25_809_410,
        stride=16,
        receptive_field=140,
    ),
    Card(
        "unet",
        "unet",
        "U-Net: a valid encoder and decoder with skips; `depth` levels, `filters` at the first.",
        "U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597",
        2015,
        parameters=31_031_810,
        stride=16,
        receptive_field=140,
        classes=2,
        weights_licence="not stated",
    ),
    Card(
        "unet_vgg16",
        "unet_vgg",
        "U-Net on VGG-16: the classifier as encoder, which starts from ImageNet; five skips.",
        "TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet, arXiv:1801.05746",
        2018,
        parameters=38_703_573,
        stride=32,
        receptive_field=340,
        classes=21,
        weights_licence=UNPUBLISHED,
    ),
    _heatmap(
        "vgg16_heatmap",
        "VGG-16 as a convolutional classifier: a coarse heat map for each of 1000 classes.",
        _VERY_DEEP,
        year=2015,
        parameters=138_357_544,
        receptive_field=404,
        weights_licence="CC BY 4.0",
    ),
    _heatmap(
        "vgg19_heatmap",
        "VGG-19 as a convolutional classifier: a coarse heat map for each of 1000 classes.",
        _VERY_DEEP,
        year=2015,
        parameters=143_667_240,
        receptive_field=460,
        weights_licence="CC BY 4.0",
    ),
    _heatmap(
        "caffenet_heatmap",
        "CaffeNet as a convolutional classifier: a coarse heat map for each of 1000 classes.",
        "Caffe: Convolutional Architecture for Fast Feature Embedding, arXiv:1408.5093",
        year=2014,
        parameters=60_965_224,
        receptive_field=355,
        weights_licence="unrestricted use",
    ),
)


def list_models(pattern: str = "*") -> list[str]:
    """The names of the models that match a shell pattern, such as `"fcn*"`, sorted."""
    return sorted(card.name for card in CARDS if fnmatch.fnmatchcase(card.name, pattern))


def describe(name: str) -> Card:
    """The card of a model.

    Raises:
        ValueError: No model has this name; the message holds the nearest names.
    """
    for card in CARDS:
        if card.name == name:
            return card
    near = difflib.get_close_matches(str(name).lower(), list_models(), n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(
        f"A model is built by its name in the zoo; no model is called {name!r}. {hint}"
        f"The zoo has {', '.join(list_models())}."
    )


def is_classifier(name: str) -> bool:
    """Whether a model of the zoo has this name and answers with a coarse grid, not each pixel.

    >>> is_classifier("vgg16_heatmap"), is_classifier("unet")
    (True, False)
    """
    return any(card.name == name and card.task == "classification" for card in CARDS)


def takes_log_depth(name: str) -> bool:
    """Whether a model of the zoo has this name and takes the logarithm of a depth as last channel.

    >>> takes_log_depth("fcn32s_early_fusion"), takes_log_depth("unet")
    (True, False)
    """
    return any(card.name == name and card.takes_log_depth for card in CARDS)


def build(name: str, /, **options: Any) -> "keras.Model":
    """Builds a model by its name.

    Example:

    ```python
    model = zoo.build("fcn8s", classes=21)
    scores = model(images)  # [n, h, w, 3] RGB 0-255  →  [n, h, w, 21] float32
    ```

    Args:
        name: One of `list_models()`.
        **options: The builder's keywords; `describe(name).options` lists them with their defaults.

    Returns:
        A functional `keras.Model`. Its attribute `spec` is a `zoo.Spec`: what was built.

    Raises:
        ValueError: Unknown name; the message holds the nearest names.
        TypeError: Unknown option; the message holds the builder's options.
    """
    card = describe(name)
    check_options(card, options)
    return card.builder(**options)


def check_options(card: Card, names: Iterable[str]) -> None:
    """Raises TypeError if some of the names are not options of the model."""
    known = card.options
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise TypeError(
            f"{card.name} has no option {', '.join(map(repr, unknown))}. Its options are "
            + ", ".join(f"{option}={default!r}" for option, default in known.items())
            + "."
        )
