"""Folds: a small data set is cut into parts, and each run holds out another one.

The SHA-256 of an example's name says in which fold it is, not its place on a list: a new file moves
no other, and the folds of two machines are the same. So folds differ in size, and a fold of few
examples may be empty. The examples of "train" and "val" are divided anew; "test" stays as it is.
Frames of one film look alike: where their names differ, they may be in different folds.
"""

import dataclasses
import pathlib
import re

import numpy as np

from recipes.data.dataset import DataError, Dataset
from recipes.data.lists import composed, hashed, without_ending


def read_fold(text: str) -> tuple[int, int]:
    """The number of the fold that is held out, from 1, and the number of folds.

    >>> read_fold("2/5")
    (2, 5)

    Raises:
        ValueError: There is no such fold.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    number, count = map(int, found.groups()) if found else (1, 5)
    if not found or count < 2 or not 1 <= number <= count:
        count = max(count, 2)
        raise ValueError(
            f"--fold K/N holds out fold K of N, such as 2/5: N is at least 2, and K is 1 to N; "
            f"received {text!r}. Pass --fold {min(max(number, 1), count)}/{count}."
        )
    return number, count


def divided(splits: dict[str, Dataset], fold: str) -> dict[str, Dataset]:
    """The splits with the examples of a fold in "val" and all others in "train".

    Raises:
        ValueError: There is no such fold.
        DataError: One of both would be empty; or the examples are windows of images.
    """
    number, count = read_fold(fold)
    parts = [splits["train"], splits["val"]]
    name = parts[0].name
    if any(part.cut_from for part in parts):
        raise DataError(
            f"--fold divides images by their names; the examples of {name} are windows, several of "
            "an image. Leave it out."
        )
    names = [_name(files[0]) for part in parts for files in part.files]
    held_out = np.array([hashed(one) % count == number - 1 for one in names])
    for what, empty in (("fold", not held_out.any()), ("rest", held_out.all())):
        if empty:
            raise DataError(
                f"--fold {fold}: the fold and the rest have at least one example each; of the "
                f"{len(names)} names of {name} the {what} has none. Pass another fold, or another "
                "number of folds."
            )
    return splits | {
        "train": _chosen(parts, "train", np.flatnonzero(~held_out)),
        "val": _chosen(parts, "val", np.flatnonzero(held_out)),
    }


def _name(file: str) -> str:
    """The name of an example: that of its image without folder and ending, with its page."""
    return composed(without_ending(pathlib.Path(file).name))


def _chosen(parts: list[Dataset], split: str, places: np.ndarray) -> Dataset:
    """A split with the examples at these places of all parts, one part behind the other."""
    sources = [(part, index) for part in parts for index in range(len(part))]
    chosen = [sources[place] for place in places]

    def example(index: int) -> tuple[np.ndarray, np.ndarray]:
        part, place = chosen[index]
        return part.example(place)

    def instances(index: int) -> np.ndarray:
        part, place = chosen[index]
        return part.instances(place)

    return dataclasses.replace(
        parts[0],
        split=split,
        files=tuple(part.files[index] for part, index in chosen),
        example=example,
        instances=None if any(part.instances is None for part in parts) else instances,
        other_heads={
            head: _chosen([part.other_heads[head] for part in parts], split, places)
            for head in parts[0].other_heads
        },
        unscored=(),
    )
