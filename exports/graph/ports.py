"""The images that a model takes, and its heads: what the names of an exported graph are made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any

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
