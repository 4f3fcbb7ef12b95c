"""The tables of a run: log.csv, a row every --log-every steps, and scores.csv.

Each row is on the disk before the checkpoint of its step. What a kill or a power failure leaves is
repaired when the run is resumed.
"""

import csv
import io
import pathlib
from typing import Any

from recipes import scoring
from zoo import files
from zoo.terminal import tell

LOG, SCORES = "log.csv", "scores.csv"
COLUMNS = {LOG: ("step", "loss", "seconds"), SCORES: ("step", *scoring.SCORES)}


def repair(file: pathlib.Path, step: int) -> None:
    """Removes the rows of later steps from a table, and one that is torn; begins a missing one.

    Raises:
        ValueError: Another program has changed the table.
        OSError: The table cannot be written.
    """
    rows, torn = _rows(file)
    if torn is not None:
        tell(f"{file}: its last row, {torn[:60]!r}, was not written to its end; removed")
    columns = COLUMNS[file.name]
    kept = [dict(zip(columns, row, strict=True)) for row in rows if int(row[0]) <= step]
    replace_csv(file, columns, kept)


def add_row(file: pathlib.Path, row: dict[str, Any]) -> None:
    """Adds a row to a table; it is on the disk afterwards.

    Raises:
        OSError: The table cannot be written, or is gone.
    """
    files.append_text(file, ",".join(str(row[name]) for name in COLUMNS[file.name]) + "\n")


def is_scored(workdir: pathlib.Path, step: int) -> bool:
    """Whether scores.csv has a row of a step."""
    return any(int(row[0]) == step for row in _rows(workdir / SCORES)[0])


def last_step(file: pathlib.Path) -> int:
    """The last step in a table; 0 if there is none."""
    return max((int(row[0]) for row in _rows(file)[0]), default=0)


def _rows(file: pathlib.Path) -> tuple[list[list[str]], str | None]:
    """The rows of a table, and its last line if that one is torn.

    Raises:
        ValueError: The file holds something else.
    """
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise ValueError(f"{file} is no file. Rename it: the run goes on and begins a new one.")
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return [], None
    head, *lines = text.splitlines(keepends=True) or [""]
    if head.strip() and head.strip() != ",".join(COLUMNS[file.name]):
        raise _changed(file, 1, head)
    rows = []
    for number, line in enumerate(lines, start=2):
        row, last = line.strip().split(","), number == len(lines) + 1
        if _is_row(row, file.name) and line.endswith("\n"):
            rows.append(row)
        elif last:
            return rows, line.strip()
        else:
            raise _changed(file, number, line)
    return rows, None


def _is_row(row: list[str], name: str) -> bool:
    try:
        return int(row[0]) >= 0 and len([float(number) for number in row]) == len(COLUMNS[name])
    except ValueError:
        return False


def _changed(file: pathlib.Path, number: int, line: str) -> ValueError:
    return ValueError(
        f"{file} has the columns {','.join(COLUMNS[file.name])}; its line {number} is "
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
