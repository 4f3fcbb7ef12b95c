"""`python -m recipes.evaluation.evaluate`: scores of weights, checkpoints and exported files.

    --workdir W                        the trained weights of a run
    --workdir W --checkpoint newest    a checkpoint of a run that still trains, or its step
    --model NAME --weights FILE        any file of weights that the zoo reads
    --saved-model FOLDER               an exported version
    --tflite FILE                      an exported file; an image of another size is scaled to it
                                       (bilinear), and its class map back (nearest neighbour)

Each that is given is a column of the table. Every image of the split is scored whole, at the size
of its label, and all its pixels go into one confusion matrix.

With --json an object is printed instead, and progress goes to the standard error:

    data, split, images    the data set's name, "train" or "val", and the number of images
    scores                 for each column, by the name of its option ("workdir", "saved_model", …):
        file               the file or folder
        pixel_accuracy, mean_accuracy, mean_iou, frequency_weighted_iou
        iou_per_class      for each class, by its name

A score is a number from 0 to 1, or null where there is no pixel to count.
"""

import zoo  # isort: skip  # first: it keeps the terminal free of TensorFlow's start

import argparse
import contextlib
import json
import math
import pathlib
import signal
import sys
from typing import Any

from recipes import data, scoring
from recipes.evaluation import results, trained
from recipes.training.recipe import RecipeError


def main(arguments: list[str] | None = None) -> int:
    """Prints the scores; with --record also adds them to results.csv."""
    try:
        _evaluate(_parser().parse_args(arguments))
    except (RecipeError, data.DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"error: {error.filename} cannot be read or written ({error.strerror or error}). Pass "
            "another, or see to its permissions.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def show(scores: dict[str, dict[str, Any]], class_names: tuple[str, ...]) -> str:
    """A table: a column for each answer, a row for each score and for the IU of each class."""
    rows = {name: [columns[name] for columns in scores.values()] for name in scoring.SCORES}
    for index, name in enumerate(class_names):
        rows[f"iou {name}"] = [columns["iou_per_class"][index] for columns in scores.values()]
    first = max(map(len, rows))
    widths = [max(8, len(name)) for name in scores]
    lines = ["  ".join([" " * first, *(f"{n:>{w}}" for n, w in zip(scores, widths, strict=True))])]
    for name, values in rows.items():
        cells = (f"{value:>{w}.4f}" for value, w in zip(values, widths, strict=True))
        lines.append("  ".join([f"{name:<{first}}", *cells]))
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m recipes.evaluation.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is scored")
    what.add_argument("--workdir", type=pathlib.Path, help="folder of a run")
    what.add_argument("--checkpoint", metavar="STEP", help="of the run; or newest")
    what.add_argument("--weights", type=pathlib.Path, help="file of the weights of --model")
    what.add_argument("--model", help="its name in the zoo")
    what.add_argument("--options", type=_options, default={}, help="those of --model, as JSON")
    what.add_argument("--saved-model", type=pathlib.Path, help="folder with a saved_model.pb")
    what.add_argument("--tflite", type=pathlib.Path, help="a TFLite file")
    where = parser.add_argument_group("on what, and how it is told")
    where.add_argument(
        "--data",
        choices=data.NAMES,
        metavar="NAME",
        help=f"the data set (default: the run's): {', '.join(data.NAMES)}",
    )
    where.add_argument(
        "--data-dir", type=pathlib.Path, help="its folder (default: the run's, or else data)"
    )
    where.add_argument("--split", choices=("train", "val"), default="val")
    where.add_argument("--json", action="store_true", help="print JSON instead of a table")
    where.add_argument(
        "--record", action="store_true", help=f"add the scores of a run to {results.RESULTS.name}"
    )
    return parser


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        options = error
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError(
            f"a JSON object of options and values, such as '{{\"filters\": 16}}'; received {text!r}"
        )
    return options


def _evaluate(options: argparse.Namespace) -> None:
    recorded = trained.recorded(options.workdir) if options.workdir else {}
    _check(options, recorded)
    # Whoever reads the JSON wants nothing else on the standard output.
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        dataset = _dataset(options, recorded)
        answers = _answers(options, dataset)
        scores = {}
        for name, (file, predict) in answers.items():
            print(f"{name}: {file}", flush=True)
            scores[name] = scoring.measure(predict, dataset)
    if options.json:
        found = {
            name: {"file": str(file), **_as_json(scores[name], dataset.class_names)}
            for name, (file, _) in answers.items()
        }
        about = {"data": dataset.name, "split": dataset.split, "images": len(dataset)}
        print(json.dumps({**about, "scores": found}, indent=2))
    else:
        print(f"{dataset.name}, split {dataset.split}, {len(dataset)} images")
        print(show(scores, dataset.class_names))
    if options.record:
        results.add(recorded, dataset, scores["workdir"])
        print(f"added to {results.RESULTS}", file=sys.stderr)


def _check(options: argparse.Namespace, recorded: dict[str, Any]) -> None:
    """Whether the options go together."""
    if not (options.workdir or options.weights or options.saved_model or options.tflite):
        raise RecipeError(
            "There is nothing to score. Pass --workdir, --weights with --model, --saved-model or "
            "--tflite."
        )
    if bool(options.weights) != bool(options.model):
        raise RecipeError(
            "--weights is a file, and --model the name of its model in the zoo, one of "
            f"{', '.join(zoo.list_models())}; received one of the two. Pass both."
        )
    if options.options and not options.model:
        raise RecipeError("--options are those of --model; there is none. Leave them out.")
    if options.checkpoint and not options.workdir:
        raise RecipeError("--checkpoint is one of a run. Pass the folder of the run as --workdir.")
    if options.record:
        if options.checkpoint or not options.workdir:
            raise RecipeError(
                "A row of results.csv is of the trained weights of a run. Pass its folder as "
                "--workdir, without --checkpoint."
            )
        results.check(recorded)


def _dataset(options: argparse.Namespace, recorded: dict[str, Any]) -> data.Dataset:
    name = options.data or recorded.get("recipe", {}).get("data")
    if name is None:
        raise RecipeError(
            "Weights and exported files do not tell their data set. Pass --data, one of "
            f"{', '.join(data.NAMES)}."
        )
    folder = options.data_dir or recorded.get("data_dir")
    return data.load(name, folder or pathlib.Path(options.workdir or ".", "data"))[options.split]


def _answers(
    options: argparse.Namespace, dataset: data.Dataset
) -> dict[str, tuple[pathlib.Path, scoring.Predictor]]:
    """What is scored, by the name of its option: its file, and what says the classes."""
    answers = {}
    if options.workdir and options.checkpoint:
        file, model = trained.of_checkpoint(options.workdir, options.checkpoint, dataset)
        answers["checkpoint"] = file, scoring.of_model(model)
    elif options.workdir:
        file, model = trained.of_run(options.workdir, dataset)
        answers["workdir"] = file, scoring.of_model(model)
    if options.weights:
        model = trained.of_file(options.weights, options.model, options.options, dataset)
        answers["weights"] = options.weights, scoring.of_model(model)
    if options.saved_model:
        predict = scoring.of_saved_model(options.saved_model, dataset)
        answers["saved_model"] = options.saved_model, predict
    if options.tflite:
        answers["tflite"] = options.tflite, scoring.of_tflite(options.tflite, dataset)
    return answers


def _as_json(scores: dict[str, Any], class_names: tuple[str, ...]) -> dict[str, Any]:
    per_class = dict(zip(class_names, map(_number, scores["iou_per_class"]), strict=True))
    return {name: _number(scores[name]) for name in scoring.SCORES} | {"iou_per_class": per_class}


def _number(score: float) -> float | None:
    return None if math.isnan(score) else float(score)


if __name__ == "__main__":
    sys.exit(main())
