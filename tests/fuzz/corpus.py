"""Writes the corpus of `fuzz_caffemodel.py`: a tiny file of each form, good and malformed.

    python tests/fuzz/corpus.py

A file that the fuzzer found is added to `CASES`, with the reason for which it is refused.
"""

import pathlib
import struct

from tests.fuzz.wire import field, layer, net, shape, varint

FOLDER = pathlib.Path(__file__).parent / "corpus"

FLOATS = struct.pack("<6f", 0.5, -1, 2, 3e38, -0.0, 1e-45)
DOUBLES = struct.pack("<6d", 0.5, -1, 2, 1e300, -0.0, 5e-324)
NOT_FINITE = struct.pack("<6f", float("nan"), float("inf"), float("-inf"), 0, 1, 2)
DATA, DOUBLE_DATA, DIFF = 5, 8, 6


def one_by_one(number: int, numbers: bytes, *, size: int = 1) -> bytes:
    """Unpacked: each number with a tag of its own, whose varint takes `size` bytes."""
    width, kind = (8, 1) if number == DOUBLE_DATA else (4, 5)
    parts = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    return b"".join(field(number, part, wire=kind, size=size) for part in parts)


def one(blob: bytes, *, v1: bool = False) -> bytes:
    """A net of one layer with one blob."""
    return net(layer(b"fc", blob, v1=v1), v1=v1)


def bomb(depth: int) -> bytes:
    """Messages, each in the one before."""
    return field(7, bomb(depth - 1)) if depth else b""


def old_shape(*sizes: int) -> bytes:
    return b"".join(field(number, size) for number, size in enumerate(sizes, 1))


PACKED = field(DATA, FLOATS)
GOOD = one(shape(2, 3) + PACKED)
# The layers of a file of today, among what a reader must step over.
WHOLE = (
    field(1, b"net")
    + field(3, b"data")
    + field(4, 1) * 4
    + field(8, field(1, 1))
    + net(
        layer(b"data"),
        layer(b"conv1", shape(1, 2, 3, 1) + PACKED, shape(1) + field(DATA, FLOATS[:4]))
        + field(2, b"Convolution")
        + field(6, field(3, b"\0\0\x80\x3f", wire=5))
        + field(106, field(1, 64)),
        field(7, shape(6) + PACKED) + field(1, b"the name comes last"),
        layer("naïve".encode(), shape(6) + PACKED + field(DIFF, FLOATS)),
    )
)

# Name → (content, why it is refused; None where it is read).
CASES = {
    "packed": (GOOD, None),
    "packed-v1": (one(shape(2, 3) + PACKED, v1=True), None),
    "packed-double": (one(shape(2, 3) + field(DOUBLE_DATA, DOUBLES)), None),
    "old-shape": (one(old_shape(1, 1, 2, 3) + PACKED), None),
    "old-shape-v1": (one(old_shape(1, 6, 1, 1) + PACKED, v1=True), None),
    "both-shapes": (one(old_shape(1, 1, 2, 3) + shape(6) + PACKED), None),
    "shape-unpacked": (one(field(7, field(1, 2) + field(1, 3)) + PACKED), None),
    "shape-in-two-messages": (one(shape(2) + PACKED + shape(3)), None),
    "shape-of-a-scalar": (one(field(DATA, FLOATS[:4])), None),
    "unpacked": (one(shape(2, 3) + one_by_one(DATA, FLOATS)), None),
    "unpacked-v1-double": (one(shape(6) + one_by_one(DOUBLE_DATA, DOUBLES), v1=True), None),
    "unpacked-long": (one(shape(48) + one_by_one(DATA, FLOATS * 8)), None),
    "unpacked-long-tags": (  # and field 21, whose tag begins with the same byte
        one(shape(6) + one_by_one(DATA, FLOATS, size=3) + one_by_one(21, FLOATS, size=3)),
        None,
    ),
    "unpacked-between-derivatives": (
        one(
            shape(6)
            + one_by_one(DATA, FLOATS[:12])
            + one_by_one(DIFF, FLOATS)
            + one_by_one(DATA, FLOATS[12:])
        ),
        None,
    ),
    "pieces": (
        one(field(DATA, FLOATS[:8]) + field(DATA, b"") + field(DATA, FLOATS[8:]) + shape(6)),
        None,
    ),
    "pieces-mixed": (
        one(
            field(DATA, FLOATS[:4])
            + one_by_one(DATA, FLOATS[4:16])
            + shape(2, 3)
            + field(DATA, FLOATS[16:])
        ),
        None,
    ),
    "whole": (WHOLE, None),
    "both-versions": (GOOD + net(layer(b"fc1", shape(6) + PACKED, v1=True), v1=True), None),
    "one-name-once-with-weights": (net(layer(b"fc")) + GOOD + net(layer(b"fc")), None),
    "long-varints": (
        field(100, field(1, b"fc") + field(7, shape(6) + field(DATA, FLOATS, size=9)), size=10)
        + field(90, -1),
        None,
    ),
    "not-finite": (one(shape(6) + field(DATA, NOT_FINITE)), None),  # refused where it is copied
    "no-weights": (net(layer(b"fc"), layer(b"relu")), "holds no weights"),
    "one-name-twice": (GOOD + GOOD, "two layers with weights have the name 'fc'"),
    "one-name-in-both-versions": (
        GOOD + one(shape(6) + PACKED, v1=True),
        "two layers with weights have the name 'fc'",
    ),
    "shape-too-large": (one(shape(2, 4) + PACKED), "should have the shape [2, 4] and has 6"),
    "shape-that-overflows": (
        one(shape(1 << 32, 1 << 32, 6) + PACKED),
        "should have the shape [4294967296, 4294967296, 6] and has 6",
    ),
    "shape-of-a-terabyte": (one(shape(1 << 40) + PACKED), "the shape [1099511627776] and has 6"),
    "shape-of-zero": (one(shape(0, 1 << 62, 1 << 62)), "should have the shape [0, 46116860184"),
    "shape-negative": (one(shape(-2, -3) + PACKED), "should have the shape [-2, -3] and has 6"),
    "old-shape-negative": (
        one(old_shape(-1, -6, 1, 1) + PACKED),
        "should have the shape [-1, -6, 1, 1] and has 6",
    ),
    "shape-of-nine": (one(shape(*[1] * 8, 6) + PACKED), "has more than 8 dimensions"),
    "float-and-double": (
        one(shape(6) + PACKED + field(DOUBLE_DATA, DOUBLES)),
        "a blob of layer 'fc' has both float and double numbers",
    ),
    "floats-as-fixed64": (
        one(shape(2) + field(DATA, FLOATS[:8], wire=1)),
        "field 5 has the wrong type",
    ),
    "half-a-number": (one(shape(6) + field(DATA, FLOATS[:-1])), "are cut off"),
    "dimension-as-fixed32": (
        one(field(7, field(1, b"\6\0\0\0", wire=5)) + PACKED),
        "field 1 has the wrong type",
    ),
    "layer-as-a-number": (field(100, 1), "field 100 has the wrong type"),
    "longer-than-its-layer": (
        GOOD[:1] + GOOD[1:].replace(b"\2fc", b"\x7ffc") + GOOD,
        "is longer than its message",
    ),
    "longer-than-all": (
        field(100, varint(-1), wire=2),
        "is longer than its message",
    ),
    "groups": (
        field(9, b"", wire=3) * 40 + field(9, b"", wire=4) * 40,
        "no valid field begins at byte 0",
    ),
    "group-in-a-blob": (
        one(field(9, b"", wire=3) + shape(6) + PACKED + field(9, b"", wire=4)),
        "no valid field begins at byte",
    ),
    "field-zero": (field(0, 1) + GOOD, "no valid field begins at byte 0"),
    "field-of-thirty-bits": (field(1 << 29, 1) + GOOD, "no valid field begins at byte 0"),
    "varint-of-ten-bytes": (field(90, b"\xff" * 9 + b"\x7f", wire=0), "does not end"),
    "varint-of-eleven-bytes": (field(90, b"\x80" * 10 + b"\x01", wire=0), "does not end"),
    "varint-cut-off": (GOOD + b"\xa0", "does not end"),
    "name-of-latin-1": (net(layer("naïve".encode("latin-1"), PACKED)), "can't decode byte 0xef"),
    "name-of-300": (net(layer(b"fc" * 150, PACKED)), "has 300 bytes"),
    "name-with-a-bell": (net(layer(b"fc\x07", PACKED)), r"the name 'fc\x07' is not printable"),
    "messages-in-messages": (one(bomb(500)), "should have the shape [] and has 0 numbers"),
    "nothing": (b"", "it is empty"),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.iterdir():
        file.unlink()
    for name, (content, _) in CASES.items():
        (FOLDER / f"{name}.caffemodel").write_bytes(content)


if __name__ == "__main__":
    main()
