"""The one way in which anything is written: beside its place, synced to the disk, then renamed.

A reader finds the old file or the new one, never a part. What is not finished yet has a name that
begins with `writing-`.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator

UNFINISHED = "writing-"


@contextlib.contextmanager
def replacing(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A path beside `target` for a new file, which takes the place of `target` after the block.

    ```python
    with replacing("mask.png") as unfinished:
        picture.save(unfinished)
    ```

    When the block fails, the new file is removed and `target` is as it was.

    Raises:
        OSError: The file cannot be synced or renamed.
    """
    target = pathlib.Path(target)
    unfinished = _beside(target)
    try:
        yield unfinished
        sync(unfinished)
        os.replace(unfinished, target)
        sync_one(target.parent)
    finally:
        remove(unfinished)


@contextlib.contextmanager
def creating(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """As `replacing`, for a file or folder that must not be there yet; makes the folders above it.

    When the block fails, what was written and the folders that were made are removed.

    Raises:
        FileExistsError: `target` exists, also when another process made it in the meantime.
        OSError: A folder cannot be made; something cannot be synced or renamed.
    """
    target = pathlib.Path(target)
    unfinished = _beside(target)
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        sync(unfinished)
        _move(unfinished, target)
        sync_one(target.parent)
    except BaseException:
        remove(unfinished)
        with contextlib.suppress(OSError):  # a folder in which another process is at work stays
            for folder in made:
                folder.rmdir()
        raise


def write_text(target: str | os.PathLike, text: str) -> None:
    """Writes a text file as UTF-8, by `replacing`; line ends stay as they are."""
    with replacing(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="")


def sync(path: pathlib.Path) -> None:
    """Waits until a file, or a folder with all that it holds, is on the disk."""
    for inside in sorted(path.rglob("*"), reverse=True) if path.is_dir() else ():
        sync_one(inside)
    sync_one(path)


def sync_one(path: pathlib.Path) -> None:
    """Waits until one file, or the list of names in one folder, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder if it is there; what cannot be removed stays."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _beside(target: pathlib.Path) -> pathlib.Path:
    # The ending stays: libraries choose the format of a file by it.
    return target.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{target.name}")


def _move(unfinished: pathlib.Path, target: pathlib.Path) -> None:
    """Renames without replacing; a file is linked first, which fails where the name is taken."""
    if target.exists():
        raise FileExistsError(f"{target} exists already. Choose another name.")
    if unfinished.is_file():
        try:
            os.link(unfinished, target)
        except FileExistsError:
            raise FileExistsError(
                f"{target} exists: another process wrote it in the meantime. Choose another name."
            ) from None
        except OSError:  # a file system without links
            pass
        else:
            unfinished.unlink()
            return
    os.rename(unfinished, target)
