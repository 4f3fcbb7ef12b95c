"""Which number a new version gets, and how it gets its name: whole and checked, or not at all."""

import contextlib
import itertools
import pathlib
import re
import shutil
from collections.abc import Collection, Iterable, Iterator

import tensorflow as tf

from zoo import files

MAX_VERSION = 2**63 - 1
"""TensorFlow Serving reads numbers of 64 bits, and does not see a folder with a larger one."""


def check_name(name: str) -> None:
    """Raises ValueError unless a model's name can be that of a folder and of a served model."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(
            "A model is exported under its name, which holds letters, digits, and . _ - only; "
            f"received {name!r}. Give the model another name."
        )


def taken(out: pathlib.Path, places: Iterable[str]) -> set[int]:
    """The versions that a folder holds at these places, paths in it with `{}` for the version."""
    found = set()
    for place in map(out.joinpath, places):
        name = re.compile(re.escape(place.name).replace(r"\{\}", "([0-9]+)"))
        paths = (name.fullmatch(path.name) for path in place.parent.glob("*"))
        found |= {int(path[1]) for path in paths if path and len(path[1]) < 100}
    return {version for version in found if version <= MAX_VERSION}


def choose(version: int | None, taken: Collection[int], places: Iterable[str]) -> int:
    """The version asked for, or the next free one if it is None.

    Args:
        version: A whole number from 1, or None.
        taken: The versions that exist in any format.
        places: The paths that the export will have, with `{}` for the version.

    Raises:
        ValueError: `version` is not a whole number from 1 to `MAX_VERSION`, or none follows.
        FileExistsError: One of the paths exists.
    """
    free = max(taken, default=0) + 1
    version = free if version is None else version
    is_whole = isinstance(version, int) and not isinstance(version, bool)
    if not (is_whole and 1 <= version <= MAX_VERSION):
        if free > MAX_VERSION:  # the highest is taken
            free = next(number for number in itertools.count(1) if number not in taken)
        raise ValueError(
            f"A version is a whole number from 1 to {MAX_VERSION}; received {version!r}. Pass "
            f"version={free}."
        )
    for place in places:
        if pathlib.Path(place.format(version)).exists():
            raise FileExistsError(
                f"An exported version is never overwritten; {place.format(version)} exists. "
                f"Pass version={free}, the next free one."
            )
    return version


def finish(out: pathlib.Path) -> None:
    """Gives a TFLite file its record, where the export was killed after it had renamed the file.

    The file was checked before; nothing but the second name was missing.
    """
    for record in out.glob(f"{files.UNFINISHED}*/*.json"):
        if (out / record.with_suffix(".tflite").name).exists():
            with (
                contextlib.suppress(OSError, ValueError, files.InUseError),
                files.locked(record.parent / files.LOCK) as sure,
            ):
                if sure:  # the process that would do it has ended
                    files.move(record, out / record.name)


@contextlib.contextmanager
def creating(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """As `zoo.files.creating`, with errors that say what they mean for a version.

    The path that is given lies in a folder that begins with `writing-`, which a server takes for no
    version. What killed exports left there is removed.

    Raises:
        OSError: The folder cannot be made or written.
        FileExistsError: Another export has made `target` in the meantime.
    """
    inside = None
    try:
        if not _nearest(target).is_dir():
            raise NotADirectoryError(f"{_nearest(target)} is a file, where a folder is needed")
        files.sweep(target.parent)
        with files.creating(target) as unfinished:
            try:
                yield unfinished
            except BaseException as error:
                inside = error
                raise
    except OSError as error:
        if error is inside:
            raise
        if isinstance(error, FileExistsError):
            raise FileExistsError(
                f"An exported version is never overwritten; another export made {target} in the "
                "meantime. Export again: the next free number is taken."
            ) from error
        raise _unwritten(target, error) from error


@contextlib.contextmanager
def whole_or_not_at_all(target: pathlib.Path) -> Iterator[None]:
    """Says what a failure to write means; TensorFlow's own errors do not name the target.

    Raises:
        OSError: The block could not write.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise _unwritten(target, error) from error


def _unwritten(target: pathlib.Path, error: Exception) -> OSError:
    free = shutil.disk_usage(_nearest(target)).free // 2**20
    return OSError(
        f"A version is written whole or not at all; {target} could not be written "
        f"({error}). {free} MiB are free there. Make room, or choose a folder that you may "
        "write to; nothing was changed."
    )


def _nearest(target: pathlib.Path) -> pathlib.Path:
    """The nearest folder above `target` that exists."""
    return next(folder for folder in target.absolute().parents if folder.exists())
