"""`python -m recipes.evaluate`: the scores of a run, of a SavedModel or of a TFLite file.

Every image of the split is scored whole, and all its pixels go into one confusion matrix.
"""

import zoo.weights  # isort: skip  # first: it keeps the terminal free of TensorFlow's start

import argparse
import csv
import dataclasses
import datetime
import importlib
import json
import math
import pathlib
import sys
from typing import Any

import keras

from recipes import data, records, scoring
from recipes.recipe import RecipeError, difference, read
from recipes.train import build

RESULTS = pathlib.Path(__file__).parent / "results.csv"
SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
COLUMNS = (
    *("recipe", "model", "data", "split"),
    *SCORES,
    *("steps", "hardware", "minutes", "versions", "date"),
)


def load_model(workdir: pathlib.Path, dataset: data.Dataset) -> keras.Model:
    """The trained model of a run.

    Raises:
        RecipeError: The run has no trained weights yet, or the file is damaged.
    """
    recorded, weights = _recorded(workdir), workdir / records.WEIGHTS
    name = recorded["recipe"]["name"]
    if not weights.exists():
        raise RecipeError(
            f"{workdir} holds no trained weights yet: {weights.name} comes with the last step. "
            f"Run python -m recipes.{name} --workdir {workdir} to its end."
        )
    if not zoo.weights.is_whole(weights):
        raise RecipeError(
            f"{weights} is not the file that {weights.name}.sha256 was written for. Run "
            f"python -m recipes.{name} --workdir {workdir} again, which writes both "
            "from the last checkpoint."
        )
    options = {**recorded["recipe"]["options"], "weights": str(weights)}
    recipe = dataclasses.replace(read(recorded["recipe"]), options=options, encoder_weights="")
    return build(recipe, dataset)


def main(arguments: list[str] | None = None) -> int:
    """Prints the scores; with --record also adds them to results.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--workdir", type=pathlib.Path, help="folder of a run")
    what.add_argument("--saved-model", type=pathlib.Path, help="folder with a saved_model.pb")
    what.add_argument("--tflite", type=pathlib.Path, help="a TFLite file")
    parser.add_argument("--data", choices=data.NAMES, help="the data set (default: the run's)")
    parser.add_argument("--data-dir", type=pathlib.Path, help="its folder (default: the run's)")
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--record", action="store_true", help=f"add the scores of a run to {RESULTS.name}"
    )
    options = parser.parse_args(arguments)
    try:
        _evaluate(options)
    except (RecipeError, data.DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def show(scores: dict[str, dict[str, Any]], class_names: tuple[str, ...]) -> str:
    """A table: a column for each answer, a row for each score and for the IU of each class."""
    rows = {name: [columns[name] for columns in scores.values()] for name in SCORES}
    for index, name in enumerate(class_names):
        rows[f"iou {name}"] = [columns["iou_per_class"][index] for columns in scores.values()]
    first = max(map(len, rows))
    widths = [max(8, len(name)) for name in scores]
    lines = ["  ".join([" " * first, *(f"{n:>{w}}" for n, w in zip(scores, widths, strict=True))])]
    for name, values in rows.items():
        cells = (f"{value:>{w}.4f}" for value, w in zip(values, widths, strict=True))
        lines.append("  ".join([f"{name:<{first}}", *cells]))
    return "\n".join(lines)


def _evaluate(options: argparse.Namespace) -> None:
    recorded = _recorded(options.workdir) if options.workdir else {}
    name = options.data or recorded.get("recipe", {}).get("data")
    if name is None:
        raise RecipeError(
            "An exported model does not know its data set. Pass --data, one of "
            f"{', '.join(data.NAMES)}."
        )
    if options.record:
        _check_recordable(recorded)
    data_dir = (
        options.data_dir or recorded.get("data_dir") or pathlib.Path(options.workdir or ".", "data")
    )
    dataset = data.load(name, data_dir)[options.split]
    if options.workdir:
        answer = scoring.of_model(load_model(options.workdir, dataset))
    elif options.saved_model:
        answer = scoring.of_saved_model(options.saved_model)
    else:
        answer = scoring.of_tflite(options.tflite)
    scores = scoring.measure(answer, dataset)
    if options.json:
        print(json.dumps(_as_json(dataset, scores), indent=2))
    else:
        print(f"{dataset.name}, split {dataset.split}, {len(dataset)} images")
        print(show({"score": scores}, dataset.class_names))
    if options.record:
        record(recorded, dataset, scores)
        print(f"added to {RESULTS}")


def _as_json(dataset: data.Dataset, scores: dict[str, Any]) -> dict[str, Any]:
    """The scores by name; null for a class that neither occurs nor is answered."""
    per_class = zip(dataset.class_names, scores["iou_per_class"], strict=True)
    return {
        "data": dataset.name,
        "split": dataset.split,
        "images": len(dataset),
        **{name: float(scores[name]) for name in SCORES},
        "iou_per_class": {name: None if math.isnan(iou) else float(iou) for name, iou in per_class},
    }


def record(recorded: dict[str, Any], dataset: data.Dataset, scores: dict[str, Any]) -> None:
    """Adds a row to results.csv."""
    environment = recorded["environments"][-1]
    row = {
        "recipe": recorded["recipe"]["name"],
        "model": recorded["recipe"]["model"],
        "data": dataset.name,
        "split": dataset.split,
        **{name: f"{scores[name]:.4f}" for name in SCORES},
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


def _check_recordable(recorded: dict[str, Any]) -> None:
    """A row bears a recipe's name, and must be of that recipe as its file has it."""
    if not recorded:
        raise RecipeError("A row of results.csv is of a run. Pass its folder as --workdir.")
    name = recorded["recipe"]["name"]
    module = importlib.import_module(f"recipes.{name}")
    changed = difference(module.RECIPE, recorded["recipe"])
    if changed:
        raise RecipeError(
            "A row of results.csv is of a recipe without other options. This run is not that of "
            f"python -m recipes.{name}: {changed}. Train without options, or change "
            "the recipe."
        )


def _recorded(workdir: pathlib.Path) -> dict[str, Any]:
    recorded = records.read_recipe(workdir)
    if recorded is None:
        raise RecipeError(
            f"{workdir} is not the folder of a run: it holds no recipe.json. Pass what was the "
            "--workdir of a recipe."
        )
    return recorded


if __name__ == "__main__":
    sys.exit(main())
