"""Reads texts that are attributes in an HDF5 file, without the HDF5 library.

The reader is our own because the HDF5 library would break the promise of little time and memory. It
trusts the length in a damaged text: on a file of 12 kB it took 4 GB, and on others it never ended.
Weights files need a few texts only, as h5py writes them. The format is in "HDF5 File Format
Specification Version 3.0", sections III.D, IV.A.1 and IV.A.2.m.
"""

import itertools
import mmap
import struct
from collections.abc import Iterator

MAX_TEXT = 256
# The bytes of a block of an object's header, or of a heap of texts; the messages of an object.
MAX_BLOCK, MAX_MESSAGES = 1 << 16, 256
# Types of messages.
CONTINUATION, ATTRIBUTE = 0x10, 0x0C


def text_attribute(
    data: mmap.mmap | bytes, address: int, name: str, *, longest: int = MAX_TEXT
) -> str:
    """The text of an attribute, one printable line.

    Args:
        data: The whole file.
        address: Where the header of the object begins.
        name: The name of the attribute.
        longest: The largest length of the text, in bytes.

    Raises:
        RuntimeError: The attribute is missing or is not such a text.
        struct.error: It refers to bytes outside of the file.
    """
    for kind, body in itertools.islice(_messages(data, address), MAX_MESSAGES):
        if kind != ATTRIBUTE:
            continue
        version, *sizes = struct.unpack_from("<BxHHH", body)
        start, padding = (9, 1) if version == 3 else (8, 8 if version == 1 else 1)
        parts = []
        for size in sizes:  # the name, the type, the dimensions
            parts.append(body[start : start + size])
            start += -(-size // padding) * padding
        found, dtype, dimensions = parts
        if found.rstrip(b"\0") != name.encode():
            continue
        if dtype[0] & 15 == 9 and dimensions[1] == 0:  # one value, of variable length
            text = _text(data, *struct.unpack_from("<IQI", body, start), longest)
            if text.isprintable():
                return text
    raise RuntimeError(f"the object at byte {address} has no {name} of one line")


def _messages(data: mmap.mmap | bytes, address: int) -> Iterator[tuple[int, bytes]]:
    """The type and the content of each message of an object header."""
    if data[address : address + 4] == b"OHDR":  # version 2
        (flags,) = struct.unpack_from("<5xB", data, address)
        start = address + 6 + 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1)
        width = 1 << (flags & 3)
        blocks = [(start + width, int.from_bytes(data[start : start + width], "little"))]
        head, around = "<BHB2x" if flags & 4 else "<BHB", 4
    else:
        blocks = [(address + 16, *struct.unpack_from("<8xI", data, address))]
        head, around = "<HHB3x", 0
    for start, size in blocks:
        block, position = data[start : start + min(size, MAX_BLOCK)], 0
        while position + struct.calcsize(head) <= len(block):
            kind, size, _ = struct.unpack_from(head, block, position)
            position += struct.calcsize(head)
            body = block[position : position + size]
            position += size
            if kind == CONTINUATION:
                start, size = struct.unpack_from("<QQ", body)
                blocks.append((start + around, size - 2 * around))
            yield kind, body


def _text(data: mmap.mmap | bytes, length: int, heap: int, number: int, longest: int) -> str:
    """A text in a "global heap". 16 bytes before each text hold its number and its size."""
    mark, end = struct.unpack_from("<4s4xQ", data, heap)
    if mark != b"GCOL" or end > MAX_BLOCK or length > longest:
        raise RuntimeError(f"there is no text of at most {longest} bytes at byte {heap}")
    end, position = heap + end, heap + 16
    while position + 16 <= end:
        found, size = struct.unpack_from("<H6xQ", data, position)
        position += 16
        if found == number and length <= size:
            return data[position : position + length].decode()
        position += -(-size // 8) * 8
    raise RuntimeError(f"the texts at byte {heap} have no number {number}")
