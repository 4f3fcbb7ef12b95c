"""Caffe's blobs as Keras's weights.

Both engines correlate, so no axis is reversed. A convolution has [out, in, height, width] in Caffe
and [height, width, in, out] in Keras; a transposed one [in, out, height, width] and [height, width,
out, in]. A fully connected layer becomes a convolution over the window that it saw channel by
channel.
"""

import keras
import numpy as np

from zoo.layers import BilinearUpsampling, bilinear_kernel


def as_keras(model: keras.Model, blobs: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """The blobs of every layer that `model` has too as the layer's weights; the others unchanged.

    Where shapes do not fit, they are left for the caller to compare. All are views.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    return {
        name: _weights(layers[name], arrays) if name in layers else arrays
        for name, arrays in blobs.items()
    }


def fixed_blobs(model: keras.Model) -> dict[str, np.ndarray]:
    """What Caffe's file holds for the layers that are constants in `model`, by the layer's name."""
    fixed = {}
    for layer in model.layers:
        if isinstance(layer, BilinearUpsampling) and not layer.weights:
            each_to_itself = np.eye(layer.output.shape[-1], dtype="float32")[:, :, None, None]
            fixed[layer.name] = each_to_itself * bilinear_kernel(layer.kernel_size)
        elif isinstance(layer, keras.layers.Rescaling) and layer.name.startswith("scale_"):
            fixed[layer.name] = np.full(layer.output.shape[-1], layer.scale, "float32")
    return fixed


def _weights(layer: keras.layers.Layer, blobs: list[np.ndarray]) -> list[np.ndarray]:
    if isinstance(layer, keras.layers.BatchNormalization) and len(blobs) == 2:
        # Scale and shift; DeconvNet's authors folded the averages into them.
        scale, shift = map(_vector, blobs)
        return [scale, shift, np.zeros_like(shift), np.ones_like(scale)]
    kernel = tuple(layer.weights[0].shape)
    return [
        _kernel(blob, kernel) if index == 0 else _vector(blob) for index, blob in enumerate(blobs)
    ]


def _vector(blob: np.ndarray) -> np.ndarray:
    """Without the dimensions of one that old files put in front."""
    return blob.reshape(-1) if blob.size == max(blob.shape, default=0) else blob


def _kernel(blob: np.ndarray, kernel: tuple[int, ...]) -> np.ndarray:
    if len(kernel) != 4:
        return blob
    height, width, inputs, outputs = kernel
    convolution, matrix = (outputs, inputs, height, width), (outputs, inputs * height * width)
    if blob.shape != convolution and blob.shape in (matrix, (1, 1, *matrix)):
        blob = blob.reshape(convolution)
    return blob.transpose(2, 3, 1, 0) if blob.ndim == 4 else blob
