"""The images that a model takes, and its heads: what the names of an exported graph are made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

IMAGE = "image"
"""The name of the only image."""


@dataclasses.dataclass(frozen=True)
class Ports:
    """The images that a model takes, and its heads.

    Args:
        inputs: The channels of each image, by its name, in the order of the model.
        heads: The names of the heads, the first one first; None alone for a net with one head.
    """

    inputs: Mapping[str, int]
    heads: tuple[str | None, ...] = (None,)

    @property
    def channels(self) -> int:
        """Of all images together."""
        return sum(self.inputs.values())

    def split(self, image: Any) -> dict[str, Any]:
        """The images by their names, of one `[..., channels]` that has them one behind the other.

        An array gives arrays, a tensor tensors.
        """
        found, first = {}, 0
        for name, channels in self.inputs.items():
            found[name] = image[..., first : first + channels]
            first += channels
        return found

    def name_of(self, plain: str, head: str | None) -> str:
        """The signature of a head, or its output: the plain name is that of the first head."""
        return plain if head == self.heads[0] else f"{plain}_{head}"

    def bytes_of(self, name: str) -> str:
        """The input of a signature that takes the file of an image."""
        return f"{name}_bytes"


def ports_of(model: keras.Model) -> Ports:
    """The images that a model takes, and its heads.

    Raises:
        ValueError: The model cannot be exported: it does not take images `[n, h, w, channels]` of
            any size, or does not give scores `[n, h, w, classes]` of the size of its images, or
            does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "A model is exported from TensorFlow; Keras runs on "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow: it takes the same weights."
        )
    takes = model.input if isinstance(model.input, dict) else {IMAGE: model.input}
    gives = _answers(model)
    if not all(_is_image(one) and one.shape[1:3] == (None, None) for one in takes.values()):
        raise ValueError(
            "A model is exported for one image [n, h, w, channels] of any size, or a dict of such; "
            f"{model.name!r} takes {model.input_shape}. Build it with "
            "Input((None, None, channels))."
        )
    if not all(map(_is_image, gives.values())):
        raise ValueError(
            "A model is exported with scores [n, h, w, classes], or a dict of such; "
            f"{model.name!r} gives {model.output_shape}. Take its scores as the only output."
        )
    ports = Ports({name: one.shape[-1] for name, one in takes.items()}, tuple(gives))
    _check_size_is_kept(model, ports)
    return ports


def _is_image(port: object) -> bool:
    """Whether an input or output is `[n, h, w, c]`."""
    shape = getattr(port, "shape", ())
    return len(shape) == 4 and isinstance(shape[3], int)


def check_channels(model: keras.Model, ports: Ports) -> None:
    """Raises ValueError if a model takes images that no JPEG or PNG file holds."""
    if max(ports.inputs.values()) > 4:
        raise ValueError(
            "A SavedModel takes JPEG and PNG files, too, which have 1 to 4 channels; "
            f"{model.name!r} takes {max(ports.inputs.values())}. Export it to tflite, onnx or "
            "openvino."
        )


def classes_by_head(model: keras.Model) -> dict[str | None, int]:
    """The number of classes of each head, by its name; None for that of a net with one head."""
    return {head: scores.shape[-1] for head, scores in _answers(model).items()}


def _answers(model: keras.Model) -> dict[str | None, keras.KerasTensor]:
    return model.output if isinstance(model.output, dict) else {None: model.output}


def check_classes(model: keras.Model) -> None:
    """Raises ValueError if a model has more classes than a byte holds."""
    most = max(classes_by_head(model).values())
    if most > 256:
        raise ValueError(
            "A class map and a mask hold a byte for each pixel, so that a model is exported with "
            f"at most 256 classes; {model.name!r} has {most}. Merge some."
        )


def _check_size_is_kept(model: keras.Model, ports: Ports) -> None:
    size = (61, 83)  # a multiple of no network's stride
    shapes = {name: (1, *size, channels) for name, channels in ports.inputs.items()}
    try:
        given = shapes if isinstance(model.input, dict) else shapes[IMAGE]
        found = model.compute_output_shape(given)
        found = found.values() if isinstance(found, dict) else [found]
        answer = ", ".join(dict.fromkeys(f"scores of {one[1:3]}" for one in found))
    except ValueError as error:
        answer = f"an error: {error}"
    if answer != f"scores of {size}":
        raise ValueError(
            "An exported model takes images of any size and answers with masks of the same size; "
            f"{model.name!r} answers {size} pixels with {answer}. Build it so that it keeps the "
            'size; a U-Net does with border="mirror", which takes the weights of border="valid".'
        )
