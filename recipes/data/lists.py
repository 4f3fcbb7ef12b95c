r"""Reads lists of names, as people, scripts and Windows write them.

A line is a name. It may be written with the ending and with the folder of its image, with `/` or
`\`, and a second column may give the label, as in the lists train_aug of VOC with SBD:

    2007_000032
    /JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png

A list is UTF-8, or UTF-16 with a byte order mark; blank lines, spaces around a line, and lines that
begin with # do not count.
"""

import hashlib
import os
import pathlib
import re
import unicodedata
from typing import NamedTuple

from recipes.data.dataset import DataError
from zoo.files import decoded
from zoo.images import ENDINGS

_ENDING = rf"\.(?:{'|'.join(ending[1:] for ending in ENDINGS)})"
_COLUMNS = re.compile(rf"(.+?{_ENDING})[\s,;]+(\S.*\.\w+)", re.IGNORECASE)


class Entry(NamedTuple):
    """A line of a list.

    Args:
        name: Without folder and ending.
        image: The image's path as it is written, with `/`; it may be the name alone.
        label: The path in the second column, below the folder of the data set; None without one.
        where: The file and the line, for messages.
    """

    name: str
    image: pathlib.PurePosixPath
    label: pathlib.PurePosixPath | None
    where: str


def read_lines(file: pathlib.Path, *, remedy: str) -> dict[int, str]:
    """The lines of a text file that say something, without the spaces around them, by their number.

    Blank lines and comments, which begin with #, say nothing.

    Raises:
        DataError: The file is missing, is not text, or is empty.
    """
    try:
        text = decoded(file.read_bytes())
        if "\0" in text:
            raise ValueError("it holds zeros: UTF-16 without a byte order mark, or no text at all")
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file. {remedy}") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}: cannot be read as text ({error}). Save it as UTF-8. {remedy}"
        ) from error
    lines = map(str.strip, re.split(r"\r\n|\r|\n", text.replace("\ufeff", "")))
    found = {
        number: line for number, line in enumerate(lines, start=1) if line[:1] not in ("", "#")
    }
    if not found:
        raise DataError(f"{file}: a list has at least one line; it is empty. {remedy}")
    return found


def read_entries(*lists: pathlib.Path, remedy: str) -> list[Entry]:
    """The lines of one or more lists, in their order.

    Raises:
        DataError: A list is missing, is not text or is empty; a name is there twice, or is a path
            out of the folder of the data set.
    """
    entries: dict[str, Entry] = {}
    for file in lists:
        for number, line in read_lines(file, remedy=remedy).items():
            entry = _entry(line, f"{file}, line {number}")
            other = entries.setdefault(composed(entry.name), entry)
            if other is not entry:
                raise DataError(
                    f"{entry.where}: a name is on a list once; {entry.name!r} is at {other.where}, "
                    "too. Delete one of the lines."
                )
    return list(entries.values())


def composed(name: str) -> str:
    """A name with each letter and its accent as one character (NFC), as most systems write it."""
    return unicodedata.normalize("NFC", name)


def hashed(name: str) -> int:
    """A number that follows from a name alone, on every machine: 64 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def can_be_listed(name: str) -> bool:
    """Whether a list can hold the name of a file."""
    return not re.search(r"^#|\\|[\x00-\x1f\x7f-\x9f]|[\ud800-\udfff]", name)


def as_shells(name: str) -> str:
    r"""The name of a file in ASCII characters that a shell understands: $'caf\351.jpg'."""
    codes = os.fsencode(name)
    plain = "".join(chr(c) if 32 <= c < 127 and c not in b"'\\" else f"\\{c:03o}" for c in codes)
    return f"$'{plain}'"


def without_ending(name: str) -> str:
    """A file's name without the ending of an image, in capitals or not; other dots stay."""
    return re.sub(rf"{_ENDING}$", "", name, flags=re.IGNORECASE)


def _entry(line: str, where: str) -> Entry:
    columns = _COLUMNS.fullmatch(line)
    image, *label = (_path(part, where) for part in (columns.groups() if columns else [line]))
    return Entry(without_ending(image.name), image, label[0] if label else None, where)


def _path(text: str, where: str) -> pathlib.PurePosixPath:
    path = pathlib.PurePosixPath(text.replace("\\", "/"))
    if ".." in path.parts[:-1] or re.match(r"[A-Za-z]:/|//|~", str(path)) or not path.name:
        raise DataError(
            f"{where}: a name is that of a file in the folder of the data set; received {text!r}. "
            f"Write {without_ending(path.name)!r}, and put the file there."
        )
    return path
