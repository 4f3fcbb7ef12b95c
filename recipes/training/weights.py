"""The weights files of a run: those of the newest step, and those with the best score.

The order of writing is checkpoint, weights file, record in recipe.json. A run that is killed in
between is resumed from the checkpoint and writes the rest again.
"""

import pathlib

import keras

import zoo.weights
from recipes.training import records
from recipes.training.checkpoints import first_line
from recipes.training.environment import peak_memory
from recipes.training.recipe import RunError
from recipes.training.run import Run
from zoo import workdir as workdirs
from zoo.terminal import remedy


def are_written(workdir: pathlib.Path, step: int) -> bool:
    """Whether model.weights.h5 is whole and of this step."""
    weights = (workdirs.read_recipe(workdir) or {}).get("weights") or {}
    return weights.get("step") == step and zoo.weights.is_whole(workdir / workdirs.WEIGHTS) is True


def write_newest(run: Run) -> None:
    """Writes model.weights.h5 and its step, unless they are written. All workers must call this.

    Raises:
        RunError: The file cannot be written, or reads back as other numbers.
    """
    if are_written(run.workdir, run.step):
        return
    _write(run, run.state.model, workdirs.WEIGHTS)
    before = (workdirs.read_recipe(run.out) or {}).get("weights") or {}
    written = {
        "step": run.step,
        "minutes": round(float(run.state.seconds) / 60, 2),
        "memory_gb": max(round(peak_memory(), 2), before.get("memory_gb", 0)),
    }
    records.update(run.out, weights=written)


def write_best(run: Run, model: keras.Model, score: float) -> None:
    """Writes best.weights.h5, its step and its score. For one worker, with a copy of the model.

    Args:
        run: The run.
        model: A copy of its model, on one device.
        score: The one that --best-by names.

    Raises:
        RunError: The file cannot be written, or reads back as other numbers.
    """
    _write(run, model, workdirs.BEST)
    records.update(run.out, best={"step": run.step, run.recipe.best_by: score})


def _write(run: Run, model: keras.Model, name: str) -> None:
    file = run.out / name
    try:
        zoo.weights.save(model, file, spec=run.state.model.spec)
    except OSError as error:
        raise RunError(
            f"{file} cannot be written ({first_line(error)}). The checkpoints beside it hold the "
            f"whole training. {remedy(error)}"
        ) from error
