"""The class map of an image, in one call."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.inference import inputs, strips
from zoo.inference.inputs import Picture
from zoo.inference.methods import Method
from zoo.inference.scorers import class_map

if TYPE_CHECKING:
    import keras

    from zoo.inference.scorers import Scorer


def predict(
    model: "Scorer | keras.Model | str | os.PathLike", image: Picture, **options: Any
) -> np.ndarray:
    """The class of each pixel of an image, uint8 `[h, w]`.

    ```python
    class_map = zoo.predict("runs/mine", "photograph.jpg")
    class_map = zoo.predict(model, image, flips="four", crf=True)
    ```

    The pixels are those that the file stores: an EXIF orientation turns nothing.

    Args:
        model: A Keras model, or what `zoo.inference.scorer` takes. To ask about many images, make
            a Scorer of a path once.
        image: A file, an array `[h, w, channels]` or `[h, w]` with values 0-255, or an image of
            Pillow. `zoo.inference.large` answers files that do not fit into the memory.
        **options: Of `zoo.inference.Method`, such as `tile=512`.

    Raises:
        FileNotFoundError: There is no model at the path.
        ValueError: The model or the image cannot be used, or an option does not suit.
        ImportError: A method needs an extra that is not installed.
        MemoryError: The memory does not suffice.
    """
    method = Method(**options)
    answer = method.scorer(model)
    pixels = inputs.read(image, answer.spec)
    if method.needs_whole or not inputs.is_large(pixels.shape):
        return class_map(method.composed(answer), pixels)
    tile = method.of_a_tile(answer)
    return strips.class_map(tile, pixels, side=method.side_of(tile), overlap=method.overlap)
