"""What every data set is to the programs that train and score."""

import dataclasses
from collections.abc import Callable

import numpy as np

IGNORE_LABEL = 255


class DataError(ValueError):
    """Something about a data set that its user can put right; the message says what and how."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One split of a data set, read one example at a time.

    `example(index)` gives the image, uint8 `[h, w, channels]`, and its label, uint8 `[h, w]` of
    classes and 255 for pixels that are neither trained nor scored. `files` names the image and the
    label of each example for messages. Where the objects of a class are told apart,
    `instances(index)` gives their numbers, int32 `[h, w]`, and 0 for pixels of none. Where the
    examples are cut out of those of another split, `cut_from` is that split, and an array of
    numbers from which the cuts follow: what is verified is the other split.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    channels: int
    files: tuple[tuple[str, str], ...]
    example: Callable[[int], tuple[np.ndarray, np.ndarray]]
    instances: Callable[[int], np.ndarray] | None = None
    cut_from: "tuple[Dataset, np.ndarray] | None" = None

    def __len__(self) -> int:
        return len(self.files)


def pair(
    image: Callable[[], np.ndarray], label: Callable[[], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """An image and its label as they are read.

    Raises:
        DataError: One of them cannot be; where both cannot, it says so of both.
    """
    try:
        read = image()
    except DataError as error:
        try:
            label()
        except DataError as other:
            raise DataError(f"{error}\n  {other}") from error
        raise
    return read, label()
