"""Early stopping: a run ends when --patience scores in a row are no better than one before them.

What decides is scores.csv alone, up to the step of the state. A run that is killed repeats the
steps after its checkpoint and their rows, and so ends at the same step.
"""

import numpy as np

from recipes.training import tables
from recipes.training.devices import add_up
from recipes.training.run import Run
from zoo import workdir as workdirs


def is_over(run: Run) -> bool:
    """Whether the patience of a run is at its end; the same for all workers.

    All workers must call this: only the first one has the rows of earlier starts.
    """
    recipe = run.recipe
    if not recipe.patience:
        return False
    over = False
    if run.is_first_worker:
        best, since = since_best(tables.read(run.out / tables.SCORES), recipe.best_by, run.step)
        over = best is not None and since >= recipe.patience
    return bool(add_up(np.array([float(over)]), run.strategy)[0])


def since_best(
    scores: dict[str, list[float]], name: str, last: int
) -> tuple[tuple[int, float] | None, int]:
    """The step and the value of the first best score, and how many scores came after it.

    >>> since_best({"step": [2, 4, 6], "mean_iou": [0.5, 0.7, 0.7]}, "mean_iou", last=6)
    ((4, 0.7), 1)

    Args:
        scores: The columns of scores.csv.
        name: Of the column that decides.
        last: The last step that counts.

    Returns:
        None in the place of the best one if there is no score that is a number.
    """
    best, since = None, 0
    for step, value in zip(scores["step"], scores[name], strict=True):
        if step > last:
            break
        since += 1
        if value > (-1.0 if best is None else best[1]):  # not so if it is NaN
            best, since = (int(step), value), 0
    return best, since


def told(run: Run) -> str:
    """At which step a run ended, and, if this is the first worker, why."""
    recipe = run.recipe
    ended = f"ended at step {run.step} of {recipe.steps} by --patience {recipe.patience}"
    if not run.is_first_worker:
        return ended
    scores = tables.read(run.out / tables.SCORES)
    (step, value), since = since_best(scores, recipe.best_by, run.step)
    return (
        f"{ended}: the last {since} scores are no better than {recipe.best_by} {value:.4f} of step "
        f"{step}, whose weights are {run.out / workdirs.BEST}. The same command with --patience 0 "
        "goes on."
    )
