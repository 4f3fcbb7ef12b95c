"""Reads the weights of a `.caffemodel` without Caffe.

A `.caffemodel` is a NetParameter in the wire format of protocol buffers. The field numbers are
those of `src/caffe/proto/caffe.proto` in github.com/BVLC/caffe.

The reader is our own because protobuf's parser would break the promise of little memory. It copies
every number (500 MB for FCN-8s), and it makes an object of every field: 25 MB of empty layers take
480 MB. Here the file is mapped into memory and the arrays are views of it, so a file of gigabytes
costs no memory until its numbers are used; the count of fields is limited.
"""

import math
import mmap
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Wire types; for those of fixed length, the size of a number in bytes.
VARINT, BYTES = 0, 2
FIXED = {1: 8, 5: 4}

# NetParameter's fields of V1 layers and of layers; in such a layer, the fields of name and blobs.
LAYERS = {2: (4, 6), 100: (1, 7)}
# BlobProto: num, channels, height and width in old files; shape in newer files; the numbers.
LEGACY_SHAPE, SHAPE, NUMBERS = (1, 2, 3, 4), 7, {5: np.dtype("<f4"), 8: np.dtype("<f8")}

# Far above what any net needs. They limit the time and memory that a hostile file can cost.
MAX_FIELDS, MAX_DIMENSIONS, MAX_NAME = 20_000, 8, 256


class CaffeFileError(ValueError):
    """A `.caffemodel` cannot be read, or its weights do not fit the model."""


class Place(NamedTuple):
    """A place in the file: `count` parts of `size` bytes, whose starts are `step` bytes apart."""

    start: int
    size: int
    count: int
    step: int


class Field(NamedTuple):
    """A field of a message. Its content is the number of a varint, else a place in the file."""

    number: int
    wire: int
    content: int | Place


class Blob(NamedTuple):
    """A blob whose shape fits the count of its numbers. The numbers are not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    places: list[Place]


def read_caffemodel(path: str | os.PathLike) -> dict[str, list[np.ndarray]]:
    """Reads the blobs of every layer that has any, by layer name, in Caffe's layouts.

    >>> blobs = read_caffemodel("fcn8s-heavy-pascal.caffemodel")
    >>> blobs["conv1_1"][0].shape
    (64, 3, 3, 3)

    It does not look for NaN or infinity: the caller must do that.

    Returns:
        Read-only arrays of float32 or float64. They are views of the mapped file, so the file must
        not change while they are used. Only a blob that is stored in several pieces is copied.
        In old files every shape has four dimensions, with ones in front.

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
    steps, layers = iter(range(MAX_FIELDS)), {}
    # All outer messages come first: a file that is cut off fails before any long search.
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
    if place.size > MAX_NAME:
        raise ValueError(
            f"the name at byte {place.start} has {place.size} bytes, more than {MAX_NAME}"
        )
    name = data[place.start : place.start + place.size].decode()
    if not name.isprintable():  # errors print it
        raise ValueError(f"the name {name!r} is not printable")
    return name


def _blob(data: mmap.mmap, message: Place, steps: Iterator[int], layer: str) -> Blob:
    # Protobuf's rules: if a field occurs twice, the last one counts; repeated fields are joined.
    legacy, shape, places, dtypes = {}, [], [], set()
    for field in _fields(data, message, steps):
        if field.number in LEGACY_SHAPE:
            legacy[field.number] = _signed(_content(field, VARINT))
        elif field.number == SHAPE:
            shape += _dimensions(data, _content(field, BYTES), steps)
            if len(shape) > MAX_DIMENSIONS:
                raise ValueError(
                    f"a blob of layer {layer!r} has more than {MAX_DIMENSIONS} dimensions"
                )
        elif field.number in NUMBERS:
            dtypes.add(NUMBERS[field.number])
            places.append(_numbers(field, NUMBERS[field.number].itemsize))
    if legacy:  # Caffe prefers them too
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
            while position < end and len(dimensions) <= MAX_DIMENSIONS:
                value, position = _varint(data, position, end)
                dimensions.append(_signed(value))
        else:
            dimensions.append(_signed(_content(field, VARINT)))
    return dimensions


def _numbers(field: Field, size: int) -> Place:
    """Where the numbers are: packed into one field, as Caffe writes them, or one field each."""
    if FIXED.get(field.wire) == size:
        return field.content
    place = _content(field, BYTES)
    if place.size % size:
        raise ValueError(f"the numbers at byte {place.start} are cut off")
    return Place(place.start, size, place.size // size, size)


def _array(data: mmap.mmap, blob: Blob) -> np.ndarray:
    whole = np.frombuffer(data, np.uint8)  # keeps the file mapped; np.ndarray alone would not
    parts = [np.ndarray(x.count, blob.dtype, whole, x.start, x.step) for x in blob.places]
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts)
    numbers.flags.writeable = False
    return numbers.reshape(blob.shape)


def _fields(data: mmap.mmap, message: Place, steps: Iterator[int]) -> Iterator[Field]:
    """Yields the fields of a message. A run of fixed-length numbers with one tag is one field."""
    position, end = message.start, message.start + message.size
    while position < end:
        if next(steps, None) is None:
            raise ValueError(f"it has more than {MAX_FIELDS} fields")
        start = position
        key, position = _varint(data, position, end)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29 or wire not in (VARINT, BYTES, *FIXED):
            raise ValueError(f"no valid field begins at byte {start}")
        if wire == VARINT:
            content, position = _varint(data, position, end)
        else:
            size, position = (
                _varint(data, position, end) if wire == BYTES else (FIXED[wire], position)
            )
            if size > end - position:
                raise ValueError(f"the field at byte {start} is longer than its message")
            step = position + size - start
            count = _run(data, start, end, step) if wire in FIXED and step == size + 1 else 1
            content = Place(position, size, count, step)
            position = start + count * step
        yield Field(number, wire, content)


def _run(data: mmap.mmap, start: int, end: int, step: int) -> int:
    """Counts the records of `step` bytes from `start` on that begin with the same byte."""
    tag, whole, count, block = data[start : start + 1], (end - start) // step, 0, 16
    while count < whole:
        first, stop = start + count * step, min(count + block, whole)
        tags = data[first : start + stop * step : step]
        different = len(tags.lstrip(tag))
        count = stop - different
        if different:
            break
        if block < 1 << 16:
            block *= 4  # a short run costs little time, a long one little memory
        elif hasattr(data, "madvise"):  # frees the pages that were searched
            page = first // mmap.PAGESIZE * mmap.PAGESIZE
            data.madvise(mmap.MADV_DONTNEED, page, start + stop * step - page)
    return count


def _varint(data: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """A number with 7 bits per byte, lowest first, at most 64 bits; and the position after it."""
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
        raise ValueError(f"field {field.number} has the wrong type")
    return field.content
