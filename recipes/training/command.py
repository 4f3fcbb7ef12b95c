"""The command line of a recipe: its fields, and where and on what to run."""

import argparse
import dataclasses
import json
import pathlib
import sys
import typing
from typing import Any

from recipes.training.recipe import Recipe, shown, toy


@dataclasses.dataclass(frozen=True)
class Command:
    """A parsed command line: the recipe as changed by it, and where and on what to run."""

    recipe: Recipe
    workdir: pathlib.Path
    data_dir: pathlib.Path | None
    strategy: str
    limit_steps: int | None


STRATEGIES = ("auto", "one", "mirrored", "workers")


def parse(recipe: Recipe, card: str, arguments: list[str] | None = None) -> Command:
    """Reads a command line; every field of the recipe is an option, its value the default.

    Args:
        recipe: The recipe as its file has it.
        card: The docstring of its file, shown by `--help`.
        arguments: Words of the command line; those of this program if None.

    Raises:
        RecipeError: A value breaks its field's rule.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if "--toy" in words:  # other options may change the toy in turn
        recipe = toy(recipe)
    parser = argparse.ArgumentParser(
        prog=f"python -m recipes.runs.{recipe.name}",
        description=card,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    where = parser.add_argument_group("where, and how much")
    where.add_argument(
        "--workdir",
        type=pathlib.Path,
        required=True,
        help="folder of this run; the same command goes on with a run that was stopped",
    )
    where.add_argument(
        "--data-dir", type=pathlib.Path, help="folder of the data set (default: WORKDIR/data)"
    )
    where.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="devices: one, mirrored (all GPUs), workers (those of TF_CONFIG), or what there is "
        "(default: auto)",
    )
    where.add_argument(
        "--limit-steps",
        type=_count,
        metavar="STEPS",
        help="stop after so many steps in all, and save; the same command without it goes on",
    )
    where.add_argument(
        "--toy", action="store_true", help="a tiny model and few steps: does it all fit together?"
    )
    what = parser.add_argument_group("what: this recipe, and what you change of it")
    types = typing.get_type_hints(Recipe)
    fields = [field for field in dataclasses.fields(Recipe) if field.name != "name"]
    for field in fields:
        flag, value = "--" + field.name.replace("_", "-"), getattr(recipe, field.name)
        text = field.metadata["help"].replace("%", "%%")
        if types[field.name] is bool:
            what.add_argument(flag, action=argparse.BooleanOptionalAction, default=value, help=text)
            continue
        default = shown(value).replace("%", "%%") or "none"
        what.add_argument(
            flag,
            type=_READERS.get(types[field.name], types[field.name]),
            default=value,
            metavar=field.name.rpartition("_")[2].upper(),
            help=f"{text} (default: {default})",
        )
    options = vars(parser.parse_args(words))
    del options["toy"]
    changed = {field.name: options.pop(field.name) for field in fields}
    return Command(recipe=dataclasses.replace(recipe, **changed), **options)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {text!r} ({error})") from error


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of steps is at least 1; received {text!r}")
    return int(text)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not numbers with commas between: {text!r}") from error


_READERS = {
    dict[str, Any]: _json,
    tuple[str, ...]: lambda text: tuple(part for part in text.split(",") if part),
    tuple[float, ...]: _numbers,
}
