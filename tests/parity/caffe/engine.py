"""OpenCV, which runs a Caffe definition with the weights of a `.caffemodel`."""

import cv2
import numpy as np

from tests.parity.caffe.definitions import Net


def random_blobs(net: Net, seed: int = 3) -> dict[str, list[np.ndarray]]:
    """He-normal kernels; what the authors scale down is drawn larger, so that it matters."""
    rng, blobs = np.random.default_rng(seed), {}
    for name, (kernel, *rest) in net.shapes.items():
        gain = 1 / net.fixed.get(name.replace("score", "scale"), [np.ones(1)])[0][0]
        if len(kernel) == 1:  # scale and shift of a normalization
            blobs[name] = [rng.uniform(0.5, 1.5, kernel), rng.normal(0, 0.1, kernel)]
        else:
            transposed = name.startswith(("deconv", "fc6-", "upconv", "score2", "score4"))
            fan_in = kernel[0] if transposed else np.prod(kernel[1:])
            deviation = gain * np.sqrt(2 / fan_in)
            blobs[name] = [rng.normal(0, deviation, kernel)]
            blobs[name] += [rng.normal(0, 1, bias) for bias in rest]
    blobs = {name: [x.astype("float32") for x in arrays] for name, arrays in blobs.items()}
    return blobs | net.fixed


def image_of(size: tuple[int, int], channels: int, seed: int = 5) -> np.ndarray:
    """Random colours in blocks of 8 pixels, 0-255 [1, h, w, channels]."""
    blocks = [-(-side // 8) for side in size]
    colours = np.random.default_rng(seed).integers(0, 256, (1, *blocks, channels))
    image = colours.repeat(8, 1).repeat(8, 2)[:, : size[0], : size[1]]
    return image.astype("float32")


def image_for(net: Net, size: tuple[int, int]) -> np.ndarray:
    """An image with the channels of all inputs of a net."""
    return image_of(size, sum(net.channels[name] for name in net.inputs))


def opencv(
    net: Net, caffemodel: bytes, data: np.ndarray, *, output: str | None = None
) -> np.ndarray:
    """What OpenCV gives `[1, h, w, classes]` for data that is prepared as the authors prepare it.

    Args:
        net: The definition.
        caffemodel: The weights, as a file holds them.
        data: float32 `[1, h, w, channels]`, the channels of all inputs, one behind the other.
        output: The layer that answers; the last one if None.
    """
    prototxt = net.prototxt(*data.shape[1:3]).encode()
    engine = cv2.dnn.readNetFromCaffe(bytearray(prototxt), bytearray(caffemodel))
    engine.enableWinograd(False)
    engine.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    channels = np.cumsum([net.channels[name] for name in net.inputs])[:-1]
    for name, part in zip(net.inputs, np.split(data, channels, axis=-1), strict=True):
        engine.setInput(np.ascontiguousarray(part.transpose(0, 3, 1, 2)), name)
    return engine.forward(*[output] * (output is not None)).transpose(0, 2, 3, 1)
