"""A line now and then from work that takes more than two seconds."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")
_EVERY = 2.0  # seconds


def told(items: Iterable[_Item], text: str, total: int) -> Iterator[_Item]:
    """The items; while they are taken, prints how many of them are done."""
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last > _EVERY:
            last = time.monotonic()
            print(f"{text}: {done} of {total}", flush=True)
        yield item
