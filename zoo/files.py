"""The one way in which anything is written: beside its place, synced to the disk, then renamed.

A reader finds the old file or the new one, never a part. What is not finished yet lies in a folder
whose name is `writing-` and eight hexadecimal digits. The process that writes holds a lock in that
folder, so that `sweep` can tell what a killed process left from what is still being written.
"""

import codecs
import contextlib
import os
import pathlib
import platform
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UNFINISHED = "writing-"
LOCK = "lock"
_OWNER = "process "  # how the text in a lock begins
_MAX_OWNER = 1000  # bytes of that text that are read
_LOCKED_BYTE = 1 << 30  # Windows lets nobody read a locked byte: one after the text


class InUseError(Exception):
    """Another process holds a lock; the message names the process, if it is known."""


@contextlib.contextmanager
def replacing(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A path for a new file of the same name, which takes the place of `target` after the block.

    ```python
    with replacing("mask.png") as unfinished:
        picture.save(unfinished)
    ```

    When the block fails, the new file is removed and `target` is as it was.

    Raises:
        OSError: The file cannot be synced or renamed.
    """
    target = pathlib.Path(target)
    with _naming(target), unfinished_folder(target.parent) as folder:
        unfinished = folder / target.name
        yield unfinished
        sync(unfinished)
        os.replace(unfinished, target)
        sync_one(target.parent)


@contextlib.contextmanager
def creating(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """As `replacing`, for a file or folder that must not be there yet; makes the folders above it.

    When the block fails, what was written and the folders that were made are removed.

    Raises:
        FileExistsError: `target` exists, also when another process made it in the meantime.
        OSError: A folder cannot be made; something cannot be synced or renamed.
    """
    target = pathlib.Path(target)
    with _naming(target), making(target.parent), unfinished_folder(target.parent) as folder:
        unfinished = folder / target.name
        yield unfinished
        sync(unfinished)
        move(unfinished, target)


def check_new(target: pathlib.Path, endings: Sequence[str], *, what: str) -> pathlib.Path:
    """Checks where a file is to be written, before the work for it is done; returns the path.

    Args:
        target: The file that will be written, by `creating`.
        endings: That its name may have, as ".png".
        what: What the file holds, with its article, for the message.

    Raises:
        ValueError: The name has none of the endings.
        FileExistsError: Something is there.
    """
    if target.suffix.lower() not in endings:
        *others, last = endings
        known = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(
            f"{what} is written as {known}; received {target.name!r}. Name it "
            f"{target.stem or 'new'}{endings[0]}, for example."
        )
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists and is not overwritten. Name another file.")
    return target


def write_text(target: str | os.PathLike, text: str) -> None:
    """Writes a text file as UTF-8, by `replacing`; line ends stay as they are."""
    with replacing(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="")


def append_text(target: str | os.PathLike, text: str) -> None:
    """Adds to a text file that is there, and waits until it is on the disk.

    Raises:
        OSError: The file is not there or cannot be written.
    """
    with _naming(target), open(target, "r+", encoding="utf-8", newline="") as stream:
        stream.seek(0, os.SEEK_END)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def write_at(target: str | os.PathLike, place: int, content: bytes | memoryview) -> None:
    """Cuts a file off at a byte and adds to it there, and waits until it is on the disk.

    The file is made if there is none.

    Raises:
        OSError: The file cannot be written.
    """
    with _naming(target), open(target, "ab") as stream:
        stream.truncate(place)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def _naming(target: str | os.PathLike) -> Iterator[None]:
    """Errors of the system name the file that the user knows."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and UNFINISHED in str(error.filename or UNFINISHED):
            error.filename = str(target)
        raise


def decoded(content: bytes, *, errors: str = "strict") -> str:
    """The text of a file in UTF-8, or in UTF-16 as Windows writes it; with or without a mark.

    Raises:
        UnicodeDecodeError: It is no such text, and `errors` is "strict".
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig", errors)


@contextlib.contextmanager
def making(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder and those above it; a block that fails removes the made ones that are empty.

    Raises:
        OSError: A folder cannot be made.
    """
    made = []
    try:
        for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            with contextlib.suppress(FileExistsError):  # another process made it in the meantime
                missing.mkdir()
                made.append(missing)
                sync_one(missing.parent)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # a folder in which another process is at work stays
            for one in reversed(made):
                one.rmdir()
        raise


@contextlib.contextmanager
def unfinished_folder(place: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new folder inside `place` for what is not finished; removed after the block.

    Raises:
        OSError: It cannot be made.
    """
    with contextlib.ExitStack() as stack:
        while True:
            folder = place / f"{UNFINISHED}{secrets.token_hex(4)}"
            folder.mkdir()
            stack.callback(remove, folder)
            # A sweep may come between the folder and its lock.
            with contextlib.suppress(FileNotFoundError, InUseError):
                stack.enter_context(locked(folder / LOCK))
                break
        yield folder


def sweep(folder: pathlib.Path) -> None:
    """Removes what killed processes left unfinished in a folder; what cannot be removed stays.

    What a living process writes is left alone, and so is everything that this module did not make.
    On a file system without locks everything is.
    """
    for left in folder.glob(UNFINISHED + "[0-9a-f]" * 8):
        with contextlib.suppress(OSError, ValueError, InUseError):
            if not (left / LOCK).exists():
                left.rmdir()  # killed before it wrote anything
                continue
            with locked(left / LOCK) as sure:
                if sure:
                    remove(left)


@contextlib.contextmanager
def locked(file: pathlib.Path) -> Iterator[bool]:
    """Holds a lock file, in which this process writes its number; removes it after the block.

    The system releases the lock however the process ends. Windows keeps the file.

    Yields:
        Whether the lock is held; the file system may have no locks.

    Raises:
        InUseError: Another process holds it.
        ValueError: The file is there and is no lock of ours.
        OSError: The file cannot be made.
    """
    while True:
        if file.exists() and not file.is_file():
            raise _no_lock(file, "it is no file")
        with open(file, "a+b", buffering=0) as stream:
            said = _owner(stream, file)
            try:
                _lock(stream)
                held = True
            except (BlockingIOError, PermissionError):  # the latter on Windows
                raise InUseError(said or "another process") from None
            except (OSError, ImportError):
                held = False
            # The process that held it may have removed it since it was opened.
            if held and not _is_at(stream, file):
                continue
            with _naming(file):  # the disk may be full
                stream.truncate(0)
                stream.write(f"{_OWNER}{os.getpid()} on {platform.node()}".encode())
            try:
                yield held
            finally:
                if held and fcntl:  # Windows removes no open file
                    remove(file)
        return


def _owner(stream: BinaryIO, file: pathlib.Path) -> str:
    stream.seek(0)
    said = stream.read(_MAX_OWNER).decode("utf-8", "replace")
    if said and not re.match(rf"{_OWNER}\d+ on ", said):
        raise _no_lock(file, f"it begins with {said[:20]!r}")
    return said


def _no_lock(file: pathlib.Path, why: str) -> ValueError:
    return ValueError(
        f"{file} is there and is no lock of this program: {why}. Rename it, or choose another "
        "folder."
    )


def _lock(stream: BinaryIO) -> None:
    if fcntl:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        stream.seek(_LOCKED_BYTE)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        stream.seek(0)


def _is_at(stream: BinaryIO, file: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(file))
    except FileNotFoundError:
        return False


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
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def move(path: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a synced file or folder, within a file system, and never replaces anything.

    Raises:
        FileExistsError: `target` exists.
        OSError: It cannot be renamed.
    """
    try:
        if path.is_dir():
            if target.exists():  # renaming replaces an empty folder
                raise FileExistsError
            os.rename(path, target)
        else:
            _move_file(path, target)
    except OSError as error:
        if not target.exists():
            raise
        raise FileExistsError(
            f"{target} exists already; nothing is ever written over it. Choose another name."
        ) from error
    sync_one(target.parent)


def _move_file(path: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: an empty file of our own reserves the name
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(path, target)
    else:
        path.unlink()
