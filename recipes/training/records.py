"""What is recorded of a run in recipe.json, and whether a folder holds this very run."""

import dataclasses
import errno
import json
import os
import pathlib
from typing import Any

import tensorflow as tf

from recipes.training import tables
from recipes.training.environment import environment
from recipes.training.recipe import Recipe, difference
from zoo import files
from zoo import workdir as workdirs
from zoo.spec import Spec
from zoo.terminal import tell


def check_workdir(workdir: pathlib.Path, recipe: Recipe) -> None:
    """Makes sure that a folder is free, or holds this very run.

    Raises:
        ValueError: It holds another run, files with the names that a run writes, weights without
            a checkpoint, or a damaged file.
    """
    recorded = workdirs.read_recipe(workdir)
    written = (workdirs.CHECKPOINTS, *tables.COLUMNS, workdirs.WEIGHTS, workdirs.BEST)
    begun = [name for name in written if (workdir / name).exists()]
    if recorded is None and begun:
        raise ValueError(
            f"{workdir} is not the folder of a run: it holds {begun[0]} and no recipe.json. Pass a "
            "new folder as --workdir."
        )
    if recorded is None:
        return
    last = max(tables.last_step(workdir / name) for name in tables.COLUMNS)
    recorded_steps = [recorded[name]["step"] for name in ("weights", "best") if recorded.get(name)]
    why = difference(recipe, recorded["recipe"]) if begun or recorded_steps else None
    if why:
        raise ValueError(
            f"{workdir} holds another run: {why}. Pass a new folder as --workdir, or the value "
            "that it was started with."
        )
    if not workdirs.steps(workdir):
        _check_nothing_is_lost(workdir, max([*recorded_steps, last]))


def _check_nothing_is_lost(workdir: pathlib.Path, step: int) -> None:
    """Makes sure that no training from step 0 replaces the results of an earlier one."""
    newest, best = ((workdir / name).exists() for name in (workdirs.WEIGHTS, workdirs.BEST))
    if newest or best:
        how = "zoo.load" if newest else 'zoo.load(…, checkpoint="best")'
        raise ValueError(
            f"{workdir} holds the weights of step {step} and no checkpoint to resume from. Load "
            f"them with {how}, or pass a new folder as --workdir."
        )
    if step:
        raise ValueError(
            f"{workdir} holds the record of a run up to step {step} and no checkpoint to resume "
            "from. Pass a new folder as --workdir."
        )


def write_recipe(
    workdir: pathlib.Path,
    recipe: Recipe,
    spec: Spec,
    *,
    class_weights: tuple[float, ...] | None,
    data_dir: pathlib.Path | None,
    fingerprints: dict[str, str],
    strategy: tf.distribute.Strategy,
) -> None:
    """Writes recipe.json; adds an environment if the run is resumed in another one.

    Args:
        workdir: The folder of the run.
        recipe: Of the run.
        spec: What the model is.
        class_weights: Those that are computed when a run begins; None for a recipe with numbers.
        data_dir: The folder of the data set; None for the one in the workdir.
        fingerprints: The SHA-256 over each split's examples, by the split's name.
        strategy: The devices of this start.

    Raises:
        ValueError: The run was started with other examples.
    """
    recorded = workdirs.read_recipe(workdir) or {}
    begun = recorded.get("data", fingerprints)
    changed = [split for split in fingerprints if begun.get(split) != fingerprints[split]]
    if changed:
        raise ValueError(
            f"A run is resumed with the examples that it was started with; the split "
            f"{' and '.join(changed)} of --data {recipe.data} has changed since {workdir} was "
            "started. Restore the examples, or pass a new --workdir. (Pixels are compared: another "
            "version of Pillow may decode others.)"
        )
    environments = recorded.get("environments", [])
    now = environment(recipe.deterministic) | {
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
    }
    if environments and environments[-1] != now:
        _tell_changes(environments[-1], now)
    if not environments or environments[-1] != now:
        environments = [*environments, now]
    contents = {
        "recipe": dataclasses.asdict(recipe),
        "spec": spec.to_dict(),
        "data_dir": None if data_dir is None else str(data_dir.absolute()),
        "data": fingerprints,
        "class_weights": class_weights,
        "environments": environments,
        "weights": recorded.get("weights"),
        "best": recorded.get("best"),
    }
    _write_json(workdir, contents)


def _tell_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    changes = [
        f"{name} {before.get(name)} → {now[name]}" for name in now if before.get(name) != now[name]
    ]
    tell(
        f"the run is resumed with another {', '.join(changes)}: it may not end in the same bits as "
        "without the stop"
    )


def update(workdir: pathlib.Path, **entries: Any) -> None:
    """Replaces entries of recipe.json.

    Raises:
        OSError: It cannot be read or written, or is gone.
    """
    recorded = workdirs.read_recipe(workdir)
    if recorded is None:
        file = workdir / workdirs.RECIPE
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    _write_json(workdir, recorded | entries)


def _write_json(workdir: pathlib.Path, contents: dict[str, Any]) -> None:
    files.write_text(workdir / workdirs.RECIPE, json.dumps(contents, indent=2) + "\n")


def class_weights(workdir: pathlib.Path) -> tuple[float, ...] | None:
    """The class weights that were computed when the run began; None if it did not begin."""
    found = (workdirs.read_recipe(workdir) or {}).get("class_weights")
    return None if found is None else tuple(found)


def best_score(workdir: pathlib.Path, name: str) -> float:
    """The score of this name of the best weights that are recorded and there; −1 without them."""
    best = (workdirs.read_recipe(workdir) or {}).get("best") or {}
    return best.get(name, -1.0) if (workdir / workdirs.BEST).exists() else -1.0
