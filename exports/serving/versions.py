"""Which number a new version gets, and how it comes to its name: whole, checked, or not at all."""

import contextlib
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Collection, Iterator

import tensorflow as tf


def check_name(name: str) -> None:
    """Raises ValueError unless a model's name can be a folder's and a served model's."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(
            "A model is exported under its name, which holds letters, digits, and . _ - only; "
            f"received {name!r}. Give the model another name."
        )


def choose(version: int | None, taken: Collection[int], place: str) -> int:
    """The version asked for, or the next free one if none is.

    Raises:
        ValueError: `version` is not a positive whole number.
        FileExistsError: `place`, the path with `{}` for the version, is there already.
    """
    free = max(taken, default=0) + 1
    if version is None:
        return free
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(
            f"A version is a whole number from 1; received {version!r}. Pass version={free}, or "
            "none for the next free one."
        )
    if version in taken:
        raise FileExistsError(
            f"An exported version is never overwritten; {place.format(version)} exists. "
            f"Pass version={free}, the next free one."
        )
    return version


@contextlib.contextmanager
def beside(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path beside `target`, which becomes `target` if the block succeeds and is removed if not.

    Its name starts with `writing-`, which is no number, so that a server never takes it for a
    version. A process that is killed leaves it behind, and nothing else.

    Raises:
        OSError: The folder cannot be made or written.
        FileExistsError: Another export has made it in the meantime.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    unfinished = target.with_name(f"writing-{target.name}-{secrets.token_hex(4)}")
    try:
        with whole_or_not_at_all(target):
            if not _nearest(target).is_dir():
                raise NotADirectoryError(f"{_nearest(target)} is a file, where a folder is needed")
            target.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        with whole_or_not_at_all(target):
            _sync(unfinished)
        if target.exists():
            raise FileExistsError(
                f"An exported version is never overwritten; another export made {target} in the "
                "meantime. Export again: the next free number is taken."
            )
        with whole_or_not_at_all(target):
            unfinished.rename(target)
            _sync_one(target.parent)
    except BaseException:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        # What was not made, or what another export is at work in, stays as it is.
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()
        raise


@contextlib.contextmanager
def whole_or_not_at_all(target: pathlib.Path) -> Iterator[None]:
    """Says what a failure to write means; TensorFlow's own errors do not name the target."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        free = shutil.disk_usage(_nearest(target)).free // 2**20
        raise OSError(
            f"A version is written whole or not at all; {target} could not be written "
            f"({error}). {free} MiB are free there. Make room, or choose a folder that you may "
            "write to; nothing was changed."
        ) from error


def _nearest(target: pathlib.Path) -> pathlib.Path:
    """What there is already of the way to `target`."""
    return next(folder for folder in target.absolute().parents if folder.exists())


def _sync(path: pathlib.Path) -> None:
    """Waits until a file, or a folder and all that is in it, is on the disk."""
    for inside in sorted(path.rglob("*"), reverse=True) if path.is_dir() else ():
        _sync_one(inside)
    _sync_one(path)


def _sync_one(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
