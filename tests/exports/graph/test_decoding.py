"""A graph sees the pixels that `zoo.images` reads, and refuses what costs too much."""

import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from exports.graph import requests
from exports.graph.limits import Limits
from exports.graph.ports import IMAGE, Ports
from tests.fuzz.mutants import mutant
from tests.support.image_bytes import chunk, encoded, with_scans
from zoo.images import ImageError, read_image

RNG = np.random.default_rng(11)
COLOUR = RNG.integers(0, 256, (45, 61, 3), np.uint8)
TURNED = Image.Exif()
TURNED[0x0112] = 6
BYTES = tf.TensorSpec([], tf.string)


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def channels(request):
    return request.param


@pytest.fixture(scope="module")
def decode(channels):
    return tf.function(
        lambda content: requests.decode(content, Limits(channels), channels),
        input_signature=[BYTES],
    )


def png(bits: int, kind: int, *chunks: bytes) -> bytes:
    """A PNG of noise, of any bits and colour type."""
    height, width, samples = 9, 13, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    line = -(-width * samples * bits // 8)
    data = b"".join(b"\0" + RNG.bytes(line) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(data))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def files() -> dict[str, bytes]:
    made = {
        f"PNG of {bits} bits, type {kind}": png(bits, kind)
        for kind, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}.items()
        for bits in depths
    }
    for bits in (1, 2, 4, 8):
        palette = chunk(b"PLTE", RNG.bytes(3 * 2**bits))
        made[f"palette of {bits} bits"] = png(bits, 3, palette)
        made[f"palette of {bits} bits with transparency"] = png(
            bits, 3, palette, chunk(b"tRNS", b"\0\x80")
        )
    made["PNG with a transparent colour"] = png(8, 2, chunk(b"tRNS", bytes(6)))
    smooth = Image.fromarray(COLOUR).resize((200, 130))
    for mode in ("RGB", "L", "CMYK"):
        for options in (
            *({}, {"progressive": True}, {"quality": 30, "subsampling": 2}, {"subsampling": 1}),
            *({"quality": 100, "subsampling": 0}, {"exif": TURNED}),
        ):
            for picture in (smooth, Image.fromarray(COLOUR)):
                content = encoded(picture.convert(mode), "JPEG", **options)
                made[f"{picture.size} {mode} JPEG {options}"] = content
    made["JPEG of RGB"] = encoded(smooth, "JPEG", keep_rgb=True)
    inks = encoded(smooth.convert("CMYK"), "JPEG")
    made["CMYK JPEG without Adobe's mark"] = inks[:2] + inks[18:]
    made["two pictures"] = encoded(smooth, "MPO", save_all=True, append_images=[smooth])
    return made


def test_the_graph_sees_what_is_read(decode, channels):
    equal = 0
    for name, content in files().items():
        try:
            expected = read_image(content, channels=channels)
        except ImageError:
            with pytest.raises(tf.errors.InvalidArgumentError, match="channels here"):
                decode(content)
            continue
        given = decode(content).numpy()
        np.testing.assert_array_equal(given, expected, err_msg=name)
        equal += 1
    assert equal == (len(files()) if channels in (1, 3) else 2)


@pytest.mark.parametrize("channels", [3], indirect=True)
def test_of_mutants_the_graph_sees_what_is_read_or_refuses(decode):
    seen = 0
    for number in range(150):
        try:
            given = decode(mutant(number)).numpy()
        except tf.errors.InvalidArgumentError:
            continue
        np.testing.assert_array_equal(given, read_image(mutant(number), channels=3))
        seen += 1
    assert seen > 5


def text_bomb(place: int) -> bytes:
    content = encoded(COLOUR)
    place = place if place > 0 else len(content) + place
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(7_900_000), 9)) * 60
    return content[:place] + bomb + content[place:]


@pytest.mark.parametrize("channels", [3], indirect=True)
@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (text_bomb(33), "at most 16 compressed texts and profiles"),
        (text_bomb(-12), "at most 16 compressed texts and profiles"),
        (with_scans(64, 101), "at most 100 scans"),
        (with_scans(4000, 80), "and 1073741824 pixels in all of them"),
        (encoded(COLOUR) + bytes(2**23), "at most this number of bytes"),
    ],
    ids=["texts", "texts behind", "scans", "scanned", "bytes"],
)
def test_what_costs_too_much_is_refused_before_it_is_decoded(decode, content, rule):
    start = time.process_time()
    with pytest.raises(tf.errors.InvalidArgumentError, match=rule):
        decode(content)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("channels", [3], indirect=True)
def test_what_is_common_is_not_refused(decode):
    profile = {"icc_profile": RNG.bytes(600_000), "exif": TURNED}
    for content in (
        encoded(COLOUR, **profile),
        encoded(COLOUR, "JPEG", progressive=True, **profile),
        encoded(COLOUR, "JPEG") + RNG.bytes(2**21),  # a film behind the photograph of a phone
    ):
        np.testing.assert_array_equal(decode(content), read_image(content, channels=3))


def test_the_most_bytes_are_an_option():
    content = encoded(COLOUR)
    for max_bytes in (len(content), len(content) - 1):
        limits = Limits(3, max_bytes=max_bytes)
        files = {IMAGE: tf.constant(content)}
        image = requests.decode_or_nothing(files, limits, Ports({IMAGE: 3}))[IMAGE]
        assert image.shape == ((45, 61, 3) if max_bytes == len(content) else (0, 0, 3))
