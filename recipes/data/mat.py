"""Reads one matrix of labels from a MATLAB file within a limit of memory.

The promise: a damaged or hostile file gives an error that names it, and reading takes at most four
times `MAX_BYTES`. `scipy.io.loadmat` breaks it: 60 kB of nested cells crash the process, and 290 kB
that declare a 2 × 2 matrix take 500 MB. Running it in a child process with a limit would need more
code than this reader, because label files use a small part of the format: one matrix of whole
numbers, perhaps as the field of a struct.

The format: MathWorks, "MAT-File Format", level 5, which MATLAB's `save -v6` and `-v7` and
`scipy.io.savemat` write.
"""

import itertools
import math
import pathlib
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from recipes.data.dataset import DataError

MAX_BYTES = 16 * 2**20
"""The largest file that is read, and the most that is decompressed from it: 16 million pixels."""

_COMPRESSED, _MATRIX = 15, 14  # types of elements that do not hold numbers
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_NUMERIC = range(6, 16)  # the classes of matrices, double to uint64
_OTHERS = {1: "a cell array", 2: "a struct", 3: "an object", 4: "text", 5: "sparse"}
_COMPLEX = 0x0800
# Far above what a label file has; they bound the time that a damaged file takes.
_MAX_SIZES, _MAX_FIELDS, _MAX_NAME = 32, 1000, 63


def read_array(file: pathlib.Path, *names: str) -> np.ndarray:
    """A matrix of whole numbers, `[h, w]`, in the file's integer type; int32 if it holds floats.

    >>> label = read_array(folder / "cls" / "2008_000002.mat", "GTcls", "Segmentation")

    Args:
        file: A MATLAB file of level 5.
        names: The name of the variable; if it is a struct, then the name of its field.

    Raises:
        DataError: The file is missing, too large or damaged, has no such matrix, or the matrix
            holds other values than whole numbers.
    """
    wanted = ".".join(names)
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(
            f"{file}: there is no such file. Add it, or take it off the list."
        ) from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error}). Replace it.") from error
    try:
        return _whole(_find(content, names))
    except _OtherContentError as error:
        raise DataError(
            f"{file}: a label is the matrix {wanted!r}, of whole numbers; {error}. Replace it."
        ) from error
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(
            f"{file}: cannot be read as a MATLAB file ({error}). Replace it, or save it in MATLAB "
            "by `save -v7`."
        ) from error


def read_label(file: pathlib.Path, *names: str, classes: np.ndarray, first: int = 0) -> np.ndarray:
    """A label, uint8 `[h, w]`, from a file whose numbers are not the class numbers.

    Args:
        file: As for `read_array`.
        names: As for `read_array`.
        classes: uint8 `[numbers]`, the class of each number in the file, or 255.
        first: The number that `classes[0]` belongs to.

    Raises:
        DataError: As `read_array`, or the matrix holds other numbers.
    """
    numbers = read_array(file, *names)
    last = first + len(classes) - 1
    outside = np.unique(numbers[(numbers < first) | (numbers > last)])
    if outside.size:
        shown = [str(number) for number in outside[:10]] + ["…"] * (outside.size > 10)
        raise DataError(
            f"{file}: a label holds the numbers {first} to {last}; it holds {', '.join(shown)} "
            "too. Replace it."
        )
    return classes[numbers.astype(np.int32) - first]


class _OtherContentError(Exception):
    """The file is sound but lacks the matrix; the message says what it holds."""


def _find(content: bytes, names: tuple[str, ...]) -> np.ndarray:
    if not content:
        raise ValueError("it is empty")
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or struct.unpack_from(order + "H", content, 124) != (0x0100,):
        raise ValueError("it has no header of a level 5 MAT-file")
    there = []
    left = MAX_BYTES
    variables = _elements(memoryview(content)[128:], order)
    for kind, element in variables:
        if kind == _COMPRESSED:
            element = _inflate(element, order, left)
            left -= len(element)
            kind, element = next(_elements(memoryview(element), order), (0, element))
        if kind != _MATRIX:
            raise ValueError(f"a variable is stored as type {kind}")
        name, parts = _matrix(element, order)
        if name == names[0]:
            found = _numbers(_field(parts, names[1:], order), order)
            for _ in variables:  # raises if the file is cut off
                pass
            return found
        there.append(repr(name))
    raise _OtherContentError(f"it holds {', '.join(there[:10]) or 'nothing'}")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and the content of each element."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        start = at + 8
        if kind >> 16:  # a short element: size and type in four bytes, the content in the next four
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError(f"a short element declares {size} bytes")
        if size > len(data) - start:
            raise ValueError(f"it declares {size:,} bytes where {len(data) - start:,} are left")
        yield kind, data[start : start + size]
        at = max(at + 8, start + size)
        if kind != _COMPRESSED:
            at += -at % 8


def _inflate(element: memoryview, order: str, most: int) -> bytes:
    """The one element that is compressed in another; no byte more than it declares."""
    inflater = zlib.decompressobj()
    header = inflater.decompress(element, 8)
    size = int.from_bytes(header[4:], "little" if order == "<" else "big")
    if size > most - 8:
        raise ValueError(f"it holds more than {MAX_BYTES:,} bytes")
    content = inflater.decompress(inflater.unconsumed_tail, size + 8)  # 8 bytes of padding
    if not inflater.eof:
        more = len(content) > size
        raise ValueError(
            "it holds more than it declares" if more else "its compressed data end too soon"
        )
    return header + content


def _matrix(element: memoryview, order: str) -> tuple[str, tuple]:
    """The name of a matrix; and its class, sizes, and an iterator over what follows."""
    rest = _elements(element, order)
    header = [content for _, content in itertools.islice(rest, 3)]
    if len(header) < 3:
        raise ValueError("a matrix has no header")
    (flags,) = struct.unpack_from(order + "I", header[0])
    if len(header[1]) > 4 * _MAX_SIZES:
        raise ValueError(f"a matrix has more than {_MAX_SIZES} dimensions")
    sizes = struct.unpack(f"{order}{len(header[1]) // 4}i", header[1])
    return bytes(header[2][:_MAX_NAME]).decode("latin1"), (flags, sizes, rest)


def _field(parts: tuple, names: tuple[str, ...], order: str) -> tuple:
    """Class, sizes and content of a struct's field; of the matrix itself if no field is named."""
    for name in names:
        flags, sizes, rest = parts
        if flags & 0xFF != 2 or math.prod(sizes) != 1:
            raise _OtherContentError(f"it holds no struct with a field {name!r}")
        (_, length), (_, text) = itertools.islice(rest, 2)
        (length,) = struct.unpack(order + "i", length)
        if length < 1 or len(text) > _MAX_FIELDS * length:
            raise ValueError(f"a struct declares {len(text):,} bytes of names, {length} for each")
        fields = [
            bytes(text[at : at + length]).split(b"\0")[0].decode("latin1")
            for at in range(0, len(text), length)
        ]
        if name not in fields:
            raise _OtherContentError(f"the struct has the fields {', '.join(map(repr, fields))}")
        element = next(itertools.islice(rest, fields.index(name), None), None)
        if element is None:
            raise ValueError(f"the field {name!r} is missing")
        _, parts = _matrix(element[1], order)
    return parts


def _numbers(parts: tuple, order: str) -> np.ndarray:
    flags, sizes, rest = parts
    if flags & 0xFF not in _NUMERIC or flags & _COMPLEX:
        what = _OTHERS.get(flags & 0xFF, "complex")
        raise _OtherContentError(f"it is {what}")
    if len(sizes) != 2 or min(sizes) < 1:
        raise _OtherContentError(f"it is {'×'.join(map(str, sizes))}")
    kind, content = next(rest, (None, b""))
    if kind not in _NUMBERS:
        raise ValueError(f"its numbers are stored as type {kind}")
    numbers = np.frombuffer(content, np.dtype(_NUMBERS[kind]).newbyteorder(order))
    if numbers.size != math.prod(sizes):
        raise ValueError(f"{numbers.size:,} numbers do not make {sizes[0]}×{sizes[1]}")
    return numbers.reshape(sizes, order="F")


def _whole(numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype.kind != "f":
        return numbers.astype(numbers.dtype.newbyteorder("="))
    whole = np.empty(numbers.shape, np.int32)
    for row, part in zip(whole, numbers, strict=True):  # by rows, to need no second matrix
        with np.errstate(invalid="ignore"):
            row[:] = part
        if not np.array_equal(row, part):
            raise _OtherContentError(f"it holds {part[row != part][0]}")
    return whole
