"""`zoo plot`: the curves of one run or several, from their log.csv and scores.csv."""

import argparse
import math
import pathlib
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from zoo import files, quiet, terminal
from zoo import workdir as workdirs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")
COLUMNS = 3  # panels side by side, at most
_STYLES = ("-", "--", ":", "-.")  # one for each ten runs, which have the ten colours


class Curves(NamedTuple):
    """The tables of a run: the numbers of each column, by its name."""

    name: str
    log: dict[str, list[float]]
    scores: dict[str, list[float]]


def plot(arguments: list[str]) -> int:
    """`zoo plot WORKDIR… --out FILE`."""
    parser = terminal.Parser(
        prog="zoo plot",
        description="Draws the training loss and the held-out scores of runs over their steps: a "
        "panel for the loss\nand one for each score, in each panel a line for each run. A run may "
        "still train. Each number of the\nloss is the mean of the steps since the one before, as "
        "log.csv has it.",
    )
    parser.add_argument("workdirs", nargs="+", type=pathlib.Path, metavar="WORKDIR")
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, metavar="FILE", help="ends in .png or .svg"
    )
    parser.add_argument(
        "--smooth",
        type=terminal.positive,
        metavar="ROWS",
        help="draw the mean of this many rows of the loss, and the rows themselves pale behind it",
    )
    given = parser.parse_args(arguments)
    return terminal.run(lambda: _plot(given), prog="zoo plot")


def _plot(given: argparse.Namespace) -> int:
    files.check_new(given.out, ENDINGS, what="A plot")
    quiet.import_tensorflow()
    curves = [
        read(workdir, name)
        for workdir, name in zip(given.workdirs, names(given.workdirs), strict=True)
    ]
    for run in curves:
        for what, table in (("row of the loss", run.log), ("score", run.scores)):
            if not table["step"]:
                terminal.tell(f"{run.name} has no {what} yet")
    figure = draw(curves, smooth=given.smooth)
    with files.creating(given.out) as unfinished:
        save(figure, unfinished, given.out.suffix.lower()[1:])
    terminal.tell(f"written: {given.out}")
    return 0


def names(folders: Sequence[pathlib.Path]) -> list[str]:
    """The name of each run: that of its folder, with those above it where several have the same.

    >>> names([pathlib.Path("/a/unet"), pathlib.Path("/b/unet"), pathlib.Path("/b/fcn")])
    ['a/unet', 'b/unet', 'fcn']

    Raises:
        ValueError: A folder is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    twice = [folder for folder, one in zip(folders, parts, strict=True) if parts.count(one) > 1]
    if twice:
        raise ValueError(f"Each run has one line; received {twice[0]} twice. Give it once.")

    def name(one: tuple[str, ...]) -> str:
        length = 1
        while sum(other[-length:] == one[-length:] for other in parts) > 1:
            length += 1
        return "/".join(one[-length:])

    return [name(one) for one in parts]


def read(workdir: pathlib.Path, name: str) -> Curves:
    """The tables of a run; a last row that is torn is left out, since it may be being written.

    Raises:
        ValueError: The folder holds no run, or a table that another program has changed.
    """
    from recipes.training import tables

    if workdirs.read_recipe(workdir) is None:
        raise ValueError(
            f"A plot shows runs; {workdir} holds no {workdirs.RECIPE} of one. Give the folder that "
            "zoo train has as --workdir."
        )
    return Curves(name, tables.read(workdir / tables.LOG), tables.read(workdir / tables.SCORES))


def draw(curves: Sequence[Curves], *, smooth: int | None = None) -> "Figure":
    """A panel for the loss and one for each score, with a line for each run.

    Args:
        curves: The runs, in the order of the legend.
        smooth: Rows of the log whose mean is drawn; None for each row as it is.

    Raises:
        ValueError: No run has a row.
        ImportError: matplotlib is not installed.
    """
    if not any(table["step"] for run in curves for table in (run.log, run.scores)):
        raise ValueError(
            "A plot shows rows of log.csv and scores.csv; received runs without any. Train until "
            "the first is written, after --log-every steps."
        )
    figure_type, line_type = _matplotlib()
    has_scores = [run.scores for run in curves if run.scores["step"]]
    scores = list(dict.fromkeys(name for table in has_scores for name in table if name != "step"))
    columns = min(COLUMNS, 1 + len(scores))
    rows = math.ceil((1 + len(scores)) / columns)
    figure = figure_type(figsize=(4.2 * columns, 3.2 * rows + 0.4), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    looks = [
        {"color": f"C{number % 10}", "linestyle": _STYLES[number // 10 % len(_STYLES)]}
        for number in range(len(curves))
    ]
    for run, look in zip(curves, looks, strict=True):
        _draw_loss(panels[0], run.log, look, smooth)
        for panel, score in zip(panels[1:], scores, strict=False):
            _draw_line(panel, run.scores["step"], run.scores.get(score, []), look)
    panels[0].set(title="training loss", ylabel=f"mean of {smooth} rows" if smooth else None)
    for panel, score in zip(panels[1:], scores, strict=False):
        panel.set(title="held-out " + score.replace("_", " ").replace("iou", "IoU"))
    for panel in panels[: 1 + len(scores)]:
        panel.set(xlabel="step")
        panel.tick_params(labelbottom=True)  # of a shared axis only the lowest row has numbers
        panel.grid(visible=True, color="#ddd")
    for panel in panels[1 + len(scores) :]:
        panel.remove()
    _add_legend(figure, [line_type([], [], **look) for look in looks], [x.name for x in curves])
    return figure


def _draw_loss(
    panel: "Axes", log: dict[str, list[float]], look: dict[str, Any], smooth: int | None
) -> None:
    steps, losses = log["step"], log["loss"]
    if smooth:
        panel.plot(steps, losses, **look, alpha=0.25, linewidth=0.8)
        starts = (max(0, end - smooth) for end in range(1, len(losses) + 1))
        losses = [
            sum(losses[start : end + 1]) / (end + 1 - start) for end, start in enumerate(starts)
        ]
    _draw_line(panel, steps, losses, look)


def _draw_line(
    panel: "Axes", steps: list[float], values: list[float], look: dict[str, Any]
) -> None:
    """A line; with few points each has a dot, since one alone makes no line."""
    if values:
        panel.plot(steps, values, **look, marker="o" if len(values) <= 20 else "", markersize=3)


def _add_legend(figure: "Figure", lines: list, texts: list[str]) -> None:
    across = 1 if max(map(len, texts)) > 40 else 3
    legend = figure.legend(lines, ["run"] * len(lines), loc="outside lower center", ncols=across)
    for shown, text in zip(legend.get_texts(), texts, strict=True):
        # A name is no formula and may begin with _, which matplotlib would leave out.
        shown.set_parse_math(False)
        shown.set_text(terminal.printable(text))


def save(figure: "Figure", file: pathlib.Path | IO, kind: str) -> None:
    """Writes a figure as "png" or "svg"; the same numbers give the same file."""
    import matplotlib as mpl

    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "segmentation-zoo", "svg.fonttype": "none"}):
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)


def _matplotlib() -> tuple[type, type]:
    """The types of a figure and of a line.

    Raises:
        ImportError: matplotlib is not installed; the message says how to install it.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise ImportError(
            "A plot is drawn by matplotlib, which is not installed. Install it: pip install "
            '"segmentation-zoo[plots]".'
        ) from error
    return Figure, Line2D
