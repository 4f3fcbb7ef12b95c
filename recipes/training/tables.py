"""The tables of a run: log.csv, a row every --log-every steps, and scores.csv.

Each row is on the disk before the checkpoint of its step. What a kill or a power failure leaves is
repaired when the run is resumed.
"""

import csv
import io
import pathlib
from collections.abc import Iterable
from typing import Any

from recipes import scoring
from zoo import files
from zoo.terminal import tell

LOG, SCORES = "log.csv", "scores.csv"
COLUMNS = {LOG: ("step", "loss", "seconds"), SCORES: ("step", *scoring.SCORES)}
"""Of a net with several heads, scores.csv has those of `head_scores` behind them."""


def head_scores(head: str) -> tuple[str, ...]:
    """The columns of the scores of a head after the first, such as geometric_mean_iou."""
    return tuple(f"{head}_{score}" for score in scoring.SCORES)


def repair(file: pathlib.Path, step: int, *, heads: Iterable[str] = ()) -> None:
    """Removes the rows of later steps from a table, and one that is torn; begins a missing one.

    Args:
        file: The table.
        step: The last step that is kept.
        heads: Those of the model after the first.

    Raises:
        ValueError: Another program has changed the table.
        OSError: The table cannot be written.
    """
    further = [name for head in heads for name in head_scores(head)] if file.name == SCORES else []
    columns = (*COLUMNS[file.name], *further)
    _, rows, torn = _rows(file, columns)
    if torn is not None:
        tell(f"{file}: its last row, {torn[:60]!r}, was not written to its end; removed")
    kept = [dict(zip(columns, row, strict=True)) for row in rows if int(row[0]) <= step]
    replace_csv(file, columns, kept)


def read(file: pathlib.Path) -> dict[str, list[float]]:
    """The numbers of each column of a table, by its name, without a last row that is torn.

    Raises:
        ValueError: Another program has changed the table.
    """
    columns, rows, _ = _rows(file)
    return {name: [float(row[place]) for row in rows] for place, name in enumerate(columns)}


def add_row(file: pathlib.Path, row: dict[str, Any]) -> None:
    """Adds a row to a table; it is on the disk afterwards. Its values are in the columns' order.

    Raises:
        OSError: The table cannot be written, or is gone.
    """
    files.append_text(file, ",".join(map(str, row.values())) + "\n")


def is_scored(workdir: pathlib.Path, step: int) -> bool:
    """Whether scores.csv has a row of a step."""
    return any(int(row[0]) == step for row in _rows(workdir / SCORES)[1])


def last_step(file: pathlib.Path) -> int:
    """The last step in a table; 0 if there is none."""
    return max((int(row[0]) for row in _rows(file)[1]), default=0)


def _rows(
    file: pathlib.Path, columns: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], list[list[str]], str | None]:
    """The columns and rows of a table, and its last line if that one is torn.

    Args:
        file: The table.
        columns: That it must have; None for those of a run on any model.

    Raises:
        ValueError: The file holds something else.
    """
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise ValueError(f"{file} is no file. Rename it: the run goes on and begins a new one.")
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return columns or COLUMNS[file.name], [], None
    head, *lines = text.splitlines(keepends=True) or [""]
    columns = columns or _any_columns(head, file.name)
    if head.strip() and head.strip() != ",".join(columns):
        raise _changed(file, columns, 1, head)
    rows = []
    for number, line in enumerate(lines, start=2):
        row, last = line.strip().split(","), number == len(lines) + 1
        if _is_row(row, columns) and line.endswith("\n"):
            rows.append(row)
        elif last:
            return columns, rows, line.strip()
        else:
            raise _changed(file, columns, number, line)
    return columns, rows, None


def _any_columns(head: str, name: str) -> tuple[str, ...]:
    """The columns of a table: those that are known, and in scores.csv those of further heads."""
    known, found = COLUMNS[name], tuple(head.strip().split(","))
    further = found[len(known) :] if name == SCORES else ()
    return known + tuple(column for column in further if column.endswith(scoring.SCORES))


def _is_row(row: list[str], columns: tuple[str, ...]) -> bool:
    try:
        return int(row[0]) >= 0 and len([float(number) for number in row]) == len(columns)
    except ValueError:
        return False


def _changed(file: pathlib.Path, columns: tuple[str, ...], number: int, line: str) -> ValueError:
    return ValueError(
        f"{file} has the columns {','.join(columns)}; its line {number} is "
        f"{line.strip()[:60]!r}. Another program has changed it. Rename it: the run goes on and "
        "begins a new one."
    )


def replace_csv(file: pathlib.Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Writes a table as CSV in the place of an older one."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(file, text.getvalue())
