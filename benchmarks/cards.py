"""Writes the cards of the models, docs/models/NAME.md, and two pages of the runs.

These are docs/recipes.md and docs/gallery.md.

    python -m benchmarks.cards

A card has the drawing of its model, its definition and options, what it takes, what it was compared
with, what its runs have reached, its speed, and the weights that its authors published. All of it
is counted from the model's layers, or quoted: from docstrings, the tables of docs/authors_nets.md,
docs/parity.md and docs/performance.md, docs/results.csv and the catalog of weights. Nothing is
measured, and no weights are made: it takes half a minute.

A test compares the cards with what this program would write.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence

import keras

import zoo
from benchmarks import quoted, recipes_page
from benchmarks.documents import report, table, write
from recipes import runs
from tests.parity.pytorch.cases import CASES
from zoo import drawing
from zoo.anatomy import multiplications
from zoo.inference.memory import bytes_per_pixel
from zoo.models.plain import plain
from zoo.models.without_values import without_values
from zoo.weights import catalog

SIDE = 500  # of the image whose costs are counted
BY_TESTS = {
    "vgg16_heatmap": "Keras's VGG-16 gives the same numbers with the same weights",
    "vgg19_heatmap": "Keras's VGG-19 gives the same numbers with the same weights",
    "caffenet_heatmap": "OpenCV gives the same numbers with the same `.caffemodel`",
}
"""What `tests/zoo/test_heatmap_models.py` compares the classifiers with, in toy widths."""
WRITTEN = "Written by `python -m benchmarks.cards`; run it again instead of editing."


def pages() -> dict[str, str]:
    """Every page and drawing by its path in docs."""
    found, counts = {}, {}
    for name in zoo.list_models():
        with without_values():
            model = zoo.build(name)
            found[f"models/{name}.svg"] = drawing.svg(plain(model, model.spec.head))
            counts[name] = costs(model)
        found[f"models/{name}.md"] = card(name, counts[name])
    return {
        "models/index.md": index(counts),
        "recipes.md": recipes_page.page(),
        "gallery.md": recipes_page.gallery(),
        **found,
    }


def costs(model: keras.Model) -> dict[str, str]:
    """What a model takes at its default options, as words by what it is."""
    weights = sum(4 * math.prod(weight.shape) for weight in model.weights)
    answer = bytes_per_pixel(model) * SIDE**2
    return {
        "multiplications": f"{multiplications(model, (SIDE, SIDE)) / 1e9:,.1f} GMAC",
        "weights": f"{weights / 1e6:,.0f} MB",
        "memory": f"{answer / 1e6:,.0f} MB",
    }


def card(name: str, cost: dict[str, str]) -> str:
    """The card of a model."""
    known = zoo.describe(name)
    head = f", its head `{known.heads[0]}`" if known.heads else ""
    parts = [
        f"# {name}",
        f"{known.summary} `zoo.build({name!r})` builds it.".replace("'", '"'),
        f"[![the stages of {name}{head}, with their sizes and skips]({name}.svg)]({name}.svg)",
        "## What it takes",
        table(
            ("at the default options", ""),
            ("parameters that are trained", f"{known.parameters:,}"),
            ("all weights, in float32", cost["weights"]),
            (f"multiplications for an image of {SIDE} × {SIDE}", cost["multiplications"]),
            (f"memory for its answer, {SIDE} × {SIDE}, beside the weights", cost["memory"]),
            ("stride", f"{known.stride} pixels"),
            ("receptive field", f"{known.receptive_field} pixels"),
            ("classes", known.classes),
        ),
        "GMAC are 10⁹ multiplications in convolutions; FLOPs, which count additions too, are twice "
        "as many. The memory is what `zoo predict` reckons with. All three are counted from the "
        "layers, not measured.",
        f"## Definition\n\n{known.paper} ({known.year}). From `zoo/models/{known.module}.py`:",
        quoted.definition(known.module),
        "## Options",
        table(
            ("option", "default", "meaning"),
            *((f"`{x}`", f"`{default}`", said) for x, default, said in options(name)),
            left=3,
        ),
        "## Compared with",
        *proofs(name),
        "## Results",
        *results(name),
        *speed(name),
        "## Published weights",
        *published(name),
        WRITTEN,
    ]
    return "\n\n".join(parts) + "\n"


def options(name: str) -> quoted.Rows:
    """The options of a model: name, default, meaning."""
    return quoted.options(zoo.describe(name).builder)


def proofs(name: str) -> Iterable[str]:
    """What the model gives the same numbers as."""
    rows = quoted.rows(quoted.page("authors_nets"))
    same = [row for row in rows[1:] if row[1].split(",")[0] == f"`{name}`"]
    if same:
        yield "OpenCV's Caffe importer, in full width ([how](../authors_nets.md)):"
        yield table(rows[0], *same, left=2)
    rows = quoted.rows(quoted.section(quoted.page("parity"), "Scores"))
    differences = [float(row[2]) for row in rows[1:] if row[0].split()[0] == name]
    if differences:
        yield (
            f"torchfcn, on {len(differences)} images in full width: the scores differ by at most "
            f"{max(differences):.1e} of the largest ([layer by layer](../parity.md))."
        )
    cases = [f"`{case}`" for case, what in CASES.items() if what.model == name]
    if cases:
        yield (
            "Plain PyTorch, in toy widths, by the tests in `tests/parity/pytorch/`: "
            f"{', '.join(cases)}."
        )
    if name in BY_TESTS:
        yield f"{BY_TESTS[name]}: in toy widths, by `tests/zoo/test_heatmap_models.py`."


def results(name: str) -> Iterable[str]:
    """What the runs of the model have reached, and which runs there are."""
    found = quoted.results(name)
    if found:
        yield recipes_page.scores(found)
    else:
        yield "No run of this model has been recorded yet."
    own = [run for run in runs.names() if runs.find(run).model == name]
    for run in quoted.gallery():
        if run in own:
            yield f"Images with the best, the median and the worst answer of `{run}`:"
            yield recipes_page.picture(run, "../")
    if own:
        yield "Runs that train it ([all](../recipes.md)):"
        yield recipes_page.listed(own)


def speed(name: str) -> Iterable[str]:
    """What docs/performance.md says about the model."""
    text, tables = quoted.page("performance"), []
    for heading, unit in (("Seconds", "s"), ("Peak memory of the process, in GB", "GB")):
        rows = quoted.rows(quoted.section(text, heading))
        places = [x for x, title in enumerate(rows[0]) if title.split(", ")[0] == name]
        titles = [f"{rows[0][x].partition(', ')[2]}, {unit}" for x in places]
        tables += [(titles, places, rows[1:])] if places else []
    if tables:
        lines = [
            (row[0], *(other[line][x] for _, places, other in tables for x in places))
            for line, row in enumerate(tables[0][2])
        ]
        yield "## Speed"
        yield "Of an answer on a CPU; [performance.md](../performance.md) says how it was measured."
        yield table(("engine", *(x for titles, _, _ in tables for x in titles)), *lines)


def published(name: str) -> Iterable[str]:
    """The files that the authors published, with their licences."""
    known = catalog.records(name)
    if not known:
        yield "None were published, nor any of a trunk from which it could start."
        return
    lines = []
    for record in known:
        scores = [
            f"{quoted.words(measure)} {percent} on {score.on} ({score.source})"
            for score in record.scores
            for measure, percent in score.percent.items()
            if measure in ("mean_iou", "top_1_accuracy", "top_5_accuracy")
        ]
        loads = "all" if record.model == name else "the encoder"
        said = "; ".join(scores)
        lines.append((f"`{record.file}`", loads, record.data, said, record.licence))
    head = ("file", "loads", "data set", "what its authors report, in %", "licence")
    yield table(head, *lines, left=5)
    yield f"`zoo weights {name}` tells how to load each of them, and `zoo fetch FILE` downloads it."


def index(counts: dict[str, dict[str, str]]) -> str:
    """The page of all models."""
    lines = []
    for name in zoo.list_models():
        cost, known = counts[name], zoo.describe(name)
        lines.append(
            (
                *(f"[`{name}`]({name}.md)", known.summary, f"{known.parameters:,}"),
                *(cost["multiplications"].split()[0], cost["memory"].split()[0]),
            )
        )
    head = ("model", "what it is", "parameters", "GMAC", "MB")
    measured = quoted.results()
    roads = [row for row in measured if (row["data"], row["split"]) == ("camvid", "test")]
    return INDEX.format(
        written=WRITTEN,
        side=SIDE,
        measured=recipes_page.scores(recipes_page.ranked(roads)),
        models=table(head, *lines, left=2),
    )


INDEX = """\
# Models

| you have | take |
|---|---|
| photographs, and a few hundred labels | `fcn8s` or `unet_vgg16`, which start from ImageNet |
| images of a microscope, few labels | `unet` |
| road scenes, a small memory for the weights | `segnet` |
| objects with fine outlines, and time to train in two stages | `deconvnet` |
| a slow computer | `fcn_alexnet`, or a narrow net: `stages` or `filters` is an option of each |
| colour and depth | `fcn32s_late_fusion`, `fcn32s_early_fusion` |
| two kinds of labels for each image | `fcn8s_two_heads` |
| no labels, but ImageNet's classes | `vgg16_heatmap` |
| a course to teach | `fullres`, `encoder_decoder`, then `unet` |

This is what the papers made them for. What was measured here, on road scenes: narrow forms of the
nets, from scratch, with the same crops, solver and steps, on two cores without a GPU. Rows without
a run need no net. [Recipes and results](../recipes.md) have the classes and the other data, the
[gallery](../gallery.md) has answers.

{measured}

{models}

GMAC are 10⁹ multiplications for an image of {side} × {side}; MB is the memory for its answer,
beside the weights. Both are counted from the layers.

{written}
"""


def stale(found: dict[str, str]) -> list[str]:
    """The pages that differ from those in docs, and those there that belong to no model."""
    differing = [
        path
        for path, text in found.items()
        if not (quoted.DOCS / path).exists()
        or (quoted.DOCS / path).read_text(encoding="utf-8") != text
    ]
    there = [f"models/{path.name}" for path in (quoted.DOCS / "models").glob("*")]
    return differing + sorted(set(there) - set(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the pages that have changed, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    found = pages()
    for path in stale(found):
        if path in found:
            write(found[path], quoted.DOCS / path)
            report(f"Wrote docs/{path}.")
        else:
            (quoted.DOCS / path).unlink()
            report(f"Removed docs/{path}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
