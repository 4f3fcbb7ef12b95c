"""The progress of long work: a bar on a terminal, a line every few seconds elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import rich.console
import rich.progress

_Item = TypeVar("_Item")
_EVERY = 2.0  # seconds between two lines
_TRAINING_EVERY = 5.0  # and while a run trains


def told(items: Iterable[_Item], text: str, total: int) -> Iterator[_Item]:
    """Yields the items, and prints every few seconds how many are done."""
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last > _EVERY:
            last = time.monotonic()
            print(f"{text}: {done} of {total}", flush=True)
        yield item


@contextlib.contextmanager
def training(first: int, last: int) -> Iterator[Callable[[int, float, float, int], None]]:
    """A bar for training: a function of the step, the loss, steps per second (or 0), and images."""
    columns = (rich.progress.BarColumn(), rich.progress.TextColumn("{task.description}"))
    terminal = rich.console.Console().is_terminal
    told_at = 0.0
    with rich.progress.Progress(*columns, disable=not terminal) as bar:
        task = bar.add_task("", total=last, completed=first)

        def show(step: int, loss: float, rate: float, images: int) -> None:
            nonlocal told_at
            text = f"step {step} of {last}  loss {loss:.4f}"
            if rate:
                left = _duration((last - step) / rate)
                text += f"  {rate:.2f} steps/s  {rate * images:.1f} images/s  {left} left"
            bar.update(task, completed=step, description=text)
            if not terminal and (
                time.monotonic() - told_at > _TRAINING_EVERY or step in (first + 1, last)
            ):
                told_at = time.monotonic()
                print(text, flush=True)

        yield show


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


@contextlib.contextmanager
def counting(unit: str, *, rate: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """A bar for a count: a function of what is done and of the total, or None if it is unknown.

    With `rate` it shows how much a second is done, without what was done at the first call.
    """
    columns = (
        rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.description}"),
        rich.progress.TimeRemainingColumn(),
    )
    terminal = rich.console.Console().is_terminal
    began = told_at = time.monotonic()
    first, said = None, False
    with rich.progress.Progress(*columns, disable=not terminal) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int | None) -> None:
            nonlocal told_at, said, first
            first = done if first is None else first
            text = f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"
            if rate and done > first:
                text += f"  {(done - first) / (time.monotonic() - began):.2g} {unit}/s"
            bar.update(task, completed=done, total=total, description=text)
            last = done == total and not said
            if not terminal and (time.monotonic() - told_at > _EVERY or last):
                told_at, said = time.monotonic(), last
                print(text, flush=True)

        yield show
