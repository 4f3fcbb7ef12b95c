"""What other places say, for the pages that quote them: tables, docstrings, cards of runs."""

import csv
import importlib
import inspect
import pathlib
import re
from collections.abc import Callable

from recipes import runs

DOCS = pathlib.Path(__file__).parents[1] / "docs"

Rows = list[list[str]]


def page(name: str) -> str:
    """The text of docs/NAME.md."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading of a Markdown page, up to the next one of any level.

    Raises:
        LookupError: The page has no such heading.
    """
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, flags=re.DOTALL | re.MULTILINE
    )
    if found is None:
        raise LookupError(f"The page has no heading {heading!r}. Write what it is called now.")
    return found[1]


def rows(text: str) -> Rows:
    """The cells of the first table of a text, the head first and without the rule below it."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [cells[0], *cells[2:]] if cells else []


def results(model: str | None = None, *, other_seeds: bool = False) -> list[dict[str, str]]:
    """The rows of docs/results.csv, or those of a model; of runs with the seed of their recipe."""
    with open(DOCS / "results.csv", encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    return [
        row
        for row in found
        if model in (None, row["model"])
        and (other_seeds or not row["model"] or int(row["seed"]) == runs.find(row["recipe"]).seed)
    ]


def gallery() -> list[str]:
    """The runs of which docs/images/gallery has a picture."""
    return sorted(path.stem for path in (DOCS / "images/gallery").glob("*.jpg"))


def words(column: str) -> str:
    """The name of a column as a table shows it: "mean IoU" for mean_iou, "memory GB"."""
    return column.replace("_", " ").replace("iou", "IoU").replace("gb", "GB")


def options(builder: Callable) -> Rows:
    """The options of a builder: name, default, and what its docstring says about it."""
    text = inspect.getdoc(builder) or ""
    said = re.search(r"^Args:\n(.*?)^\S", text, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(
        r"^    (\w+): (.*?)(?=^    \w|\Z)", said[1] if said else "", flags=re.DOTALL | re.MULTILINE
    )
    meanings = {name: " ".join(meaning.split()) for name, meaning in found}
    parameters = inspect.signature(builder).parameters.values()
    return [[x.name, repr(x.default), meanings[x.name]] for x in parameters]


def definition(module: str) -> str:
    """The docstring of a module of `zoo.models` as Markdown: a blank line is before a list."""
    text = inspect.getdoc(importlib.import_module(f"zoo.models.{module}")) or ""
    return re.sub(r"^((?!- |  ).+)\n(?=- )", r"\1\n\n", text, flags=re.MULTILINE)


def run_fields(name: str) -> dict[str, str]:
    """The card of a run: its first line as `what`, and each of its fields, such as `Result`."""
    text = runs.card(name)
    found = re.findall(r"^([A-Z][a-z]+) {2,}(.*?)(?=^[A-Z]|\Z)", text, re.DOTALL | re.MULTILINE)
    fields = {field: " ".join(value.split()) for field, value in found}
    return {"what": text.splitlines()[0], **fields}
