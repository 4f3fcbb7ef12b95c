"""ImageNet weights: those of VGG-16 and VGG-19, from Keras.

Keras offers the original weights of the Oxford group (www.robots.ox.ac.uk/~vgg/research/very_deep,
CC BY 4.0). They expect an image as the zoo's nets prepare it: BGR, 0-255, minus the mean colour.
"""

import re

import keras

from zoo.weights import trunks
from zoo.weights.transplant import Source

IMAGENET = "imagenet"  # in the place of a path; and the name of its classes
CLASSIFIER = "fc8"  # the layer of the 1000 classes, which the nets of the heat maps keep

# Which VGG a model has, by its last convolution. VGG-19 has conv5_3, too, so it comes first.
VGG = {"conv5_4": keras.applications.VGG19, "conv5_3": keras.applications.VGG16}
# Kernels to compare: if these have VGG's shapes, all have. `conv1_1` also tells grey from colour.
SHAPES = {"conv1_1": (3, 3, 3, 64), "conv5_3": (3, 3, 512, 512), "fc7": (1, 1, 4096, 4096)}
FULLY_CONNECTED = {"fc1": "fc6", "fc2": "fc7", "predictions": CLASSIFIER}


def imagenet(model: keras.Model, option: str, *, trunk: str = "") -> Source:
    """The weights of VGG trained on ImageNet, for a model with this trunk.

    Keras downloads the file once, checks it and keeps it in its cache. Messages name the `option`
    that asked for the weights; `trunk` is one of `trunks.trunks`.

    Raises:
        ValueError: The model has another trunk, or VGG's with other widths.
        OSError: The weights could not be fetched.
    """
    layers = {layer.name: layer for layer in model.layers}
    vgg = next((VGG[name] for name in VGG if name + trunk in layers), None)
    if vgg is None:
        raise ValueError(
            f'{option}="imagenet" is for nets on VGG; {model.name} is not one. Give the path of a '
            f".caffemodel of its trunk, or leave {option} out."
        )
    fused = trunks.FUSED in layers  # its first kernel is for the depth, too
    for name, shape in trunks.renamed(model, SHAPES, trunk).items():
        if name == trunks.FUSED:
            shape = (*shape[:2], shape[2] + 1, shape[3])
        if name not in layers:  # a net on the convolutions alone
            continue
        kernel = tuple(layers[name].kernel.shape)
        if kernel != shape:
            raise ValueError(
                f'{option}="imagenet" fits VGG in its own widths; {name} of this '
                f"{model.name} has the shape {list(kernel)} and not {list(shape)}. Build with "
                f"channels={3 + fused} and leave the widths as they are."
            )
    try:
        trained = vgg(weights="imagenet")
    except Exception as error:  # Keras has no narrower class for a failed download
        raise OSError(
            f"The ImageNet weights could not be fetched: {error}. Connect this machine to the "
            "network, or put the file into ~/.keras/models, Keras's cache."
        ) from error
    layers = {author_name(x.name): x.weights for x in trained.layers if x.weights}
    layers = trunks.with_depth(model, trunks.renamed(model, layers, trunk))
    return Source(IMAGENET, layers, trunk=trunk)


def is_classifier(model: keras.Model) -> bool:
    """Whether a model has the layer of the classes of ImageNet."""
    return any(layer.name == CLASSIFIER for layer in model.layers)


def author_name(name: str) -> str:
    """The authors' name of a layer of Keras's VGG; other layers keep theirs.

    >>> author_name("block3_conv2"), author_name("fc1"), author_name("score_fr")
    ('conv3_2', 'fc6', 'score_fr')
    """
    block = re.fullmatch(r"block(\d)_conv(\d)", name)
    return f"conv{block[1]}_{block[2]}" if block else FULLY_CONNECTED.get(name, name)
