"""Confusion matrices as files: tables with the pixels of each pair of classes, and a picture."""

import csv
import io
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from recipes.evaluation import matrix_picture
from zoo import files


def check(file: pathlib.Path) -> None:
    """Checks the name of a file for `write`, before anything is scored; see `files.check_new`."""
    files.check_new(file, tuple(_WRITERS), what="A confusion matrix")


def write(
    file: pathlib.Path, matrices: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> None:
    """Writes the matrices into one file, as a table or, if it ends in .png, as a picture.

    Args:
        file: Ends in .csv, .md or .png.
        matrices: What was scored, by its name: int64 `[classes, classes]`, rows are the truth. A
            CSV has the name in each row, a Markdown file and a picture a part for each.
        class_names: In the order of the class numbers.

    Raises:
        ValueError: The file has another ending.
        OSError: It is there already, or cannot be written.
    """
    check(file)
    with files.creating(file) as unfinished:
        _WRITERS[file.suffix.lower()](unfinished, matrices, class_names)


def _write_csv(
    file: pathlib.Path, matrices: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "truth", *class_names])
    for path, matrix in matrices.items():
        for name, counts in zip(class_names, matrix.tolist(), strict=True):
            rows.writerow([path, name, *counts])
    file.write_text(text.getvalue(), encoding="utf-8", newline="")


def _write_markdown(
    file: pathlib.Path, matrices: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> None:
    names = [" ".join(name.split()).replace("|", "\\|") for name in class_names]
    lines = ["Pixels: rows are the truth, columns the prediction.", ""]
    for path, matrix in matrices.items():
        lines += [f"## {path}", "", f"| truth | {' | '.join(names)} |"]
        lines.append(f"|---|{'---:|' * len(names)}")
        for name, counts in zip(names, matrix.tolist(), strict=True):
            lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |")
        lines.append("")
    file.write_text("\n".join(lines), encoding="utf-8", newline="")


def _write_picture(
    file: pathlib.Path, matrices: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> None:
    matrix_picture.draw(matrices, class_names).save(file)


_WRITERS: dict[str, Callable[[pathlib.Path, Mapping[str, np.ndarray], Sequence[str]], None]] = {
    ".png": _write_picture,
    ".csv": _write_csv,
    ".md": _write_markdown,
}
