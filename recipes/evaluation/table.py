"""The scores as text: a table or JSON."""

import math
from collections.abc import Sequence
from typing import Any

from recipes import scoring
from recipes.evaluation.membranes import ImageScores

WHOLE = (*scoring.SCORES, "mean_boundary_iou", *ImageScores._fields)
"""The scores of a whole split, in the order of the table; those behind the four are optional."""

PER_CLASS = (
    *("iou_per_class", "precision_per_class", "recall_per_class", "dice_per_class"),
    "boundary_iou_per_class",
)
"""The scores that each class has; the Boundary IoU is optional."""


def as_table(
    scores: dict[str, dict[str, Any]],
    class_names: tuple[str, ...],
    *,
    left_out: Sequence[str] = (),
) -> str:
    """A column for each scored thing, a row for each score and for those of each class.

    A last line names the classes that the mean IoU leaves out, if there are any.
    """
    given = next(iter(scores.values()))
    rows = {name: [columns[name] for columns in scores.values()] for name in WHOLE if name in given}
    for score in (score for score in PER_CLASS if score in given):
        for index, name in enumerate(class_names):
            row = f"{score.removesuffix('_per_class')} {name}"
            rows[row] = [columns[score][index] for columns in scores.values()]
    first = max(map(len, rows))
    widths = [max(8, len(name)) for name in scores]
    lines = ["  ".join([" " * first, *(f"{n:>{w}}" for n, w in zip(scores, widths, strict=True))])]
    for name, values in rows.items():
        cells = (f"{value:>{w}.4f}" for value, w in zip(values, widths, strict=True))
        lines.append("  ".join([f"{name:<{first}}", *cells]))
    if left_out:
        lines.append(f"mean_iou leaves out {', '.join(left_out)}: no label of the split shows them")
    return "\n".join(lines)


def as_json(scores: dict[str, Any], class_names: tuple[str, ...]) -> dict[str, Any]:
    """The scores of one thing for JSON, with None for a score without pixels."""
    whole = {name: _number(scores[name]) for name in WHOLE if name in scores}
    return whole | {
        score: dict(zip(class_names, map(_number, scores[score]), strict=True))
        for score in PER_CLASS
        if score in scores
    }


def _number(score: float) -> float | None:
    return None if math.isnan(score) else float(score)
