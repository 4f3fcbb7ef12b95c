"""Asks an exported version about thousands of malformed images: it says no, and nothing else.

    python -m tests.fuzz.images                  # a toy U-Net, exported for it
    python -m tests.fuzz.images served/unet/1    # or a version of one's own

In the C++ loader, which TensorFlow Serving uses, each mutant goes through both signatures that take
bytes. Then 8 threads send 10,000 requests each to `mask_png`, half of them mutants. The exit code
is 1 if there is another error than INVALID_ARGUMENT, another answer than the same image got alone,
or a process that grows after the first 2,000 requests by more than 2 % of what it held when the
version was loaded. What was asked last lies in a file, in case the process dies.
"""

import zoo  # isort: skip  # noqa: F401  (first: it keeps the terminal free of TensorFlow's start)

import argparse
import io
import pathlib
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent import futures

from PIL import Image

from exports.formats import saved_model
from exports.graph.signatures import CLASS_MAP_FROM_BYTES, MASK_PNG
from exports.runtimes import INVALID_ARGUMENT, Ask, StatusError, tensorflow_c
from tests.fuzz.mutants import good_images, mutant
from tests.support import serving_double as double
from tests.support import toys

MUTANTS, THREADS, REQUESTS, FIRST = 2000, 8, 10_000, 2000
MOST_GROWTH = 0.02
# A lying header can be decoded, and its image of 16 million pixels costs the network 2 GB: threads
# are not sent what is larger than this, or the peak of two at a time would be taken for a leak.
MOST_PIXELS = 1 << 16

Answer = bytes | None  # a mask as a PNG; None where the image is refused


class WrongError(Exception):
    """An answer that is neither the mask of an image nor INVALID_ARGUMENT."""


def ask_alone(ask: Ask, contents: Sequence[bytes], last: pathlib.Path) -> list[Answer]:
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


def _mask(ask: Ask, content: bytes) -> Answer:
    answer = ask(MASK_PNG, {"image_bytes": double.strings([content])})
    (png,), (valid,) = answer["mask_png_bytes"], answer["valid"]
    if bool(png) != bool(valid):
        raise WrongError(f"valid is {valid} and the mask has {len(png)} bytes")
    return png or None


def _class_map(ask: Ask, content: bytes) -> tuple | None:
    try:
        answer = ask(CLASS_MAP_FROM_BYTES, {"image_bytes": double.strings([content])})
    except StatusError as error:
        if error.code != INVALID_ARGUMENT:
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
    ask: Ask, known: dict[bytes, Answer], *, threads: int, requests: int, first: int
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
            with tensorflow_c.loaded(version) as ask:
                attack(ask, chosen, last)
        except (WrongError, RuntimeError) as error:
            report(f"broken: {error}")
            return 1
        last.unlink()
    return 0


def attack(ask: Ask, chosen: argparse.Namespace, last: pathlib.Path) -> None:
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
