"""Rows of results.csv: what the recipes have reached."""

import csv
import datetime
import importlib
import pathlib
from typing import Any

from recipes import data, scoring
from recipes.training import records
from recipes.training.recipe import RecipeError, difference

RESULTS = pathlib.Path(__file__).parents[2] / "docs" / "results.csv"
COLUMNS = (
    *("recipe", "model", "data", "split"),
    *scoring.SCORES,
    *("steps", "hardware", "minutes", "versions", "date"),
)


def check(recorded: dict[str, Any]) -> None:
    """A row bears a recipe's name, and must be of that recipe as its file has it.

    Raises:
        RecipeError: The run of this recipe.json has other options, or is not at its end.
    """
    name = recorded["recipe"]["name"]
    module = importlib.import_module(f"recipes.runs.{name}")
    changed = difference(module.RECIPE, recorded["recipe"])
    if changed:
        raise RecipeError(
            "A row of results.csv is of a recipe without other options. This run is not that of "
            f"python -m recipes.runs.{name}: {changed}. Train without options, or change "
            "the recipe."
        )
    if not recorded["weights"]:
        raise RecipeError(
            f"A row of results.csv is of a run that is at its end. Run "
            f"python -m recipes.runs.{name} until it has written its trained weights."
        )


def add(recorded: dict[str, Any], dataset: data.Dataset, scores: dict[str, Any]) -> None:
    """Adds the row of a run: of its recipe.json, and of the scores of its trained weights."""
    environment = recorded["environments"][-1]
    row = {
        "recipe": recorded["recipe"]["name"],
        "model": recorded["recipe"]["model"],
        "data": dataset.name,
        "split": dataset.split,
        **{name: f"{scores[name]:.4f}" for name in scoring.SCORES},
        "steps": recorded["weights"]["step"],
        "hardware": environment["hardware"],
        "minutes": recorded["weights"]["minutes"],
        "versions": f"tensorflow {environment['tensorflow']}, keras {environment['keras']}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    rows = []
    if RESULTS.exists():
        with open(RESULTS, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    records.replace_csv(RESULTS, COLUMNS, [*rows, row])
