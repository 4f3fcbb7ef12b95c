"""What every data set is to the code that trains and scores."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from zoo.images import ImageError

IGNORE_LABEL = 255
"""The label of void: pixels without a class, which are neither trained nor scored."""


class DataError(ValueError):
    """A data set cannot be used; the message says what is wrong and what to do."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One split of a data set, read one example at a time.

    Args:
        name: The data set's.
        split: "train", "val" or "test".
        class_names: In the order of the class numbers.
        channels: Of an image.
        files: The image and the label of each example, and what else is read for it: its objects,
            if they have a file of their own, or a second image. Behind the path of a file may be
            its part, such as " (page 3)".
        example: Gives the image at an index, `[h, w, channels]` of `image_type`, and its label,
            uint8 `[h, w]` of classes and `IGNORE_LABEL`.
        instances: Gives the number of the object of each pixel, int32 `[h, w]`, 0 for no object;
            None if the data set does not tell the objects of a class apart.
        cut_from: For examples that are cut out of those of another split: that split, and an array
            of the numbers that define the cuts. The other split is verified in its place.
        background: The number of the class that is background; None if no class is.
        colours: Red, green and blue, 0-255, of each class, if the data set gives its classes
            colours; else its palettes are compared with VOC's.
        image_type: "uint8" or "float32", of the numbers of an image.
        other_heads: The same images in the same order with labels of another kind, each by the name
            of the head of a net that learns them. A net with one head learns those above.
        unscored: Classes that no label of the split shows. Their IoU is left out of the mean even
            if a net predicts them, as long as that is so; see `zoo.metrics.scores`.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    channels: int
    files: tuple[tuple[str, ...], ...]
    example: Callable[[int], tuple[np.ndarray, np.ndarray]]
    instances: Callable[[int], np.ndarray] | None = None
    cut_from: "tuple[Dataset, np.ndarray] | None" = None
    background: int | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None
    image_type: str = "uint8"
    other_heads: "Mapping[str, Dataset]" = dataclasses.field(default_factory=dict)
    unscored: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def with_heads(self, names: Iterable[str]) -> "Dataset":
        """The split with these further heads only, in this order."""
        return dataclasses.replace(
            self, other_heads={name: self.other_heads[name] for name in names}
        )


def pair(
    image: Callable[[], np.ndarray], label: Callable[[], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image and its label.

    Raises:
        DataError: One of them cannot be read; the message names both if neither can.
    """
    try:
        read = image()
    except (DataError, ImageError) as error:
        try:
            label()
        except (DataError, ImageError) as other:
            raise DataError(f"{error}\n  {other}") from error
        raise DataError(str(error)) from error
    try:
        return read, label()
    except ImageError as error:
        raise DataError(str(error)) from error
