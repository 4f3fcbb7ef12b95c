"""A recipe is data: a frozen dataclass whose fields are the options of `zoo train`."""

import dataclasses
import json
import types
import typing
from typing import Any

from recipes.data import NAMES
from recipes.training import rules
from recipes.training.rules import shown


class RunError(Exception):
    """A run failed on the way, by no fault of its command; the message says what to do."""


def _field(help: str, *, default: Any = dataclasses.MISSING, **rules: Any) -> Any:
    """A field with its help text and its rules: `choices`, `least`, `most` and `free`.

    A free field changes no number of a step: a run can be resumed with another value.
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
        "weights that the first step starts from: imagenet; those for each input of a net, as "
        "color=runs/a,hha=runs/b; a weights file or a workdir of a net on the same trunk",
        default="",
    )
    data: str = _field("the data set: " + ", ".join(NAMES), choices=NAMES)
    channels: int = _field(
        "channels that the images of a folder are read with, such as 3 to repeat grey; 0: as many "
        "as are stored",
        default=0,
        least=0,
    )
    fold: str = _field(
        "hold out another part of a small data set: 2/5 is the second of five parts, into which "
        "the names of the images divide all but the split test; none: the split val",
        default="",
    )
    steps: int = _field("training steps", least=1)
    batch_size: int = _field("images of one batch, over all replicas", least=1)
    crop: int = _field("height and width of random crops; 0: whole images", default=0, least=0)
    context: bool = _field(
        "a U-Net of valid convolutions sees the image around each crop; --no-context mirrors the "
        "crop instead. Other nets see their crop alone",
        default=True,
    )
    augment: tuple[str, ...] = _field(
        "random changes, separated by commas",
        default=(),
        choices=("scale", "shift", "rotate", "elastic", "flip", "turn", "light", "colour"),
    )
    accumulate: int = _field(
        "batches whose mean gradient makes one step (Caffe's iter_size)", default=1, least=1
    )
    loss: str = _field(
        "softmax cross-entropy or focal loss of each pixel; or dice, of each image and class",
        default="softmax",
        choices=("softmax", "focal", "dice"),
    )
    class_weights: tuple[float, ...] | str = _field(
        "balanced, for more weight on rare classes; or the weight of each class in the loss, "
        "separated by commas",
        default=(),
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
        "the number format of the computation; weights, scores and loss stay float32. "
        "mixed_float16, for GPUs without bfloat16, scales the loss, so that small gradients are "
        "not 0",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    sync_batch_norm: bool = _field(
        "batch normalization over the batch of all replicas, not of each", default=False
    )
    fast: bool = _field(
        "without a GPU, compute convolutions with fewer multiplications, as zoo.faster does; the "
        "numbers differ by rounding. --no-fast computes them as they are defined",
        default=True,
    )
    recompute: bool = _field(
        "compute features again in the backward pass instead of keeping them: less memory, and "
        "more time",
        default=False,
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
    patience: int = _field(
        "scores in a row without a better one, after which the run ends; 0: it never ends early",
        default=0,
        least=0,
        free=True,
    )
    best_by: str = _field(
        "the score by which the best weights are chosen and patience counts",
        default="mean_iou",
        choices=("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou"),
    )

    def __post_init__(self):
        rules.check(self)


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
        ValueError: The fields are those of another version, are of other types, or break a rule.
    """
    known = {field.name for field in dataclasses.fields(Recipe)}
    fields = _LATER | fields
    if fields.keys() != known:
        other = ", ".join(sorted(fields.keys() ^ known))
        raise ValueError(
            f"The recipe in recipe.json was written by another version of segmentation-zoo: its "
            f"fields differ in {other}. Use that version, or pass a new --workdir."
        )
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    for field in dataclasses.fields(Recipe):
        if not _is_of(values[field.name], field.type):
            raise ValueError(
                f"The recipe in recipe.json is damaged ({field.name} is {fields[field.name]!r}). "
                "Pass a new folder as --workdir."
            )
    return Recipe(**values)


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value has the type of a field; a whole number is a float too, a bool is neither."""
    if typing.get_origin(kind) is types.UnionType:
        return any(_is_of(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(x, typing.get_args(kind)[0]) for x in value)
    known = {float: (int, float)}.get(kind, typing.get_origin(kind) or kind)
    return isinstance(value, known) and isinstance(value, bool) == (kind is bool)


def difference(recipe: Recipe, recorded: dict[str, Any]) -> str | None:
    """How a recipe differs from the recorded one so that it cannot resume the run; else None.

    More steps are allowed with a constant learning rate only: other schedules depend on the number
    of steps, and would have given other weights so far.
    """
    for field in dataclasses.fields(Recipe):
        value = json.loads(json.dumps(getattr(recipe, field.name)))
        before = recorded.get(field.name, _LATER.get(field.name, "not recorded"))
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
            f"it was started with {_typed(flag, before)}, and this command has "
            f"{_typed(flag, value)}"
        )
    return None


def _typed(flag: str, value: Any) -> str:
    """An option as one types it."""
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    return f"{flag} {shown(value)}"


# The fields that an earlier version did not record, with what it did.
_LATER = {
    **{"channels": 0, "fold": "", "context": False, "fast": False, "recompute": False},
    **{"patience": 0, "best_by": "mean_iou"},
}
_VGG = {"stages": [4, 8, 16, 16, 16], "fc_filters": 16}
_TINY = {
    **dict.fromkeys(("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce", "deconvnet"), _VGG),
    **dict.fromkeys(("fcn32s_two_heads", "fcn16s_two_heads", "fcn8s_two_heads"), _VGG),
    **dict.fromkeys(("fcn32s_early_fusion", "fcn32s_late_fusion"), _VGG),
    "fcn_alexnet": {"stages": [8, 16, 16, 16, 16], "fc_filters": 16},
    "fcn_googlenet": {"filters": 8},
    "encoder_decoder": {"filters": 4, "depth": 2},
    "fullres": {"filters": 4, "depth": 2},
    "segnet": {"filters": 4},
    "unet": {"filters": 4, "depth": 2},
    "unet_vgg16": {"stages": [4, 8, 16, 16, 16]},
}
