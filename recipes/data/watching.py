"""Notices examples that change while they are in use."""

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Protocol

import numpy as np

from recipes.data.dataset import DataError, Dataset

Stamps = tuple[tuple[int, ...] | None, ...]


class Looked(Protocol):
    """What is read of an example: a hash of all of it, or else its problem."""

    whole: bytes
    problem: str | None


def stamps(files: tuple[str, ...]) -> Stamps:
    """What tells cheaply that a file may have changed, for each file of an example."""
    return tuple(map(_stamp, files))


def watched(
    dataset: Dataset,
    source: Dataset,
    *,
    stamps: list[Stamps],
    hashes: list[bytes],
    look: Callable[[int], Looked],
    instances: bool,
) -> Dataset:
    """The split; each example is read again in full when the time or size of a file has changed.

    Args:
        dataset: The split.
        source: The split whose files it reads: itself, or the one that it is cut from.
        stamps: Of the examples of `source`, when they were verified; changed files are noted.
        hashes: Of the same examples.
        look: Reads an example of `source` in full.
        instances: Whether the hashes are over the numbers of the objects, too.
    """
    place = {image: index for index, (image, *_) in enumerate(source.files)}

    def compare(index: int) -> None:
        at = place[dataset.files[index][0]]
        now = tuple(map(_stamp, source.files[at]))
        if now == stamps[at]:
            return
        again = look(at)
        if again.whole != hashes[at]:
            changed = [
                file
                for file, one, other in zip(source.files[at], now, stamps[at], strict=True)
                if one != other
            ]
            problem = f"\n  {again.problem}" if again.problem else ""
            raise DataError(
                f"{' and '.join(changed)}: the examples of a run stay as they were when it was "
                "started; this has changed since. Restore it and run the same command again, or "
                f"start a new run.{problem}"
            )
        stamps[at] = now  # somebody has touched or copied it

    def example(index: int) -> tuple[np.ndarray, np.ndarray]:
        read = dataset.example(index)
        compare(index)  # after it was read: a file may change meanwhile
        return read

    def numbers(index: int) -> np.ndarray:
        read = dataset.instances(index)
        compare(index)
        return read

    with_numbers = numbers if dataset.instances and instances else dataset.instances
    return dataclasses.replace(dataset, example=example, instances=with_numbers)


def _stamp(file: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(re.sub(r" \(page \d+\)$", "", file))
    except OSError:  # it is no file, or is missing, which reading tells
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
