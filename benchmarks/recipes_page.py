"""The page of the runs, docs/recipes.md: what each trains, and what it has reached.

`python -m benchmarks.cards` writes it. All is quoted from the cards of the runs and from
docs/results.csv.
"""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks import quoted
from benchmarks.documents import table
from recipes import runs

FIRST, HIDDEN = ("recipe", "split", "mean_iou"), ("model", "data", "versions", "date")
NUMBERS = ("accuracy", "iou", "steps", "minutes")
"""Of the columns of results.csv those whose names end so are numbers."""


def listed(names: Iterable[str], *, models: str | None = None) -> str:
    """A table of runs; with the folder of the cards their models are linked to."""
    lines = []
    for name in names:
        said, model = quoted.run_fields(name), runs.find(name).model
        link = () if models is None else (f"[`{model}`]({models}/{model}.md)",)
        lines.append((f"`{name}`", *link, said["what"], said["Time"], said["Result"]))
    head = ("run", *(() if models is None else ("model",)), "what", "time", "result")
    return table(head, *lines, left=len(head))


def scores(found: Sequence[Mapping[str, str]]) -> str:
    """Rows of results.csv as a table: what was run, the numbers, and on what they were measured."""
    known = [x for x in found[0] if x not in (*FIRST, *HIDDEN) and any(row[x] for row in found)]
    rest = [x for x in known if not x.endswith(NUMBERS)]
    columns = [*FIRST, *(x for x in known if x not in rest), *rest]
    head = [quoted.words(x) for x in columns]
    lines = [[f"`{row[x]}`" if x == "recipe" else row[x] for x in columns] for row in found]
    return table(head, *lines, left=2, behind=len(rest))


def page() -> str:
    """The text of the page."""
    names = runs.names()
    sets = sorted({runs.find(name).data for name in names})
    parts = []
    for data in sets:
        own = [name for name in names if runs.find(name).data == data]
        parts.append(f"### {data}\n\n{listed(own, models='models')}")
    return TEXT.format(scores=scores(quoted.results()), runs="\n\n".join(parts))


TEXT = """\
# Recipes and results

Written by `python -m benchmarks.cards`; run it again instead of editing.

A run is a file in `recipes/runs/` that says what is trained on which data and how.
`zoo train NAME --workdir runs/NAME` trains it, and resumes it; with data of your own folder behind
`--data-dir`. `zoo train NAME --help` shows its card and its options, and [training](training.md)
explains them.

## Results

What was measured here, by `zoo evaluate runs/NAME --record`: [results.csv](results.csv) has the
versions and the dates, too. What the authors report about their own weights is in the [cards of the
models](models/index.md).

{scores}

## Runs by data set

{runs}
"""
