"""Rows of docs/results.csv: what the runs have reached."""

import csv
import datetime
import pathlib
from collections.abc import Sequence
from typing import Any

from recipes import runs, scoring
from recipes.data import Dataset
from recipes.training import environment, tables
from recipes.training.recipe import difference
from zoo import workdir as workdirs

COLUMNS = (
    *("recipe", "model", "data", "split"),
    *scoring.SCORES,
    *("steps", "seed", "hardware", "minutes", "memory_gb", "versions", "date", "class_ious"),
)

_TOLD = ("seed", "hardware", "tensorflow", "keras", "minutes", "memory_gb")
"""What a row takes from recipe.json."""


def results_file() -> pathlib.Path:
    """docs/results.csv of the clone.

    Raises:
        ValueError: The package is installed and is not a clone.
    """
    root = environment.checkout()
    if root is None:
        raise ValueError(
            "--record adds to docs/results.csv in a clone of segmentation-zoo; this package is "
            "installed without one. Run the command in a clone, or leave --record out."
        )
    return root / "docs" / "results.csv"


def check(paths: Sequence[pathlib.Path], checkpoint: str | None) -> None:
    """Checks that the first path can be recorded: a finished run of a recipe, with any seed.

    Raises:
        ValueError: It cannot.
    """
    results_file()
    recorded = workdirs.read_recipe(paths[0]) if paths[0].is_dir() else None
    if checkpoint is not None or recorded is None:
        raise ValueError(
            "A row of results.csv is that of the trained weights of a run. Give its workdir as the "
            "first path, without --checkpoint."
        )
    name = recorded["recipe"]["name"]
    recipe = runs.find(name)
    changed = difference(recipe, recorded["recipe"] | {"seed": recipe.seed})
    if changed:
        raise ValueError(
            f"A row of results.csv is that of a recipe without other options than --seed; "
            f"{paths[0]} is not that of zoo train {name}: {changed}. Train without options, or "
            "change the recipe."
        )
    weights = recorded.get("weights") or {}
    if weights.get("step") != recorded["recipe"]["steps"]:
        raise ValueError(
            f"A row of results.csv is that of a finished run; {paths[0]} has weights of step "
            f"{weights.get('step', 0)} of {recorded['recipe']['steps']}. Run zoo train --workdir "
            f"{paths[0]}{' --patience 0' if recorded['recipe'].get('patience') else ''} first."
        )
    told = {**(recorded.get("environments") or [{}])[-1], **weights}
    told["seed"] = recorded["recipe"].get("seed")
    missing = [name for name in _TOLD if not isinstance(told.get(name), str | int | float)]
    if missing:
        raise ValueError(
            f"A row of results.csv tells on what a run was trained; {paths[0] / workdirs.RECIPE} "
            f"has no {', '.join(missing)}. Train again in a new folder, or leave --record out."
        )


def add(workdir: pathlib.Path, dataset: Dataset, scores: dict[str, Any]) -> pathlib.Path:
    """Adds a row with the scores of a run's trained weights; returns the file."""
    recorded = workdirs.read_recipe(workdir)
    started = recorded["environments"][-1]
    row = {
        "recipe": recorded["recipe"]["name"],
        "model": recorded["recipe"]["model"],
        "steps": recorded["weights"]["step"],
        "seed": recorded["recipe"]["seed"],
        "hardware": started["hardware"],
        "minutes": recorded["weights"]["minutes"],
        "memory_gb": recorded["weights"]["memory_gb"],
        "versions": f"tensorflow {started['tensorflow']}, keras {started['keras']}",
    }
    return _write(row, dataset, scores)


def add_baseline(name: str, dataset: Dataset, scores: dict[str, Any]) -> pathlib.Path:
    """Writes the row of a baseline, which has no model, in the place of an older one."""
    return _write({"recipe": name, "model": ""}, dataset, scores)


def _write(row: dict[str, Any], dataset: Dataset, scores: dict[str, Any]) -> pathlib.Path:
    """Adds a row with scores to the file, one without a model in the place of the older one."""
    file = results_file()
    row |= {
        "data": dataset.name,
        "split": dataset.split,
        **{name: f"{scores[name]:.4f}" for name in scoring.SCORES},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "class_ious": "; ".join(
            f"{name} {iou:.4f}"
            for name, iou in zip(dataset.class_names, scores["iou_per_class"], strict=True)
        ),
    }
    rows = []
    if file.exists():
        with open(file, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    if not row["model"]:
        same = {name: row[name] for name in ("recipe", "model", "data", "split")}
        rows = [other for other in rows if not same.items() <= other.items()]
    tables.replace_csv(file, COLUMNS, [*rows, row])
    return file
