"""Reads the weights of a `.caffemodel` without Caffe.

A `.caffemodel` is a NetParameter in the wire format of protocol buffers; its field numbers are
those of `src/caffe/proto/caffe.proto` in github.com/BVLC/caffe. The file is mapped, not read: the
arrays are views of it, and a file of gigabytes costs no memory until its numbers are used.
"""

import array
import math
import mmap
import os
import struct
from collections.abc import Iterator

import numpy as np

# Wire types, and the bytes that a number of fixed length takes.
VARINT, BYTES = 0, 2
FIXED = {1: 8, 5: 4}

# NetParameter: its V1 layers and its layers; of each: the fields of name and blobs.
LAYERS = {2: (4, 6), 100: (1, 7)}
# BlobProto: num, channels, height and width of old files; numbers; shape of newer files.
LEGACY_SHAPE, DATA, DOUBLE_DATA, SHAPE = (1, 2, 3, 4), 5, 8, 7

# More than any net has: a file from a stranger cannot make us collect objects without end.
MOST_LAYERS, MOST_BLOBS, MOST_DIMENSIONS = 10_000, 16, 8


class CaffeFileError(ValueError):
    """What is wrong with a `.caffemodel`."""


def read_caffemodel(path: str | os.PathLike) -> dict[str, list[np.ndarray]]:
    """The blobs of each layer that has some, by the layer's name, in Caffe's layouts.

    >>> blobs = read_caffemodel("fcn8s-heavy-pascal.caffemodel")
    >>> blobs["conv1_1"][0].shape
    (64, 3, 3, 3)

    Returns:
        Arrays of float32 or float64, read-only views of the mapped file, which must stay unchanged
        while they are used. Old files give every shape four dimensions, with ones in front.

    Raises:
        CaffeFileError: The file is not a whole NetParameter, a blob's shape does not fit its
            numbers, or no layer has blobs.
    """
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        layers = _net(data)
    except ValueError as error:
        raise CaffeFileError(
            f"{path} is not a whole .caffemodel: {error}. "
            "Download it again; a web page or a part of the file may have been saved in its place."
        ) from None
    if not layers:
        raise CaffeFileError(
            f"{path} holds no weights: none of its layers has blobs. "
            "Give the .caffemodel itself, not the definition of the net."
        )
    return layers


def _net(data: mmap.mmap) -> dict[str, list[np.ndarray]]:
    layers, count = {}, 0
    for number, wire, value in _fields(data, 0, len(data)):
        if number not in LAYERS:
            continue
        count += 1
        if count > MOST_LAYERS:
            raise ValueError(f"it has more than {MOST_LAYERS} layers")
        name, blobs = _layer(data, *_span(number, wire, value), *LAYERS[number])
        if blobs and name in layers:
            raise ValueError(f"two layers with weights have the name {name!r}")
        if blobs:
            layers[name] = blobs
    return layers


def _layer(
    data: mmap.mmap, start: int, end: int, name_field: int, blobs_field: int
) -> tuple[str, list[np.ndarray]]:
    name, spans = "", []
    for number, wire, value in _fields(data, start, end):
        if number == name_field:
            name = data[slice(*_span(number, wire, value))].decode()
        elif number == blobs_field:
            spans.append(_span(number, wire, value))
            if len(spans) > MOST_BLOBS:
                raise ValueError(f"a layer has more than {MOST_BLOBS} blobs")
    return name, [_blob(data, *span, name) for span in spans]


def _blob(data: mmap.mmap, start: int, end: int, layer: str) -> np.ndarray:
    legacy, shape, numbers = {}, None, None
    for number, wire, value in _fields(data, start, end):
        if number in LEGACY_SHAPE and wire == VARINT:
            legacy[number] = value
        elif number == SHAPE:
            shape = _shape(data, *_span(number, wire, value))
        elif number in (DATA, DOUBLE_DATA):
            numbers = _numbers(data, number, wire, value, numbers)
    if legacy:  # Caffe, too, believes them first
        shape = tuple(legacy.get(number, 0) for number in LEGACY_SHAPE)
    blob = np.empty(0, np.float32) if numbers is None else np.asarray(numbers)
    if math.prod(shape or (0,)) != blob.size:
        raise ValueError(
            f"a blob of layer {layer!r} should have the shape {list(shape or ())} "
            f"and has {blob.size} numbers"
        )
    return blob.reshape(shape or (0,))


def _numbers(
    data: mmap.mmap, number: int, wire: int, value: int | tuple[int, int], before: object
) -> np.ndarray | array.array:
    """The numbers of one field: packed in one piece, as Caffe writes them, or one by one."""
    kind = "f" if number == DATA else "d"
    size = struct.calcsize(kind)
    if wire == BYTES and before is None:
        start, end = value
        if (end - start) % size:
            raise ValueError(f"the numbers at byte {start} are cut off")
        return np.frombuffer(data, f"<{kind}", (end - start) // size, start)
    if FIXED.get(wire) == size and (before is None or getattr(before, "typecode", None) == kind):
        before = array.array(kind) if before is None else before
        before.append(struct.unpack_from(f"<{kind}", data, value[0])[0])
        return before
    raise ValueError("a blob gives its numbers twice or in a wrong type")


def _shape(data: mmap.mmap, start: int, end: int) -> tuple[int, ...]:
    dimensions = []
    for number, wire, value in _fields(data, start, end):
        if number != 1:
            continue
        if wire == BYTES:
            position, stop = value
            while position < stop and len(dimensions) <= MOST_DIMENSIONS:
                dimension, position = _varint(data, position, stop)
                dimensions.append(dimension)
        elif wire == VARINT:
            dimensions.append(value)
        if len(dimensions) > MOST_DIMENSIONS:
            raise ValueError(f"a blob has more than {MOST_DIMENSIONS} dimensions")
    return tuple(dimensions)


def _fields(
    data: mmap.mmap, position: int, end: int
) -> Iterator[tuple[int, int, int | tuple[int, int]]]:
    """The fields of a message: number, wire type, and the number itself or where its bytes lie."""
    while position < end:
        start = position
        key, position = _varint(data, position, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(data, position, end)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, position = _varint(data, position, end)
        elif wire in FIXED:
            size = FIXED[wire]
        else:
            raise ValueError(f"there is no field at byte {start}")
        if size > end - position:
            raise ValueError(f"the field at byte {start} is longer than what holds it")
        yield number, wire, (position, position + size)
        position += size


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, at most 10 bytes; and the position after it."""
    value = 0
    for index in range(10):
        if position + index >= end:
            break
        byte = data[position + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, position + index + 1
    raise ValueError(f"the number at byte {position} does not end")


def _span(number: int, wire: int, value: int | tuple[int, int]) -> tuple[int, int]:
    if wire != BYTES:
        raise ValueError(f"field {number} is not of the type that it should be")
    return value
