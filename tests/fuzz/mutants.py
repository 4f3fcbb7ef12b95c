"""Malformed images: PNG, JPEG, GIF, BMP and WebP cut, turned, spliced, with headers that lie."""

import functools
import io
import random
import re
import struct
import zlib

import numpy as np
from PIL import Image

from exports.images import textures


@functools.cache
def good_images() -> tuple[bytes, ...]:
    """Images of every format that is decoded or might be: modes, sizes, encodings."""
    colour = textures(1, (29, 41), 3)[0]
    rgb, grey = Image.fromarray(colour), Image.fromarray(colour[..., 0])
    pictures = [
        *((rgb, "PNG", {}), (grey, "PNG", {}), (rgb.quantize(20), "PNG", {"bits": 8})),
        (Image.fromarray(np.dstack([colour, colour[..., 0]])), "PNG", {}),
        (Image.fromarray(colour[..., 0].astype(np.uint16) * 256), "PNG", {}),
        (grey.convert("1"), "PNG", {}),
        *((rgb, "JPEG", {"quality": 90}), (grey, "JPEG", {}), (rgb, "JPEG", {"progressive": True})),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "JPEG", {"subsampling": 2, "restart_marker_blocks": 2}),
        (rgb, "GIF", {"save_all": True, "append_images": [rgb.transpose(0), rgb.transpose(1)]}),
        *((rgb, "BMP", {}), (rgb.quantize(20), "BMP", {})),
        *((rgb, "WEBP", {}), (rgb, "WEBP", {"lossless": True})),
    ]
    files = []
    for picture, form, options in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        files.append(buffer.getvalue())
    return tuple(files)


def mutant(number: int) -> bytes:
    """A malformed image, always the same for a number."""
    rng = random.Random(number)
    content = rng.choice(good_images())
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(MUTATIONS)(content, rng)
    return content


def cut(content: bytes, rng: random.Random) -> bytes:
    """A part from the beginning; more often most of it than little."""
    return content[: int(len(content) * rng.random() ** 0.3)]


def flip(content: bytes, rng: random.Random) -> bytes:
    """One to twenty bits turned, half the time in the headers."""
    changed = bytearray(content)
    span = min(len(changed), rng.choice((64, len(changed))))
    for _ in range(rng.randint(1, 20) if span else 0):
        changed[rng.randrange(span)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def splice(content: bytes, rng: random.Random) -> bytes:
    """The beginning of this image and the end of another."""
    other = rng.choice(good_images())
    return content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]


def repeat(content: bytes, rng: random.Random) -> bytes:
    """A stretch left out, twice there, or of random bytes."""
    start, stop = sorted(rng.randint(0, len(content)) for _ in range(2))
    part = rng.choice((b"", content[start:stop] * 2, rng.randbytes((stop - start) % 999)))
    return content[:start] + part + content[stop:]


def lie(content: bytes, rng: random.Random) -> bytes:
    """Another size, depth or colour type in the header, whose check sum is right."""
    sizes = (0, 1, 28, 30, 255, 4096, 4097, 12_000, 65_535, 2**31 - 1, 2**32 - 1)
    height, width = rng.choice(sizes), rng.choice((29, *sizes))
    if content[12:16] == b"IHDR":
        rest = bytearray(content[24:29])
        if rest and rng.random() < 0.3:
            rest[rng.randrange(len(rest))] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        header = struct.pack(">II", width, height) + bytes(rest)
        return content[:8] + png_chunk(b"IHDR", header) + content[33:]
    frame = re.search(rb"\xff[\xc0-\xc2]..", content, re.DOTALL)
    if content[:2] == b"\xff\xd8" and frame:
        place = frame.end() + 1
        return (
            content[:place]
            + struct.pack(">HH", height % 65_536, width % 65_536)
            + content[place + 4 :]
        )
    place, form = {b"GI": (6, "<HH"), b"BM": (18, "<II"), b"RI": (24, "<HH")}.get(
        content[:2], (0, "<HH")
    )
    most = 2**16 if form == "<HH" else 2**32
    size = struct.pack(form, width % most, height % most)
    return content[:place] + size + content[place + len(size) :]


def idat(content: bytes, rng: random.Random) -> bytes:
    """Pixels of a PNG changed before they are compressed, so that only they are wrong."""
    start = content.find(b"IDAT")
    if start < 4:
        return flip(content, rng)
    (length,) = struct.unpack(">I", content[start - 4 : start])
    try:
        pixels = zlib.decompress(content[start + 4 : start + 4 + length])
    except zlib.error:
        return flip(content, rng)
    data = zlib.compress(rng.choice((cut, flip, repeat))(pixels, rng))
    return content[: start - 4] + png_chunk(b"IDAT", data) + content[start + 8 + length :]


def chunk(content: bytes, rng: random.Random) -> bytes:
    """A chunk that decoders pass over, before a PNG's header or behind it, with a size in it."""
    size = struct.pack(">II", rng.choice((0, 1, 8)), rng.choice((1, 8, 2**31 - 1)))
    place = rng.choice((8, 33))
    return content[:place] + png_chunk(b"prVt", size) + content[place:]


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk with its length and a check sum that is right."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


MUTATIONS = (cut, flip, splice, repeat, lie, idat, chunk)
