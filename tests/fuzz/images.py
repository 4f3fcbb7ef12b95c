"""Asks an exported version about thousands of malformed images: it says no, and nothing else.

    python -m tests.fuzz.images                  # a toy U-Net, exported for it
    python -m tests.fuzz.images served/unet/1    # or a version of one's own

In the C++ loader, which TensorFlow Serving uses, each mutant goes through both signatures that take
bytes. Then 8 threads send 10,000 requests each to `mask_png`, half of them mutants. The exit code
is 1 if there is another error than INVALID_ARGUMENT, another answer than the same image got alone,
or a process that grows after the first 2,000 requests by more than 2 % of what it held when the
version was loaded. A mutant is its number: `mutant(7)` is always the same. What was asked last lies
in a file, in case the process dies.
"""

import zoo  # isort: skip  # noqa: F401  (first: it keeps the terminal free of TensorFlow's start)

import argparse
import functools
import io
import pathlib
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np
from PIL import Image

from exports import check, cpp, saved_model
from exports.signatures import CLASS_MAP_FROM_BYTES, MASK_PNG
from tests import serving_double as double
from tests import toys

MUTANTS, THREADS, REQUESTS, FIRST = 2000, 8, 10_000, 2000
MOST_GROWTH = 0.02
# A lying header can be decoded, and its image of 16 million pixels costs the network 2 GB: threads
# are not sent what is larger than this, or the peak of two at a time would be taken for a leak.
MOST_PIXELS = 1 << 16

Answer = bytes | None  # a mask as a PNG; None where the image is refused
Decode = Callable[[bytes], Answer]


class WrongError(Exception):
    """An answer that is neither the mask of an image nor INVALID_ARGUMENT."""


@functools.cache
def good_images() -> tuple[bytes, ...]:
    """Images of every format that is decoded or might be: modes, sizes, encodings."""
    colour = check.textures(1, (29, 41), 3)[0]
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
        header = b"IHDR" + struct.pack(">II", width, height) + bytes(rest)
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
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
    data = b"IDAT" + zlib.compress(rng.choice((cut, flip, repeat))(pixels, rng))
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return content[: start - 4] + chunk + content[start + 8 + length :]


MUTATIONS = (cut, flip, splice, repeat, lie, idat)


def ask_alone(ask: cpp.Ask, contents: Sequence[bytes], last: pathlib.Path) -> list[Answer]:
    """Each image through both signatures, which must agree on its classes or both refuse it.

    Between them a good image is asked about again and again, and has the same mask every time.
    """
    good = good_images()[0]
    expected = _mask(ask, good)
    if expected is None:
        raise WrongError("a good image is refused")
    answers = []
    for number, content in enumerate(contents):
        last.write_bytes(content)
        answers.append(_mask(ask, content))
        if _class_map(ask, content) != _pixels(answers[-1]):
            raise WrongError(f"image {number}: {CLASS_MAP_FROM_BYTES} and {MASK_PNG} differ")
        if number % 50 == 49 and _mask(ask, good) != expected:
            raise WrongError(f"after image {number} a good image has another mask")
    return answers


def _mask(ask: cpp.Ask, content: bytes) -> Answer:
    answer = ask(MASK_PNG, {"image_bytes": double.strings([content])})
    (png,), (valid,) = answer["mask_png_bytes"], answer["valid"]
    if bool(png) != bool(valid):
        raise WrongError(f"valid is {valid} and the mask has {len(png)} bytes")
    return png or None


def _class_map(ask: cpp.Ask, content: bytes) -> tuple | None:
    try:
        answer = ask(CLASS_MAP_FROM_BYTES, {"image_bytes": double.strings([content])})
    except cpp.StatusError as error:
        if error.code != cpp.INVALID_ARGUMENT:
            raise WrongError(
                f"{CLASS_MAP_FROM_BYTES} ends with code {error.code}: {error}"
            ) from error
        return None
    class_map = answer["class_map"][0]
    return class_map.shape, class_map.tobytes()


def _pixels(png: Answer) -> tuple | None:
    if png is None:
        return None
    with Image.open(io.BytesIO(png)) as picture:
        return (picture.height, picture.width), picture.tobytes()


def ask_in_threads(
    ask: cpp.Ask, known: dict[bytes, Answer], *, threads: int, requests: int, first: int
) -> tuple[int, int]:
    """Sends `requests` of each thread, half of them images that are refused; all as they are known.

    Returns the resident memory in kB after the `first` requests of all threads, and at the end.
    """
    good = [content for content, mask in known.items() if mask is not None]
    bad = [content for content, mask in known.items() if mask is None]
    answered, memory = [0] * threads, []

    def send(thread: int) -> None:
        rng = random.Random(thread)
        for number in range(requests):
            content = rng.choice(bad if number % 2 else good)
            if _mask(ask, content) != known[content]:
                raise WrongError(f"request {number} of thread {thread} has another mask")
            answered[thread] += 1
            if not memory and sum(answered) >= first:
                memory.append(resident())

    with futures.ThreadPoolExecutor(threads) as pool:
        for done in futures.as_completed([pool.submit(send, n) for n in range(threads)]):
            done.result()
    return memory[0], resident()


def resident() -> int:
    """The resident memory of this process in kB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def report(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Asks, reports the figures, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.images",
        description="Asks an exported version about malformed images.",
    )
    parser.add_argument("version", nargs="?", type=pathlib.Path, help="default: a toy U-Net's")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of each thread")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        version = chosen.version or saved_model.export(toys.build_toy("unet"), folder)
        last = pathlib.Path(tempfile.gettempdir(), "last-image-asked")
        report(f"{version}; what is asked last alone lies in {last}")
        try:
            with cpp.loaded(version) as ask:
                attack(ask, chosen, last)
        except (WrongError, RuntimeError) as error:
            report(f"broken: {error}")
            return 1
        last.unlink()
    return 0


def attack(ask: cpp.Ask, chosen: argparse.Namespace, last: pathlib.Path) -> None:
    """Both parts; raises where something is wrong."""
    contents = [*good_images(), *map(mutant, range(chosen.mutants))]
    loaded = resident()
    began = time.monotonic()
    answers = ask_alone(ask, contents, last)
    refused = sum(answer is None for answer in answers[-chosen.mutants :])
    report(
        f"{chosen.mutants} mutants: {refused} refused, {chosen.mutants - refused} decoded, "
        f"{time.monotonic() - began:.0f} s"
    )
    known = {
        content: mask
        for content, mask in zip(contents, answers, strict=True)
        if mask is None or len(_pixels(mask)[1]) <= MOST_PIXELS
    }
    began = time.monotonic()
    early, late = ask_in_threads(
        ask,
        known,
        threads=chosen.threads,
        requests=chosen.requests,
        first=min(FIRST, chosen.threads * chosen.requests // 2),
    )
    growth = (late - early) / loaded
    report(
        f"{chosen.threads} threads × {chosen.requests} requests: each as alone, "
        f"{time.monotonic() - began:.0f} s, memory {loaded / 1024:.0f} MB when loaded, "
        f"{early / 1024:.0f} MB early, {late / 1024:.0f} MB at the end ({growth:+.1%})"
    )
    if growth > MOST_GROWTH:
        raise WrongError(f"memory grew by {growth:.1%}, where {MOST_GROWTH:.0%} is allowed")


if __name__ == "__main__":
    sys.exit(main())
