"""A recipe is data: a frozen dataclass whose fields are the command line."""

import argparse
import dataclasses
import json
import pathlib
import typing
from typing import Any

from recipes.data import NAMES


class RecipeError(Exception):
    """What stops a run, and what its user can do about it."""


def _field(help: str, *, default: Any = dataclasses.MISSING, **rules: Any) -> Any:
    """A field with its help; the rules are `choices`, `least` (smallest value) and `free`.

    A free field changes no number of the run: a run may go on with another value.
    """
    return dataclasses.field(default=default, metadata={"help": help, **rules})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the numbers of a training run.

    Example:

    ```python
    RECIPE = Recipe(model="unet", data="coins", steps=300, batch_size=4, learning_rate=1e-3)
    ```

    Raises:
        RecipeError: A value breaks its field's rule.
    """

    model: str = _field("the zoo's name of the model")
    options: dict[str, Any] = dataclasses.field(
        default_factory=dict, metadata={"help": "the model's options, as JSON"}
    )
    data: str = _field("the data set: " + ", ".join(NAMES))
    steps: int = _field("training steps", least=1)
    batch_size: int = _field("images of one batch, over all replicas", least=1)
    crop: int = _field("height and width of random crops; 0: whole images", default=0, least=0)
    augment: tuple[str, ...] = _field(
        "random changes, separated by commas",
        default=(),
        choices=("scale", "elastic", "flip", "turn", "light", "colour"),
    )
    accumulate: int = _field(
        "batches whose mean gradient makes one step (Caffe's iter_size)", default=1, least=1
    )
    optimizer: str = _field(
        "adam, adamw, or sgd, which is Caffe's with the fields below",
        default="adam",
        choices=("adam", "adamw", "sgd"),
    )
    learning_rate: float = _field("the optimizer's learning rate")
    momentum: float = _field("the momentum of sgd", default=0.9, least=0)
    bias_rate: float = _field("multiplies the learning rate of biases in sgd", default=1, least=0)
    weight_decay: float = _field("of sgd and adamw", default=0, least=0)
    decay_bias: bool = _field("apply the weight decay to biases too", default=False)
    schedule: str = _field(
        "constant; cosine or polynomial (power 0.9): to zero over the steps; step: times 0.1 "
        "every --step-size steps",
        default="constant",
        choices=("constant", "cosine", "polynomial", "step"),
    )
    step_size: int = _field("steps at one rate in the schedule step", default=0, least=0)
    reduction: str = _field(
        "mean over the labelled pixels of a step, or their sum for each image",
        default="mean",
        choices=("mean", "sum"),
    )
    precision: str = _field(
        "what layers compute in; weights stay float32",
        default="float32",
        choices=("float32", "mixed_bfloat16"),
    )
    seed: int = _field("of weights, dropout, order and augmentation", default=0, least=0)
    deterministic: bool = _field("use only operations that repeat to the bit", default=True)
    log_every: int = _field("steps between rows of log.csv", default=20, least=1, free=True)
    save_every: int = _field("steps between checkpoints", default=200, least=1, free=True)
    validate_every: int = _field(
        "steps between scores on the held-out split; 0: never", default=0, least=0, free=True
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        if (self.schedule == "step") != (self.step_size > 0):
            raise RecipeError(
                f"--step-size belongs to --schedule step; received --schedule {self.schedule} "
                f"--step-size {self.step_size}. Pass both, or neither."
            )
        if self.optimizer == "adam" and self.weight_decay:
            raise RecipeError(
                f"--optimizer adam has no weight decay; received --weight-decay "
                f"{self.weight_decay:g}. Pass --optimizer adamw."
            )
        if not self.crop and self.batch_size > 1:
            raise RecipeError(
                f"Whole images may differ in size, so that --crop 0 takes one in a batch; received "
                f"--batch-size {self.batch_size}. Pass --batch-size 1, and several to --accumulate "
                "to make one step, or a size to --crop."
            )

    @property
    def name(self) -> str:
        """The recipe's name, `DATA_MODEL`."""
        return f"{self.data}_{self.model}"


@dataclasses.dataclass(frozen=True)
class Command:
    """A parsed command line: the recipe as changed by it, and where and on what to run."""

    recipe: Recipe
    workdir: pathlib.Path
    data_dir: pathlib.Path | None
    strategy: str


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
    parser = argparse.ArgumentParser(
        prog=f"python -m recipes.{recipe.name}",
        description=card,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_argument_group("where")
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
    what = parser.add_argument_group("what: this recipe, and what you change of it")
    types = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        flag, value = "--" + field.name.replace("_", "-"), getattr(recipe, field.name)
        text = field.metadata["help"].replace("%", "%%")
        if types[field.name] is bool:
            what.add_argument(flag, action=argparse.BooleanOptionalAction, default=value, help=text)
            continue
        shown = _show(value).replace("%", "%%") or "none"
        what.add_argument(
            flag,
            type=_READERS.get(types[field.name], types[field.name]),
            default=value,
            metavar=field.name.rpartition("_")[2].upper(),
            help=f"{text} (default: {shown})",
        )
    options = vars(parser.parse_args(arguments))
    changed = {field.name: options.pop(field.name) for field in dataclasses.fields(Recipe)}
    return Command(recipe=Recipe(**changed), **options)


def difference(recipe: Recipe, recorded: dict[str, Any]) -> str | None:
    """Why a run recorded with other fields is another run; None where it may go on.

    A constant learning rate may go on to more steps. A schedule is a function of the number of
    steps: with more of them, every step so far would have been another.
    """
    for field in dataclasses.fields(Recipe):
        value = json.loads(json.dumps(getattr(recipe, field.name)))
        before = recorded.get(field.name, "not recorded")
        if value == before or field.metadata.get("free"):
            continue
        flag = "--" + field.name.replace("_", "-")
        if field.name == "steps" and isinstance(before, int) and value > before:
            if recipe.schedule == "constant":
                continue
            return (
                f"it was started with {flag} {before}, and this command has {flag} {value}: only "
                "a constant learning rate can go on to more steps, and this run's schedule is "
                f"{recipe.schedule}"
            )
        return (
            f"it was started with {flag} {_show(before)}, and this command has "
            f"{flag} {_show(value)}"
        )
    return None


def _check(field: dataclasses.Field, value: Any) -> None:
    flag, rules = "--" + field.name.replace("_", "-"), field.metadata
    choices, least = rules.get("choices"), rules.get("least")
    if choices:
        wrong = [
            one for one in (value if isinstance(value, tuple) else [value]) if one not in choices
        ]
        if wrong:
            raise RecipeError(
                f"{flag} takes {', '.join(choices)}; received {wrong[0]!r}. Pass {flag} "
                f"{choices[0]}."
            )
    if least is not None and not value >= least:
        raise RecipeError(f"{flag} is at least {least}; received {value}. Pass {flag} {least}.")
    if field.name == "learning_rate" and not 0 < value < float("inf"):
        raise RecipeError(f"{flag} is above 0; received {value}. Pass {flag} 0.001.")
    if field.name == "options" and not isinstance(value, dict):
        raise RecipeError(
            f"{flag} takes a JSON object; received {value!r}. Pass {flag} '{{\"depth\": 3}}'."
        )


def _show(value: Any) -> str:
    """A value as it stands on the command line."""
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    return ",".join(value) if isinstance(value, list | tuple) else str(value)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {text!r} ({error})") from error


_READERS = {
    dict[str, Any]: _json,
    tuple[str, ...]: lambda text: tuple(part for part in text.split(",") if part),
}
