"""Writes the wire format of protocol buffers byte by byte: also what no library would write."""


def varint(number: int, *, size: int = 1) -> bytes:
    """A number of 7 bits a byte, in at least `size` bytes; a negative one as 64 bits."""
    number, groups = number & (1 << 64) - 1, []
    while number or len(groups) < size:
        groups.append(number & 127)
        number >>= 7
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def field(number: int, content: bytes | int, *, wire: int | None = None, size: int = 1) -> bytes:
    """A field: a message or text, or a whole number; with `wire`, these bytes after another tag."""
    if wire is None and isinstance(content, int):
        return varint(number << 3, size=size) + varint(content, size=size)
    if wire is None:
        return varint(number << 3 | 2, size=size) + varint(len(content), size=size) + content
    return varint(number << 3 | wire, size=size) + content


def net(*layers: bytes, v1: bool = False) -> bytes:
    return b"".join(field(2 if v1 else 100, layer) for layer in layers)


def layer(name: bytes, *blobs: bytes, v1: bool = False) -> bytes:
    name_field, blobs_field = (4, 6) if v1 else (1, 7)
    return field(name_field, name) + b"".join(field(blobs_field, blob) for blob in blobs)


def shape(*dimensions: int) -> bytes:
    """Of a blob, packed."""
    return field(7, field(1, b"".join(map(varint, dimensions))))
