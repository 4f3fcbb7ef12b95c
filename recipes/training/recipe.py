"""A recipe is data: a frozen dataclass."""

import dataclasses
import json
from typing import Any

from recipes.data import NAMES, SETS


class RunError(Exception):
    """A run failed on the way, by no fault of its command; the message says what to do."""


def _field(help: str, *, default: Any = dataclasses.MISSING, **rules: Any) -> Any:
    """A field with its help text and its rules: `choices`, `least`, `most` and `free`.

    A free field changes no number of the run: a run can be resumed with another value.
    """
    return dataclasses.field(default=default, metadata={"help": help, **rules})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the numbers of a training run.

    Example:

    ```python
    RECIPE = Recipe(
        model="unet", data="coins", steps=300, batch_size=4, crop=64, learning_rate=1e-3
    )
    ```

    Raises:
        ValueError: A value breaks its field's rule.
    """

    name: str = ""
    """The name of the run, which is that of its file; `recipes.runs.find` sets it."""
    model: str = _field("the zoo's name of the model")
    options: dict[str, Any] = dataclasses.field(
        default_factory=dict, metadata={"help": "the model's options, as JSON"}
    )
    encoder_weights: str = _field(
        "weights that the first step starts from: imagenet; a weights file or a workdir of a net "
        "on the same trunk",
        default="",
    )
    data: str = _field("the data set: " + ", ".join(NAMES), choices=NAMES)
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
    loss: str = _field(
        "softmax cross-entropy or focal loss of each pixel; or dice, of each image and class",
        default="softmax",
        choices=("softmax", "focal", "dice"),
    )
    class_weights: tuple[float, ...] = _field(
        "the weight of each class in the loss, separated by commas", default=()
    )
    weight_map: bool = _field(
        "weigh pixels by U-Net's weight map, for data sets that tell objects apart",
        default=False,
    )
    loss_sampling: float = _field(
        "probability with which a cell of 32×32 pixels is part of the loss", default=1.0
    )
    optimizer: str = _field(
        "adam, adamw, or sgd, which takes the steps of Caffe's",
        default="adam",
        choices=("adam", "adamw", "sgd"),
    )
    learning_rate: float = _field("the optimizer's learning rate")
    momentum: float = _field("the momentum of sgd", default=0.9, least=0, most=1)
    biases: str = _field(
        "how biases are trained. plain: as kernels; undecayed: without weight decay; doubled: "
        "undecayed with twice the learning rate of sgd, as in the papers' VGG nets; "
        "doubled-scores: doubled in score layers and plain elsewhere, as in FCN-AlexNet",
        default="undecayed",
        choices=("undecayed", "plain", "doubled", "doubled-scores"),
    )
    weight_decay: float = _field("the weight decay of sgd and adamw", default=0, least=0)
    schedule: str = _field(
        "of the learning rate: constant; cosine or polynomial (power 0.9) to zero; step: times 0.1 "
        "every --step-size steps",
        default="constant",
        choices=("constant", "cosine", "polynomial", "step"),
    )
    step_size: int = _field("steps between two changes in the schedule step", default=0, least=0)
    reduction: str = _field(
        "mean over the labelled pixels of a step, or their sum for each image",
        default="mean",
        choices=("mean", "sum"),
    )
    precision: str = _field(
        "the number format of the computation; weights stay float32",
        default="float32",
        choices=("float32", "mixed_bfloat16"),
    )
    sync_batch_norm: bool = _field(
        "batch normalization over the batch of all replicas, not of each", default=False
    )
    jit: bool = _field("compile the forward and backward pass with XLA", default=False)
    seed: int = _field(
        "seed of weights, dropout, order and augmentation", default=0, least=0, most=2**32 - 1
    )
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
            raise ValueError(
                f"--step-size belongs to --schedule step; received --schedule {self.schedule} "
                f"--step-size {self.step_size}. Pass both, or neither."
            )
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError(
                f"--optimizer adam has no weight decay; received --weight-decay "
                f"{self.weight_decay:g}. Pass --optimizer adamw."
            )
        if self.optimizer != "sgd" and self.biases.startswith("doubled"):
            raise ValueError(
                f"--biases {self.biases} is a rule of sgd; received --optimizer {self.optimizer}. "
                "Pass --biases undecayed."
            )
        if not self.crop and self.batch_size > 1:
            raise ValueError(
                "Whole images may differ in size, so --crop 0 needs batches of one image; received "
                f"--batch-size {self.batch_size}. Pass --batch-size 1, with --accumulate for more "
                "images in a step, or a size as --crop."
            )
        if not 0 < self.loss_sampling <= 1:
            raise ValueError(
                f"--loss-sampling is above 0 and at most 1; received {self.loss_sampling:g}. Pass "
                "--loss-sampling 1 to train every cell."
            )
        if any(not 0 <= weight < float("inf") for weight in self.class_weights):
            raise ValueError(
                f"--class-weights are finite numbers from 0; received {shown(self.class_weights)}. "
                "Pass 1 for each class, and more for a class with more weight."
            )
        if self.loss == "dice" and (
            self.class_weights or self.weight_map or self.reduction == "sum"
        ):
            raise ValueError(
                "--loss dice is a mean over images and classes, and takes no --class-weights, no "
                "--weight-map and no --reduction sum; received one of them. Pass --loss softmax."
            )
        if self.jit and self.sync_batch_norm:
            raise ValueError(
                "--jit compiles the pass of one replica, and --sync-batch-norm needs all replicas "
                "inside it; received both. Leave one out."
            )
        if self.jit and self.deterministic:
            raise ValueError(
                "--jit compiles with XLA, which has no gradient of max pooling that repeats to the "
                "bit; received --jit and --deterministic, which is the default. Add "
                "--no-deterministic."
            )
        _check_model_options(self)
        known = SETS[self.data]
        if self.weight_map and not known.instances:
            raise ValueError(
                "--weight-map is computed from objects that are told apart; the labels of --data "
                f"{self.data} hold classes only. Pass --no-weight-map."
            )
        if known.classes is not None:
            check_class_weights(self, known.classes)
        if self.encoder_weights == "imagenet" and known.channels not in (None, 3):
            raise ValueError(
                "--encoder-weights imagenet is for images with 3 channels; those of --data "
                f"{self.data} have {known.channels}. Pass --encoder-weights none."
            )


def toy(recipe: Recipe) -> Recipe:
    """The recipe with a tiny model and few steps, which runs in a minute."""
    return dataclasses.replace(
        recipe,
        options=recipe.options | _TINY.get(recipe.model, {}),
        encoder_weights="",
        steps=20,
        batch_size=min(recipe.batch_size, 2),
        crop=min(recipe.crop, 64),
        accumulate=min(recipe.accumulate, 2),
        log_every=5,
        save_every=10,
        validate_every=20,
    )


def read(fields: dict[str, Any]) -> Recipe:
    """A recipe from its fields in recipe.json, where tuples are lists.

    Raises:
        ValueError: The fields are those of another version, or break a rule.
    """
    known = {field.name for field in dataclasses.fields(Recipe)}
    if fields.keys() != known:
        other = ", ".join(sorted(fields.keys() ^ known))
        raise ValueError(
            f"The recipe in recipe.json was written by another version of segmentation-zoo: its "
            f"fields differ in {other}. Use that version, or pass a new --workdir."
        )
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Recipe(**values)


def check_class_weights(recipe: Recipe, classes: int) -> None:
    """Compares the number of class weights with that of the classes.

    Raises:
        ValueError: They differ.
    """
    if recipe.class_weights and len(recipe.class_weights) != classes:
        raise ValueError(
            f"Each of the {classes} classes of --data {recipe.data} has a weight; received "
            f"{len(recipe.class_weights)} --class-weights. Give one for each, in the order that "
            f"zoo verify {recipe.data} DIR shows."
        )


def difference(recipe: Recipe, recorded: dict[str, Any]) -> str | None:
    """How a recipe differs from the recorded one so that it cannot resume the run; else None.

    More steps are allowed with a constant learning rate only: other schedules depend on the number
    of steps, and would have given other weights so far.
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
                "a constant learning rate allows more steps, and this run's schedule is "
                f"{recipe.schedule}"
            )
        return (
            f"it was started with {flag} {shown(before)}, and this command has "
            f"{flag} {shown(value)}"
        )
    return None


def _check_model_options(recipe: Recipe) -> None:
    given = [name for name in ("classes", "channels") if name in recipe.options]
    if given:
        raise ValueError(
            f"The {' and '.join(given)} follow from --data {recipe.data}; received them in "
            "--options too. Leave them out."
        )
    if recipe.options.get("border") == "valid":
        raise ValueError(
            "A class map is trained and scored at the size of its image; a U-Net with border "
            "'valid' answers a smaller one. Leave border out of --options: 'mirror' takes the same "
            "weights."
        )


def _check(field: dataclasses.Field, value: Any) -> None:
    flag, rules = "--" + field.name.replace("_", "-"), field.metadata
    choices, least, most = (rules.get(rule) for rule in ("choices", "least", "most"))
    if choices:
        wrong = [
            one for one in (value if isinstance(value, tuple) else [value]) if one not in choices
        ]
        if wrong:
            raise ValueError(
                f"{flag} takes {', '.join(choices)}; received {wrong[0]!r}. Pass {flag} "
                f"{choices[0]}."
            )
    if least is not None and not value >= least:
        raise ValueError(f"{flag} is at least {least}; received {value}. Pass {flag} {least}.")
    if most is not None and not value <= most:
        raise ValueError(f"{flag} is at most {most}; received {value}. Pass {flag} {most}.")
    if field.name == "learning_rate" and not 0 < value < float("inf"):
        raise ValueError(f"{flag} is above 0; received {value}. Pass {flag} 0.001.")
    if field.name == "options" and not isinstance(value, dict):
        raise ValueError(
            f"{flag} takes a JSON object; received {value!r}. Pass {flag} '{{\"depth\": 3}}'."
        )


def shown(value: Any) -> str:
    """A value as it stands on the command line."""
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text or "none"


_VGG = {"stages": [4, 8, 16, 16, 16], "head": 16}
_TINY = {
    **dict.fromkeys(("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce", "deconvnet"), _VGG),
    "fcn_alexnet": {"stages": [8, 16, 16, 16, 16], "head": 16},
    "unet": {"filters": 4, "depth": 2},
}
