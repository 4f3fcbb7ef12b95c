"""The `.sha256` file beside a file, in the format that `sha256sum --check` reads."""

import hashlib
import os
import pathlib


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_of(path: pathlib.Path) -> pathlib.Path:
    """The path of the `.sha256` file that belongs to `path`."""
    return path.with_name(path.name + ".sha256")


def is_whole(path: str | os.PathLike) -> bool | None:
    """Whether a file has the SHA-256 in the `.sha256` beside it; None without one."""
    record = record_of(pathlib.Path(path))
    if not record.exists():
        return None
    words = record.read_text(encoding="utf-8", errors="replace").split()
    return os.path.exists(path) and words[:1] == [sha256(path)]
