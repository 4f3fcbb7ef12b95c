"""The pages of the runs: docs/recipes.md, what each trains and has reached, and the gallery.

`python -m benchmarks.cards` writes them. All is quoted from the cards of the runs, from
docs/results.csv and from the pictures in docs/images/gallery.
"""

import collections
import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks import quoted
from benchmarks.documents import table
from recipes import runs

Row = Mapping[str, str]

FIRST, HIDDEN = (
    ("recipe", "split", "mean_iou"),
    ("model", "data", "seed", "versions", "date", "class_ious"),
)
NUMBERS = ("accuracy", "iou", "steps", "minutes", "gb")
"""Of the columns of results.csv those whose names end so are numbers."""


def listed(names: Sequence[str], *, models: str | None = None) -> str:
    """A table of runs; with the folder of the cards their models are linked to."""
    cards = {name: quoted.run_fields(name) for name in names}
    reported = any("Paper" in card for card in cards.values())
    lines = []
    for name, said in cards.items():
        model = runs.find(name).model
        link = () if models is None else (f"[`{model}`]({models}/{model}.md)",)
        paper = (said.get("Paper", ""),) if reported else ()
        lines.append((f"`{name}`", *link, said["what"], said["Time"], said["Result"], *paper))
    head = (
        *("run", *(() if models is None else ("model",)), "what", "time", "result"),
        *(("a paper's number",) if reported else ()),
    )
    return table(head, *lines, left=len(head))


def ranked(found: Iterable[Row]) -> list[Row]:
    """Rows of results.csv by split, the best first."""
    return sorted(found, key=lambda row: (row["split"], -float(row["mean_iou"])))


def scores(found: Sequence[Row]) -> str:
    """Rows of results.csv as a table: what was scored, the numbers, and how they came about.

    On which steps and hardware all runs were trained is said once, behind the table.
    """
    known = [x for x in found[0] if x not in (*FIRST, *HIDDEN) and any(row[x] for row in found)]
    values = {x: {row[x] for row in found if row["model"]} for x in ("steps", "hardware")}
    alike = {x: several.pop() for x, several in values.items() if len(several) == 1}
    rest = [x for x in known if not x.endswith(NUMBERS) and x not in alike]
    columns = [*FIRST, *(x for x in known if x not in (*rest, *alike)), *rest]
    head = [quoted.words(x) for x in columns]
    lines = [[_run(row) if x == "recipe" else row[x] for x in columns] for row in found]
    said = "; ".join(f"{name}: {value}" for name, value in alike.items())
    rows = table(head, *lines, left=2, behind=len(rest))
    return f"{rows}\n\n{said[0].upper()}{said[1:]}." if said else rows


def classes(found: Sequence[Row]) -> Iterable[str]:
    """The IoU of each class, a table for each split: a row for a class, a column for a run."""
    known = [row for row in found if row["class_ious"]]
    for split in dict.fromkeys(row["split"] for row in known):
        own = [row for row in known if row["split"] == split]
        ious = [
            dict(one.rpartition(" ")[::2] for one in row["class_ious"].split("; ")) for row in own
        ]
        lines = [(name, *(one[name] for one in ious)) for name in ious[0]]
        yield f"The IoU of each class, split {split}:"
        yield table(("class", *(_run(row) for row in own)), *lines)


def seeds(found: Iterable[Row]) -> str:
    """How far the mean IoU of runs that were trained with several seeds differs, as a table."""
    known = collections.defaultdict(dict)
    for row in found:
        if row["model"]:
            known[row["recipe"], row["split"]][row["seed"]] = float(row["mean_iou"])
    head = ("run", "split", "seeds", "mean IoU of each", "their mean", "most - least")
    lines = [
        (
            *(f"`{recipe}`", split, ", ".join(ious), ", ".join(f"{x:.4f}" for x in ious.values())),
            f"{statistics.mean(ious.values()):.4f}",
            f"{max(ious.values()) - min(ious.values()):.4f}",
        )
        for (recipe, split), ious in known.items()
        if len(ious) > 1
    ]
    return table(head, *lines, left=4)


def _run(row: Row) -> str:
    """What was scored: a run, or a baseline, which has no model."""
    return f"`{row['recipe']}`" if row["model"] else row["recipe"]


def page() -> str:
    """The text of docs/recipes.md."""
    names, found, parts = runs.names(), quoted.results(), []
    for data in sorted({row["data"] for row in found}):
        own = ranked(row for row in found if row["data"] == data)
        parts += [f"### Results on {data}", scores(own), *classes(own)]
    tables = []
    for data in sorted({runs.find(name).data for name in names}):
        own = [name for name in names if runs.find(name).data == data]
        tables.append(f"### {data}\n\n{listed(own, models='models')}")
    spread = seeds(quoted.results(other_seeds=True))
    return TEXT.format(scores="\n\n".join(parts), seeds=spread, runs="\n\n".join(tables))


def gallery() -> str:
    """The text of docs/gallery.md: the pictures, each with what its run is and has reached."""
    parts = []
    for name in quoted.gallery():
        said = quoted.run_fields(name)
        parts += [f"## {name}", f"{said['what']} Result: {said['Result']}.", picture(name, "")]
    return GALLERY.format(pictures="\n\n".join(parts))


def picture(name: str, docs: str) -> str:
    """The picture of a run, for a page from which `docs` leads to the documents."""
    said = f"images of {runs.find(name).data}, their labels, and what {name} answers"
    return f"![{said}]({docs}images/gallery/{name}.jpg)"


TEXT = """\
# Recipes and results

Written by `python -m benchmarks.cards`; run it again instead of editing.

A run is a file in `recipes/runs/` that says what is trained on which data and how.
`zoo train NAME --workdir runs/NAME` trains it, and resumes it; with data of your own folder behind
`--data-dir`. `zoo train NAME --help` shows its card and its options, and [training](training.md)
explains them.

## Results

What was measured here, by `zoo evaluate runs/NAME --baselines --record`, also with `--split test`:
[results.csv](results.csv) has the versions and the dates, too. Rows without a run need no net: they
know the training labels alone. Minutes and memory are those of training. Some of the answers are in
the [gallery](gallery.md). What the authors report about their own weights is in the [cards of the
models](models/index.md).

A row is one run with one seed; [another seed](#seeds) changes its mean IoU a little. On the road
scenes of CamVid, 1,000 steps from scratch are a beginning: the narrow nets find sky, houses and
road, and no pole, sign or person. U-Net leads, whose skips carry the detail past the bottom. The
FCNs and SegNet differ about as much as two seeds do. DeconvNet, without skips and with two fully
connected layers at its bottom, is no better after these steps than what the training labels say
about each place of the image.

{scores}

### Seeds

The same run trained again with `--seed`: other weights at the start, other crops, another order of
the images. A smaller difference between two rows above may be chance.

{seeds}

## Runs by data set

{runs}
"""

GALLERY = """\
# Gallery

Written by `python -m benchmarks.cards`; run it again instead of editing.

What the recorded runs answer on images that training has not seen. Nobody chose them: of each split
they are the images whose answers have the best, the median and the worst mean IoU, over the classes
of that image. The pictures come from

```sh
zoo evaluate runs/NAME --split test --gallery docs/images/gallery/NAME.jpg
```

without `--split test` for data without test labels. The road scenes are of CamVid (Brostow,
Fauqueur and Cipolla, Pattern Recognition Letters 2009), the cells of the ISBI challenge of 2012
(Arganda-Carreras et al., Frontiers in Neuroanatomy 2015; Cardona et al., PLoS Biology 2010).

{pictures}
"""
