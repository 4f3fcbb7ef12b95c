"""The `.sha256` file beside a file, in the formats that `sha256sum --check` reads."""

import hashlib
import os
import pathlib
import re
import stat

from zoo.files import decoded

MAX_RECORD = 1 << 16
"""The largest `.sha256` file that is read, in bytes; one line has about 100."""

# A digest and a file's name, as sha256sum, its --tag, shasum, openssl and PowerShell write them.
_GNU = re.compile(r"\\?([0-9a-f]{64})(?:\s+\*?(.+))?", re.IGNORECASE)
_BSD = re.compile(r"\\?SHA2?-?256 ?\((.+)\) ?= ?([0-9a-f]{64})", re.IGNORECASE)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_of(path: pathlib.Path) -> pathlib.Path:
    """The path of the `.sha256` file that belongs to `path`."""
    return path.with_name(path.name + ".sha256")


def check(path: str | os.PathLike) -> None:
    """Compares a file with the `.sha256` beside it, if there is one.

    Raises:
        ValueError: The file has another SHA-256, or the `.sha256` holds none for it.
        FileNotFoundError: There is a `.sha256` and no file.
    """
    path = pathlib.Path(path)
    record = record_of(path)
    if not os.path.lexists(record):
        return
    try:
        recorded = _recorded(record, path.name)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{record} is not the SHA-256 of {path.name}: {error}. Write it again with sha256sum "
            f"{path.name} > {record.name}, or remove it."
        ) from error
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"{path} is no file. Copy or download it again.")
    if recorded != sha256(path):
        raise ValueError(
            f"{path} is not the file that {record} was written for. Copy, download or convert it "
            "again; if it was changed on purpose, remove the .sha256."
        )


def is_whole(path: str | os.PathLike) -> bool | None:
    """Whether a file has the SHA-256 in the `.sha256` beside it; None without one."""
    if not os.path.lexists(record_of(pathlib.Path(path))):
        return None
    try:
        check(path)
    except (ValueError, FileNotFoundError):
        return False
    return True


def _recorded(record: pathlib.Path, name: str) -> str:
    """The digest that a `.sha256` file has for a file of this name, in small letters."""
    status = record.stat()  # before it is opened, as a pipe never ends
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is a folder or no regular file")
    if status.st_size > MAX_RECORD:
        raise ValueError(f"it has more than {MAX_RECORD:,} bytes")
    text = decoded(record.read_bytes(), errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    found = [entry for line in lines if (entry := _entry(line))]
    if not found:
        raise ValueError("it holds no line such as the 64 digits of a SHA-256 and the file's name")
    for digest, named in found:
        # Tools record the path that they were given, perhaps of another system.
        if named is None or re.split(r"[/\\]", named)[-1] == name:
            return digest
    raise ValueError(f"it was written for {found[0][1]!r}")


def _entry(line: str) -> tuple[str, str | None] | None:
    if match := _GNU.fullmatch(line):
        return match[1].lower(), match[2]
    if match := _BSD.fullmatch(line):
        return match[2].lower(), match[1]
    return None
