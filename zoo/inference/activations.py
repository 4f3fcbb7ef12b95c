"""What single layers of a model give for an image: Figure 4 of the DeconvNet paper.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, Figure 4:
for each unpooling and the last deconvolution behind it, the most representative feature map. Here
that is the map with the largest sum, negative numbers left out; where a layer has a map for each
class, it is that of the class which the model sees on most pixels, the background left out if there
is another.
"""

import dataclasses
import itertools
import re
from collections.abc import Sequence

import keras
import numpy as np
from PIL import Image

from zoo.calls import calls
from zoo.inference.sheets import Panel, heat
from zoo.inference.sheets import sheet as laid_out
from zoo.layers import BedOfNailsUnpooling, BilinearUpsampling, MaxUnpooling
from zoo.terminal import nearest

# The layers that have a map for each class, by the authors' names.
_OF_CLASSES = re.compile(
    r"(up|seg-|up-)?score.*|fuse_.*|fc8|conv_u0d-score|conv1_1_D|conv_classifier"
)
# Of the nets like U-Net.
UPSAMPLINGS = (
    *(keras.layers.Conv2DTranspose, keras.layers.UpSampling2D),
    *(BedOfNailsUnpooling, BilinearUpsampling),
)


@dataclasses.dataclass(frozen=True)
class Activation:
    """The strongest map of a layer: float32 `[h, w]`, number `channel` of `channels`.

    `class_name` is that of its class, where the layer has a map for each class.
    """

    layer: str
    map: np.ndarray
    channel: int
    channels: int
    class_name: str | None = None


def activations(
    model: keras.Model, image: np.ndarray, layers: Sequence[str] | None = None
) -> list[Activation]:
    """The strongest map of each of some layers, in the order of the layers.

    ```python
    found = activations(zoo.load("runs/coins"), image)
    found[0].layer, found[0].map.shape  # ("upconv_d1c_u0a", (308, 388))
    ```

    Args:
        model: A model of the zoo.
        image: `[h, w, channels]`, 0-255.
        layers: Their names; those of `shown_layers` if None.

    Raises:
        ValueError: The model has no such layer, or the image other channels.
    """
    names = shown_layers(model) if layers is None else list(layers)
    *maps, scores = outputs(model, image, [*names, None])
    spec, classes = getattr(model, "spec", None), scores.shape[-1]
    best = _best_class(scores, spec and spec.background)
    found = []
    for name, features in zip(names, maps, strict=True):
        channels = features.shape[-1]
        of_class = channels == classes and _OF_CLASSES.fullmatch(name)
        channel = best if of_class else int(np.maximum(features, 0).sum((0, 1)).argmax())
        known = (spec.names[best] if spec else f"class {best}") if of_class else None
        found.append(Activation(name, features[..., channel], channel, channels, known))
    return found


def shown_layers(model: keras.Model) -> list[str]:
    """The layers that `activations` shows of a model, in the order of the net.

    Of DeconvNet and SegNet each unpooling and the last ReLU behind it; of an FCN the scores of each
    stride before they are added and after; of U-Net and nets like it each up-sampling; of a
    classifier each pooling and the scores; of a net at one resolution each convolution.
    """
    names = [layer.name for layer in model.layers]
    unpoolings = [index for index, x in enumerate(model.layers) if isinstance(x, MaxUnpooling)]
    found = []
    for start, end in itertools.pairwise([*unpoolings, None]):
        relus = [x.name for x in model.layers[start:end] if isinstance(x, keras.layers.ReLU)]
        found += [names[start], *relus[-1:]]
    found = (
        found
        # The names of a net with several heads or trunks end in that of one.
        or _matching(
            names, r"score_(fr|pool\d)(_\w{3}|color|hha)?|fuse_pool\d(_\w{3})?|score_fused"
        )
        # U-Net with an encoder of VGG has its poolings too, and no fc8.
        or ("fc8" in names and _matching(names, r"pool\d|fc8"))
        or [x.name for x in model.layers if isinstance(x, UPSAMPLINGS)]
        or _matching(names, r"conv_\d+")
    )
    if not found:
        raise ValueError(
            f"The layers to show are known for the models of the zoo; {model.name!r} is another. "
            f"Name some with layers=, or --layers, such as {names[-1]}."
        )
    return found


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    return [name for name in names if re.fullmatch(pattern, name)]


def outputs(model: keras.Model, image: np.ndarray, names: Sequence[str | None]) -> list[np.ndarray]:
    """What some layers give for an image, float32 `[h, w, channels]` each; the model's for None.

    Of a pooling with switches it is what it gives first.

    Raises:
        ValueError: The model has no such layer, or the image other channels.
    """
    channels = model.input_shape[-1]
    image = np.asarray(image, np.float32)
    if image.ndim != 3 or image.shape[-1] != channels:
        raise ValueError(
            f"An image is [h, w, channels], with the {channels} channels of the model; received "
            f"{list(image.shape)}. Read it with zoo.images.read_image(FILE, channels={channels})."
        )
    # Not a layer's own output: a layer that models share has those of all of them.
    made = {call.operation.name: call.outputs[0] for call in calls(model)}
    first = [model.output if name is None else made[_layer(model, name).name] for name in names]
    if unfit := [name for name, x in zip(names, first, strict=True) if len(x.shape) != 4]:
        raise ValueError(
            f"A layer that is shown gives feature maps [n, h, w, channels]; {unfit[0]} gives "
            "others. Leave it out."
        )
    found = keras.Model(model.input, first)(image[np.newaxis], training=False)
    # Keras gives a single output without its list.
    found = keras.tree.flatten(found)
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))[0] for x in found]


def sheet(image: np.ndarray, found: Sequence[Activation]) -> Image.Image:
    """A sheet of an image and of maps, each in the colours of heat between its own extremes.

    A small map is enlarged, its pixels as they are.

    ```python
    sheet(image, activations(model, image)).save("activations.png")
    ```

    Args:
        image: uint8 `[h, w, 3]`, or `[h, w, channels]`, of which the first is drawn in grey.
        found: What `activations` gave.
    """
    height, width = image.shape[:2]
    panels = [Panel(as_rgb(image), ("image", f"{height} x {width}"))]
    for one in found:
        low, high = min(0.0, float(one.map.min())), float(one.map.max())
        which = f"map {one.channel} of {one.channels}"
        height, width = one.map.shape
        lines = (one.layer, f"{height} x {width}, {one.class_name or which}")
        panels.append(Panel(heat(one.map, low, high), lines))
    return laid_out(panels, low="least", high="most, of each map")


def as_rgb(image: np.ndarray) -> np.ndarray:
    """An image to look at, uint8 `[h, w, 3]`: with other than 3 channels the first, in grey."""
    image = np.asarray(image).round().astype(np.uint8)
    return image if image.shape[-1] == 3 else image[..., :1].repeat(3, -1)


def _best_class(scores: np.ndarray, background: int | None) -> int:
    """The class that wins most pixels, but the background where another wins one."""
    won = np.bincount(scores.argmax(-1).ravel(), minlength=scores.shape[-1])
    if background is not None and won.sum() > won[background]:
        won[background] = 0
    return int(won.argmax())


def _layer(model: keras.Model, name: str) -> keras.Layer:
    names = [layer.name for layer in model.layers]
    if name not in names:
        near = nearest(name, names)
        hint = f"Did you mean {near}? " if near else ""
        raise ValueError(
            f"A layer is shown by its name; {model.name} has none that is called {name!r}. {hint}"
            f"model.summary() lists them."
        )
    return model.get_layer(name)
