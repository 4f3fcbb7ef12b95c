"""Reads the weights of a `.caffemodel` without Caffe.

A `.caffemodel` is a NetParameter in the wire format of protocol buffers; its field numbers are
those of `src/caffe/proto/caffe.proto` in github.com/BVLC/caffe. The file is mapped, not read: the
arrays are views of it, and a file of gigabytes costs no memory until its numbers are used.
"""

import math
import mmap
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Wire types, and the bytes that a number of fixed length takes.
VARINT, BYTES = 0, 2
FIXED = {1: 8, 5: 4}

# NetParameter: its V1 layers and its layers; of each: the fields of name and blobs.
LAYERS = {2: (4, 6), 100: (1, 7)}
# BlobProto: num, channels, height and width of old files; shape of newer files; numbers.
LEGACY_SHAPE, SHAPE, NUMBERS = (1, 2, 3, 4), 7, {5: np.dtype("<f4"), 8: np.dtype("<f8")}

# Far more than any net has: they bound the time and memory that a file from a stranger can cost.
MOST_FIELDS, MOST_DIMENSIONS, LONGEST_NAME = 20_000, 8, 256


class CaffeFileError(ValueError):
    """What is wrong with a `.caffemodel`."""


class Place(NamedTuple):
    """Where bytes lie: `count` parts of `size` bytes, one every `step` bytes."""

    start: int
    size: int
    count: int
    step: int


class Field(NamedTuple):
    """A field of a message: its content is the number itself if that is a varint."""

    number: int
    wire: int
    content: int | Place


class Blob(NamedTuple):
    """A blob whose shape fits its numbers, which are not looked at yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    places: list[Place]


def read_caffemodel(path: str | os.PathLike) -> dict[str, list[np.ndarray]]:
    """The blobs of each layer that has some, by the layer's name, in Caffe's layouts.

    >>> blobs = read_caffemodel("fcn8s-heavy-pascal.caffemodel")
    >>> blobs["conv1_1"][0].shape
    (64, 3, 3, 3)

    Numbers that are not finite are for the caller to refuse: none is looked at here.

    Returns:
        Read-only arrays of float32 or float64. They are views of the mapped file, which must stay
        unchanged while they are used; only a blob that the file holds in several pieces is
        copied. Old files give every shape four dimensions, with ones in front.

    Raises:
        CaffeFileError: The file is not a whole NetParameter, a blob's shape does not fit its
            numbers, or no layer has blobs.
        OSError: The file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            if not os.fstat(file.fileno()).st_size:
                raise ValueError("it is empty")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            layers = _layers(data)
        except ValueError as error:
            raise CaffeFileError(
                f"{path} is not a whole .caffemodel: {error}. Download it again; a web page or a "
                "part of the file may have been saved in its place."
            ) from None
    if not layers:
        raise CaffeFileError(
            f"{path} holds no weights: none of its layers has blobs. "
            "Give the .caffemodel itself, not the definition of the net."
        )
    return {name: [_array(data, blob) for blob in blobs] for name, blobs in layers.items()}


def _layers(data: mmap.mmap) -> dict[str, list[Blob]]:
    steps, layers = iter(range(MOST_FIELDS)), {}
    # The outer messages first: what is cut off is found before any long search.
    messages = [
        (_content(field, BYTES), *LAYERS[field.number])
        for field in _fields(data, Place(0, len(data), 1, 0), steps)
        if field.number in LAYERS
    ]
    for message, name_field, blobs_field in messages:
        name, blobs = "", []
        for field in _fields(data, message, steps):
            if field.number == name_field:
                name = _name(data, _content(field, BYTES))
            elif field.number == blobs_field:
                blobs.append(_content(field, BYTES))
        if blobs and name in layers:
            raise ValueError(f"two layers with weights have the name {name!r}")
        if blobs:
            layers[name] = blobs
    return {
        name: [_blob(data, blob, steps, name) for blob in blobs] for name, blobs in layers.items()
    }


def _name(data: mmap.mmap, place: Place) -> str:
    if place.size > LONGEST_NAME:
        raise ValueError(f"the name at byte {place.start} has {place.size} bytes")
    name = data[place.start : place.start + place.size].decode()
    if not name.isprintable():  # messages show it
        raise ValueError(f"the name {name!r} is not printable")
    return name


def _blob(data: mmap.mmap, message: Place, steps: Iterator[int], layer: str) -> Blob:
    # Of a number that is given twice the last holds; what is repeated is joined: protobuf's rules.
    legacy, shape, places, dtypes = {}, [], [], set()
    for field in _fields(data, message, steps):
        if field.number in LEGACY_SHAPE:
            legacy[field.number] = _signed(_content(field, VARINT))
        elif field.number == SHAPE:
            shape += _dimensions(data, _content(field, BYTES), steps)
            if len(shape) > MOST_DIMENSIONS:
                raise ValueError(
                    f"a blob of layer {layer!r} has more than {MOST_DIMENSIONS} dimensions"
                )
        elif field.number in NUMBERS:
            dtypes.add(NUMBERS[field.number])
            places.append(_numbers(field, NUMBERS[field.number].itemsize))
    if legacy:  # Caffe, too, believes them first
        shape = [legacy.get(number, 0) for number in LEGACY_SHAPE]
    if len(dtypes) > 1:
        raise ValueError(f"a blob of layer {layer!r} has both float and double numbers")
    count = sum(place.count for place in places)
    if min(shape, default=1) < 1 or math.prod(shape) != count:
        raise ValueError(
            f"a blob of layer {layer!r} should have the shape {shape} and has {count} numbers"
        )
    return Blob(tuple(shape), *dtypes, [place for place in places if place.count])


def _dimensions(data: mmap.mmap, message: Place, steps: Iterator[int]) -> list[int]:
    dimensions = []
    for field in _fields(data, message, steps):
        if field.number != 1:
            continue
        if field.wire == BYTES:  # packed
            position, end = field.content.start, field.content.start + field.content.size
            while position < end and len(dimensions) <= MOST_DIMENSIONS:
                value, position = _varint(data, position, end)
                dimensions.append(_signed(value))
        else:
            dimensions.append(_signed(_content(field, VARINT)))
    return dimensions


def _numbers(field: Field, size: int) -> Place:
    """The place of each number: packed into one field, as Caffe writes them, or a field each."""
    if FIXED.get(field.wire) == size:
        return field.content
    place = _content(field, BYTES)
    if place.size % size:
        raise ValueError(f"the numbers at byte {place.start} are cut off")
    return Place(place.start, size, place.size // size, size)


def _array(data: mmap.mmap, blob: Blob) -> np.ndarray:
    whole = np.frombuffer(data, np.uint8)  # keeps the file mapped, which np.ndarray does not
    parts = [np.ndarray(x.count, blob.dtype, whole, x.start, x.step) for x in blob.places]
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts)
    numbers.flags.writeable = False
    return numbers.reshape(blob.shape)


def _fields(data: mmap.mmap, message: Place, steps: Iterator[int]) -> Iterator[Field]:
    """The fields of a message. Numbers of fixed length under the same tag in a row are one."""
    position, end = message.start, message.start + message.size
    while position < end:
        if next(steps, None) is None:
            raise ValueError(f"it has more than {MOST_FIELDS} fields")
        start = position
        key, position = _varint(data, position, end)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29 or wire not in (VARINT, BYTES, *FIXED):
            raise ValueError(f"there is no field at byte {start}")
        if wire == VARINT:
            content, position = _varint(data, position, end)
        else:
            size, position = (
                _varint(data, position, end) if wire == BYTES else (FIXED[wire], position)
            )
            if size > end - position:
                raise ValueError(f"the field at byte {start} is longer than what holds it")
            step = position + size - start
            count = _run(data, start, end, step) if wire in FIXED and step == size + 1 else 1
            content = Place(position, size, count, step)
            position = start + count * step
        yield Field(number, wire, content)


def _run(data: mmap.mmap, start: int, end: int, step: int) -> int:
    """How many records of `step` bytes that begin with the byte at `start` follow one another."""
    tag, whole, count, block = data[start : start + 1], (end - start) // step, 0, 16
    while count < whole:
        first, stop = start + count * step, min(count + block, whole)
        tags = data[first : start + stop * step : step]
        others = len(tags.lstrip(tag))
        count = stop - others
        if others:
            break
        if block < 1 << 16:
            block *= 4  # a short run costs little, and a long one little memory
        elif hasattr(data, "madvise"):  # nor do the pages that were searched stay in memory
            page = first // mmap.PAGESIZE * mmap.PAGESIZE
            data.madvise(mmap.MADV_DONTNEED, page, start + stop * step - page)
    return count


def _varint(data: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, at most 64 bits; and the position after it."""
    position, value, shift = start, 0, 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128 and value < 1 << 64:
            return value, position
    raise ValueError(f"the number at byte {start} does not end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _content(field: Field, wire: int) -> int | Place:
    if field.wire != wire:
        raise ValueError(f"field {field.number} is not of the type that it should be")
    return field.content
