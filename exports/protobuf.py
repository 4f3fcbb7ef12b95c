"""The wire format of protocol buffers, as far as the exports need it without TensorFlow."""

from collections.abc import Iterator

_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}  # wire type → bytes


def field(number: int, content: bytes) -> bytes:
    """One field of a message: a string, or another message."""
    return varint(number << 3 | _LENGTH) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A whole number from 0."""
    groups = []
    while not groups or number:
        groups.append(number & 127)
        number >>= 7
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def fields(message: bytes, *, most: int | None = None) -> Iterator[tuple[int, bytes | int]]:
    """Number and content of each field: bytes, or a whole number where the field holds one.

    A `memoryview` instead of bytes gives views, so that a large file is not copied.

    Raises:
        ValueError: The message ends within a field, is not a message, or has more than `most`
            fields.
    """
    place = count = 0

    def number_here() -> int:
        nonlocal place
        value, place = _read_varint(message, place)
        return value

    try:
        while place < len(message):
            if count == most:
                raise ValueError(
                    f"A message of this kind has at most {most} fields; this one of {len(message)} "
                    "bytes has more. Write the file again."
                )
            count += 1
            tag = number_here()
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                yield number, number_here()
                continue
            length = _FIXED[kind] if kind in _FIXED else number_here()
            if kind not in (*_FIXED, _LENGTH) or place + length > len(message):
                raise IndexError
            yield number, message[place : place + length]
            place += length
    except IndexError as error:
        raise ValueError(
            f"A message is read to its end; this one of {len(message)} bytes breaks at {place}. "
            "Write the file again."
        ) from error


def varints(content: bytes) -> list[int]:
    """The whole numbers of a packed field.

    Raises:
        ValueError: The content ends within a number.
    """
    numbers, place = [], 0
    try:
        while place < len(content):
            number, place = _read_varint(content, place)
            numbers.append(number)
    except IndexError as error:
        raise ValueError(
            f"Packed numbers are read to their end; these break at {place}."
        ) from error
    return numbers


def mapping(message: bytes, number: int, *, most: int | None = None) -> dict[str, bytes]:
    """A field that maps strings to messages.

    Raises:
        ValueError: As `fields`; the field holds something else.
    """
    found = {}
    for kind, pair in fields(message, most=most):
        if kind == number:
            parts = dict(fields(pair, most=most)) if isinstance(pair, bytes) else {1: None}
            name, value = parts.get(1, b""), parts.get(2, b"")
            if not isinstance(name, bytes) or not isinstance(value, bytes):
                raise ValueError(
                    f"Field {number} maps names to messages; this one holds something else. Write "
                    "the file again."
                )
            found[name.decode()] = value
    return found


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    """A whole number at a place, and the place after it; at most ten bytes, as protobuf has it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise IndexError
