"""The class map of an image, in one call."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.inference import inputs, strips
from zoo.inference.inputs import Picture
from zoo.inference.methods import Method
from zoo.inference.scorers import Scorer, class_map, scorer

if TYPE_CHECKING:
    import keras


def predict(
    model: "Scorer | keras.Model | str | os.PathLike",
    image: Picture,
    *,
    ensemble: "Sequence[Scorer | keras.Model | str | os.PathLike]" = (),
    head: str | None = None,
    depth: str | os.PathLike | None = None,
    **options: Any,
) -> np.ndarray:
    """The class of each pixel of an image, uint8 `[h, w]`.

    ```python
    class_map = zoo.predict("runs/mine", "photograph.jpg")
    class_map = zoo.predict(model, image, flips="four", tile=512)
    ```

    The pixels are those that the file stores: an EXIF orientation turns nothing.

    Args:
        model: A Keras model, or what `zoo.inference.scorer` takes. To ask about many images, make
            a Scorer of a path once.
        image: A file, an array `[h, w, channels]` or `[h, w]` with values 0-255, or an image of
            Pillow. `zoo.inference.large` answers files that do not fit into the memory.
        ensemble: Further models, whose probabilities are averaged with those of `model`.
        head: Of nets with several heads, the name of the one that answers.
        depth: The file of the depth, for a net of colour and depth: HHA, or millimetres in 16 bits;
            `image` is a file then, too.
        **options: Of `zoo.inference.Method`, such as `tile=512`.

    Raises:
        FileNotFoundError: There is no model at the path.
        TypeError: Unknown option; the message holds the known ones.
        ValueError: The model or the image cannot be used, or an option does not suit.
        ImportError: A method needs an extra that is not installed.
        MemoryError: The memory does not suffice.
    """
    known = {field.name: field.default for field in dataclasses.fields(Method)}
    if unknown := sorted(set(options) - set(known)):
        raise TypeError(
            f"zoo.predict has no option {', '.join(map(repr, unknown))}. Its options are "
            + "ensemble=(), head=None, depth=None, "
            + ", ".join(f"{name}={default!r}" for name, default in known.items())
            + "."
        )
    method = Method(**options)
    answer = method.scorer(model, head=head)
    return class_maps(answer, method, members(ensemble, head=head))(
        inputs.read(image, answer.spec, depth=depth)
    )


def members(
    ensemble: "Sequence[Scorer | keras.Model | str | os.PathLike]", *, head: str | None = None
) -> "list[Scorer]":
    """The Scorers of the further members of an ensemble, all of one head.

    A Scorer stays as it is: its head has been chosen.
    """
    return [one if isinstance(one, Scorer) else scorer(one, head=head) for one in ensemble]


def class_maps(
    answer: "Scorer", method: Method, others: "Sequence[Scorer]" = ()
) -> Callable[[np.ndarray], np.ndarray]:
    """What gives the class map uint8 `[h, w]` of an image `[h, w, channels]`, by a method.

    The probabilities of a large image are held strip by strip, if the method allows it.

    Args:
        answer: Of the model, as `Method.scorer` gives it.
        method: How an image is answered.
        others: Further members of an ensemble.

    Raises:
        ValueError, ImportError: As `Method.composed`.
    """
    whole = method.composed(answer, others)

    def found(image: np.ndarray) -> np.ndarray:
        if method.needs_whole or not inputs.is_large(image.shape):
            return class_map(whole, image)
        tile = method.of_a_tile(answer, others)
        return strips.class_map(tile, image, side=method.side_of(tile), overlap=method.overlap)

    return found
