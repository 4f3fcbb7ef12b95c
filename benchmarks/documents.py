"""Tables, progress and files: what all benchmarks print and write. Needs nothing but Python."""

import pathlib
import sys

from zoo import files


def table(*rows: tuple, left: int = 1, behind: int = 0) -> str:
    """A Markdown table. Its columns are aligned right, as numbers, but the first and the last ones.

    `left` columns are before the numbers, and `behind` columns behind them.
    """
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    numbers = len(rows[0]) - left - behind
    rule = "|" + "---|" * left + "--:|" * numbers + "---|" * behind
    return "\n".join([lines[0], rule, *lines[1:]])


def report(text: str) -> None:
    """Prints progress and errors, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


def write(text: str, path: pathlib.Path) -> None:
    """Writes a file beside its place, then renames it."""
    path.parent.mkdir(exist_ok=True)
    files.write_text(path, text)
