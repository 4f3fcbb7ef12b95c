"""Plots as SVG: lines with logarithmic axes, and bars."""

import io
import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from recipes.plotting import save

Points = Sequence[tuple[float, float]]


def svg(panels: Mapping[str, Mapping[str, Points]], *, y_label: str) -> str:
    """Panels side by side: for each `title|x label` the points of each line, by its name."""
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    for axes, (title, lines) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        heading, _, x_label = title.partition("|")
        axes.set(title=heading, xlabel=x_label, ylabel=y_label, xscale="log", yscale="log")
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set_xticks(sorted({x for points in lines.values() for x, _ in points}))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, color="#ddd")
        axes.legend()
    return _text(figure)


def bars(panels: Mapping[str, Mapping[str, float]], *, x_label: str) -> str:
    """Panels in two columns: for each title a bar for each name; a line marks the value of 1."""
    figure = Figure(figsize=(10, 2.6 * math.ceil(len(panels) / 2)), layout="constrained")
    grid = figure.subplots(math.ceil(len(panels) / 2), 2, squeeze=False).flat
    for axes, (title, values) in zip(grid, panels.items(), strict=False):
        axes.barh(list(values), list(values.values()))
        axes.axvline(1, color="black", linewidth=1)
        axes.set(title=title, xlabel=x_label)
        axes.invert_yaxis()
    for axes in list(grid)[len(panels) :]:
        axes.remove()
    return _text(figure)


def _text(figure: Figure) -> str:
    content = io.StringIO()
    save(figure, content, "svg")
    return content.getvalue()
