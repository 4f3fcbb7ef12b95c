"""The command line of `zoo train`: the fields of a recipe, and where and on what to run."""

import argparse
import dataclasses
import math
import pathlib
import typing
from collections.abc import Callable
from typing import Any

from recipes import data, runs
from recipes.training.recipe import Recipe, read, toy
from recipes.training.rules import BALANCED, shown
from zoo import workdir as workdirs
from zoo.terminal import Parser, counted, json_object, positive, tell

STRATEGIES = ("auto", "one", "mirrored", "workers")

_EXAMPLE = "coins_unet"  # trains in a minute, and needs no files
_GENERAL = """\
Trains a run: a model on a data set. Runs are listed by zoo train --list; zoo train NAME --help
shows the card of one with its defaults. Every option changes the recipe of a new run. The same
command resumes a run that was stopped, and so does zoo train --workdir WORKDIR."""


@dataclasses.dataclass(frozen=True)
class Command:
    """What a command line asks for: the recipe, and where and on what to run."""

    recipe: Recipe
    workdir: pathlib.Path
    data_dir: pathlib.Path | None
    strategy: str
    limit_steps: int | None


def parse(words: list[str]) -> argparse.Namespace:
    """Reads a command line; has an attribute for each field of a recipe that was given."""
    parser = _parser()
    given = parser.parse_args(words)
    if words and not (given.workdir or given.help or given.list):
        name = given.name or "NAME"
        parser.error(f"a run has a folder: zoo train {name} --workdir runs/{name}")
    return given


def help_text(name: str | None) -> str:
    """The help of `zoo train`, or with a name the card and the defaults of that run.

    Raises:
        ValueError: No run has this name.
    """
    return (_parser(runs.find(name), runs.card(name)) if name else _parser()).format_help()


def list_text() -> str:
    """A line for each run, and how to train one."""
    names = runs.names()
    width = max(map(len, names))
    lines = [f"{name:<{width}}  {runs.card(name).partition(chr(10))[0]}" for name in names]
    return "\n".join(
        [
            *lines,
            "",
            f"Train:    zoo train {_EXAMPLE} --workdir runs/{_EXAMPLE}",
            f"Options:  zoo train {_EXAMPLE} --help",
            f"Score:    zoo evaluate runs/{_EXAMPLE}",
        ]
    )


def command(given: argparse.Namespace) -> Command:
    """The command of a new run, or of one that the workdir holds.

    A run that has begun is resumed with its recorded recipe and data folder; the options that are
    given are compared with it later, by `recipes.training.records.check_workdir`.

    Raises:
        ValueError: The workdir holds no run and no name is given, or it holds another run; the
            name or a value is wrong. With --epochs also: the data set cannot be found.
    """
    fields = {field.name for field in dataclasses.fields(Recipe)} - {"name"}
    changes = {name: value for name, value in vars(given).items() if name in fields}
    recorded = workdirs.read_recipe(given.workdir)
    if recorded is not None and (given.name is None or workdirs.steps(given.workdir)):
        recipe = _resumed(given, changes, read(recorded["recipe"]))
        data_dir = given.data_dir or recorded.get("data_dir")
    elif given.name is None:
        raise ValueError(
            f"zoo train --workdir resumes a run; {given.workdir} holds none. Give the name of a "
            "run too, or check the path. zoo train --list lists the runs."
        )
    else:
        recipe = runs.find(given.name)
        recipe = dataclasses.replace(toy(recipe) if given.toy else recipe, **changes)
        data_dir = given.data_dir
    data_dir = None if data_dir is None else pathlib.Path(data_dir)
    if given.epochs is not None:
        if "steps" in changes:
            raise ValueError(
                f"--steps and --epochs both say how long a run trains; received --steps "
                f"{given.steps} and --epochs {given.epochs}. Leave one out."
            )
        recipe = _of_epochs(recipe, given.epochs, data_dir or given.workdir / "data")
    return Command(
        recipe=recipe,
        workdir=given.workdir,
        data_dir=data_dir,
        strategy=given.strategy,
        limit_steps=given.limit_steps,
    )


def _of_epochs(recipe: Recipe, epochs: int, data_dir: pathlib.Path) -> Recipe:
    """The recipe with the steps that see the training examples so often; a step is not divided."""
    examples = len(
        data.load(recipe.data, data_dir, channels=recipe.channels, fold=recipe.fold)["train"]
    )
    images = recipe.batch_size * recipe.accumulate
    steps = epochs * math.ceil(examples / images)
    tell(
        f"{counted(epochs, 'epoch')} of {counted(examples, 'example')}, "
        f"{counted(images, 'image')} a step: {counted(steps, 'step')}"
    )
    return dataclasses.replace(recipe, steps=steps)


def _resumed(given: argparse.Namespace, changes: dict[str, Any], recorded: Recipe) -> Recipe:
    if given.name not in (None, recorded.name):
        raise ValueError(
            f"{given.workdir} holds the run {recorded.name}; received the name {given.name}. Leave "
            "the name out to resume it, or pass a new folder as --workdir."
        )
    if given.toy and "options" not in changes and toy(recorded).options != recorded.options:
        raise ValueError(
            f"{given.workdir} holds a run that was started without --toy. Leave --toy out to "
            "resume it, or pass a new folder as --workdir."
        )
    return dataclasses.replace(recorded, **changes)


def _parser(recipe: Recipe | None = None, card: str = _GENERAL) -> Parser:
    """Options that are not given are left out of the result; the recipe's are in the help."""
    parser = Parser(
        prog="zoo train",
        usage=f"zoo train {recipe.name if recipe else 'NAME'} --workdir WORKDIR [options]\n"
        "       zoo train --workdir WORKDIR\n       zoo train --list",
        description=card,
        add_help=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of a run, such as coins_unet")
    parser.add_argument("--help", "-h", action="store_true", help="show this; with NAME its card")
    parser.add_argument("--list", action="store_true", help="list the runs")
    where = parser.add_argument_group("where and how long")
    where.add_argument(
        "--workdir",
        type=pathlib.Path,
        help="folder of the run: a new one, or that of a run that was stopped",
    )
    where.add_argument(
        "--data-dir",
        type=pathlib.Path,
        help="folder of the data set (default: that of the run, or WORKDIR/data)",
    )
    where.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="devices: one, mirrored (all GPUs), workers (those of TF_CONFIG), or auto for all "
        "there are (default: auto)",
    )
    where.add_argument(
        "--limit-steps",
        type=positive,
        metavar="STEPS",
        help="stop at this step and save; the same command without it goes on",
    )
    where.add_argument(
        "--epochs",
        type=positive,
        help="in the place of --steps: so many times as many steps as it takes to see as many "
        "images as the training split has; recorded as --steps",
    )
    where.add_argument(
        "--toy", action="store_true", help="a tiny model and few steps, to try everything once"
    )
    what = parser.add_argument_group("the recipe")
    types = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        if field.name != "name":
            _add_field(what, field, types[field.name], recipe)
    return parser


def _add_field(
    group: argparse._ArgumentGroup, field: dataclasses.Field, kind: type, recipe: Recipe | None
) -> None:
    text = field.metadata["help"]
    if recipe is not None:
        value = getattr(recipe, field.name)
        default = ("yes" if value else "no") if kind is bool else shown(value)
        text = f"{text} (default: {default})"
    text = text.replace("%", "%%")
    flag, absent = "--" + field.name.replace("_", "-"), argparse.SUPPRESS
    if kind is bool:
        action = argparse.BooleanOptionalAction
        group.add_argument(flag, action=action, default=absent, help=text)
    else:
        reader = _READERS.get(kind, kind)
        metavar = field.name.rpartition("_")[2].upper()
        group.add_argument(flag, type=reader, default=absent, metavar=metavar, help=text)


def _text(text: str) -> str:
    return "" if text == "none" else text


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in _text(text).split(",") if part)


def _weights(text: str) -> tuple[float, ...] | str:
    if text == BALANCED:
        return text
    try:
        return tuple(map(float, _parts(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"takes numbers separated by commas, or {BALANCED}; received {text!r}. Pass, for "
            "example, 1,2.5."
        ) from error


_READERS: dict[type, Callable[[str], Any]] = {
    dict[str, Any]: json_object,
    str: _text,
    tuple[str, ...]: _parts,
    tuple[float, ...] | str: _weights,
}
