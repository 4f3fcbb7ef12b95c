"""Image files as bytes: written by Pillow, or from the specification where Pillow cannot."""

import io
import re
import struct
import zlib

import numpy as np
from PIL import Image

from zoo import image_files


def encoded(pixels, form: str = "PNG", **options) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def grey_png(samples: np.ndarray, bits: int) -> bytes:
    """A grey PNG whose samples have 1, 2, 4, 8 or 16 bits, written from the specification."""
    height, width = samples.shape
    places = np.arange(bits - 1, -1, -1)
    lines = np.packbits((samples[..., None] >> places & 1).reshape(height, -1), axis=1)
    data = b"".join(b"\0" + line.tobytes() for line in lines)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def with_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG of one grey whose last scan comes again and again."""
    content = encoded(Image.new("L", (side, side), 99), "JPEG", progressive=True)
    last = [found.start() for found in re.finditer(image_files.SCAN, content)][-1]
    more = scans - len(re.findall(image_files.SCAN, content))
    return content[:-2] + content[last:-2] * more + content[-2:]
