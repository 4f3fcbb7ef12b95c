"""The zoo's nets with random weights for which many classes win, on any backend of Keras."""

import math

import keras
import numpy as np

import zoo

# A quarter of the authors' widths: a sixteenth of the work.
_VGG = {"stages": (16, 32, 64, 128, 128), "fc_filters": 1024}
NARROW = {
    "deconvnet": _VGG,
    "fcn16s": _VGG,
    "fcn32s": _VGG,
    "fcn8s": _VGG,
    "fcn8s_atonce": _VGG,
    "fcn_alexnet": {"stages": (24, 64, 96, 96, 64), "fc_filters": 1024},
    "unet": {"filters": 16},
}
# The score layers: `build` sets their bias so that several classes win.
SCORE = {"deconvnet": "seg-score-voc", "unet": "conv_u0d-score"}


def build(name: str, *, full: bool, image: np.ndarray) -> keras.Model:
    """A model with random weights for which several classes win on this image `[1, h, w, 3]`."""
    model = zoo.build(name, **({} if full else NARROW[name]))
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            incoming = math.prod(variable.shape[:3])
            scale = math.sqrt(2 / incoming)
            variable.assign(scale * rng.standard_normal(variable.shape, "float32"))
    scores = keras.ops.convert_to_numpy(model(image.astype("float32")))
    model.get_layer(SCORE.get(name, "score_fr")).bias.assign_sub(scores.mean((0, 1, 2)))
    return model
