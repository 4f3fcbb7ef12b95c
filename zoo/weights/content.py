"""What a file is, by its first bytes: names lie, and each kind of file needs another remedy."""

import os
import zipfile
from enum import Enum
from typing import BinaryIO

# A `.keras` file is a zip: the name of its weights, and the largest list of members in bytes.
MEMBER, MAX_DIRECTORY = "model.weights.h5", 1 << 20
_HDF5 = b"\x89HDF\r\n\x1a\n"


class Kind(Enum):
    """The kinds of files whose weights can be read. What nothing else is may be Caffe's."""

    HDF5 = "HDF5"
    KERAS = "a .keras file"
    OTHER = "another file"


_KERAS = "Give weights that Keras saved, or a .caffemodel"
_AGAIN = "Download the file itself; its address may need a login, or the file has moved"
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c")
# What a file begins with (or with one of these), what it is then, and what to do.
_STARTS = (
    (b"version https://git-lfs", "a pointer of Git LFS in the place of a file", "Run git lfs pull"),
    (b"<", "a web page or XML", _AGAIN),
    (b"{", "a text in JSON", _AGAIN),
    (_ARCHIVES, "a compressed archive", "Unpack it"),
    (b"\x80\x02", "a pickle, as PyTorch once saved weights", _KERAS),
    ((b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickle of Python", _KERAS),
    (b"\x93NUMPY", "an array of NumPy", _KERAS),
)


def kind(path: str | os.PathLike) -> Kind:
    """The kind of a file, whatever its name.

    Raises:
        ValueError: Its content is known and holds no weights that can be read; what it is is named.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(512)
        size = os.fstat(file.fileno()).st_size
        what, remedy = _other_content(start, size)
        if not what and start.startswith(b"PK\x03\x04"):
            what, remedy = _other_zip(file)
            found = Kind.KERAS
        elif not what:
            # An HDF5 file may begin with a block of its user's: 512 bytes, 1024, 2048, …
            places = [0, *(1 << power for power in range(9, size.bit_length()))]
            found = Kind.HDF5 if any(_at(file, x) == _HDF5 for x in places) else Kind.OTHER
    if what:
        raise ValueError(f"{path} is {what}, and no file of weights that can be read. {remedy}.")
    return found


def _other_content(start: bytes, size: int) -> tuple[str, str]:
    if not start:
        return "empty", "Copy or download it again"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for begins, what, remedy in _STARTS:
        if text.startswith(begins):
            return what, remedy
    if start[257:262] == b"ustar":
        return "an archive", "Unpack it"
    if start[4:8] == b"TFL3":
        return "a TFLite file", f"It is an export. {_KERAS}"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
        return "a safetensors file", _KERAS
    return "", ""


def _other_zip(file: BinaryIO) -> tuple[str, str]:
    """What a zip is, unless it is a `.keras` file."""
    # zipfile makes an object for each listed member before we can count them.
    end = zipfile._EndRecData(file)
    if not end or end[zipfile._ECD_SIZE] > MAX_DIRECTORY:
        return "", ""  # the reader says what is wrong
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return "", ""
    if MEMBER in names:
        return "", ""
    if any(name.endswith("data.pkl") for name in names):
        return "a file of PyTorch", _KERAS
    if names and all(name.endswith(".npy") for name in names):
        return "a file of arrays of NumPy", _KERAS
    return f"a zip archive without {MEMBER}", _KERAS


def _at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read(len(_HDF5))
