"""What a benchmark has measured so far, in a JSON file: the same command goes on from there."""

import contextlib
import datetime
import importlib.metadata
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.documents import write
from zoo import files


class UnableError(Exception):
    """A part cannot be measured here, or not into this folder."""


def opened(place: pathlib.Path, conditions: str) -> tuple[dict[str, Any], Callable[[], None]]:
    """The results in the file, empty if there is none, and a function that writes them.

    Raises:
        UnableError: They were measured under other conditions.
    """
    kept = {"conditions": conditions, "results": {}}
    if place.exists():
        kept = json.loads(place.read_text(encoding="utf-8"))
    if kept["conditions"] != conditions:
        raise UnableError(
            f"All results of a table come from the same machine and versions; {place} was measured "
            f"with {kept['conditions']!r}, and this is {conditions!r}. Pass another --out."
        )

    def keep() -> None:
        kept["date"] = datetime.date.today().isoformat()
        write(json.dumps(kept, indent=1), place)

    return kept["results"], keep


@contextlib.contextmanager
def scratch(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder in `out` for the gigabytes of a net's files; what a killed run left there goes."""
    files.sweep(out)
    with files.unfinished_folder(out) as folder:
        yield folder


def heading(place: pathlib.Path) -> str:
    """The conditions and the date of the results, as a line of a document."""
    kept = json.loads(place.read_text(encoding="utf-8"))
    return f"{kept['conditions']}; {kept['date']}."


def conditions(where: str, packages: Sequence[str], *, narrow: bool) -> str:
    """What the results of a table have in common: the widths of the nets, machine and versions."""
    widths = "a quarter of the authors' widths, " * narrow
    return f"{widths}{where}; {versions(packages)}"


def versions(packages: Sequence[str]) -> str:
    """The versions of the packages that are installed."""
    found = []
    for name in packages:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
