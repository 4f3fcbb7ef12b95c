"""Converts Caffe's blobs to Keras's weights.

| kernel of | Caffe | Keras |
|---|---|---|
| convolution | [out, in, height, width] | [height, width, in, out] |
| transposed convolution | [in, out, height, width] | [height, width, out, in] |

No axis is reversed, because Caffe and Keras both correlate. A fully connected layer
[out, in * height * width] becomes a convolution.
"""

import keras
import numpy as np

from zoo.layers import BilinearUpsampling, bilinear_kernel

# Layer names of the first FCN-8s and FCN-16s (2015), whose last deconvolution is `upsample`.
NAMES_OF_2015 = {
    "score-fr": "score_fr",
    "score2": "upscore2",
    "score-pool4": "score_pool4",
    "score4": "upscore_pool4",
    "score-pool3": "score_pool3",
}
# SegNet-Basic's last layer in the definitions whose weights were published.
NAMES_OF_SEGNET = {"dense_softmax_inner_prod": "conv_classifier"}


def as_keras(model: keras.Model, blobs: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Converts the blobs of the layers that `model` has; the other blobs stay as they are.

    It does not compare shapes; the caller does. The arrays are views of the blobs, except the
    small kernels of grouped up-samplings.

    Args:
        model: The model that the weights are for.
        blobs: For each layer of the `.caffemodel`, its arrays.

    Returns:
        For each layer its weights, by the layer's name in the zoo.
    """
    layers = {layer.name: layer for layer in model.layers}
    upscores = [layer.name for layer in model.layers if isinstance(layer, BilinearUpsampling)]
    names = NAMES_OF_SEGNET if "conv_classifier" in layers else {}
    if upscores and "score-fr" in blobs:
        names = NAMES_OF_2015 | {"upsample": upscores[-1]}
    # Keras allows no slash in a name: GoogLeNet's `inception_3a/1x1` is `inception_3a_1x1`.
    slashed = {name: name.replace("/", "_") for name in blobs if "/" in name}
    names = names | {old: new for old, new in slashed.items() if new in layers}
    named = {names.get(name, name): arrays for name, arrays in blobs.items()}
    return {
        name: _weights(layers[name], arrays) if name in layers else arrays
        for name, arrays in named.items()
    }


def fixed_blobs(model: keras.Model) -> dict[str, np.ndarray]:
    """The blobs that a Caffe file must have for constant layers of `model`, by layer name."""
    fixed = {}
    for layer in model.layers:
        if isinstance(layer, BilinearUpsampling) and not layer.weights:
            each_to_itself = np.eye(layer.output.shape[-1], dtype="float32")[:, :, None, None]
            fixed[layer.name] = each_to_itself * bilinear_kernel(layer.kernel_size)
        elif isinstance(layer, keras.layers.Rescaling) and layer.name.startswith("scale_"):
            fixed[layer.name] = np.full(layer.output.shape[-1], layer.scale, "float32")
    return fixed


def _weights(layer: keras.layers.Layer, blobs: list[np.ndarray]) -> list[np.ndarray]:
    if isinstance(layer, BilinearUpsampling):
        blobs = [_ungrouped(blobs[0], layer.output.shape[-1]), *blobs[1:]]
        if len(blobs) == 1 and len(layer.weights) == 2:  # a file of a net without this bias
            blobs.append(np.zeros(layer.output.shape[-1], "float32"))
        if len(blobs) == 2 and len(layer.weights) < 2 and not blobs[1].any():
            del blobs[1]  # a bias that is all zero, as in the FCN-32s of 2015
    if not layer.weights:
        return blobs
    if isinstance(layer, keras.layers.BatchNormalization):
        weights = list(map(_vector, blobs))
        if len(blobs) == 2:  # the authors folded the averages into scale and shift
            weights += [np.zeros_like(weights[1]), np.ones_like(weights[0])]
        return weights
    kernel = tuple(layer.weights[0].shape)
    return [
        _kernel(blob, kernel) if index == 0 else _vector(blob) for index, blob in enumerate(blobs)
    ]


def _ungrouped(blob: np.ndarray, classes: int) -> np.ndarray:
    """A kernel with one group per class, [classes, 1, height, width], as a dense kernel."""
    if blob.shape[:2] != (classes, 1):
        return blob
    return np.eye(classes, dtype=blob.dtype)[:, :, None, None] * blob


def _vector(blob: np.ndarray) -> np.ndarray:
    """Without the leading dimensions of 1 that old files have."""
    return blob.reshape(-1) if blob.size == max(blob.shape, default=0) else blob


def _kernel(blob: np.ndarray, kernel: tuple[int, ...]) -> np.ndarray:
    if len(kernel) != 4:
        return blob
    height, width, inputs, outputs = kernel
    convolution, matrix = (outputs, inputs, height, width), (outputs, inputs * height * width)
    if blob.shape != convolution and blob.shape in (matrix, (1, 1, *matrix)):
        blob = blob.reshape(convolution)
    return blob.transpose(2, 3, 1, 0) if blob.ndim == 4 else blob
