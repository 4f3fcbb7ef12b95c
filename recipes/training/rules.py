"""The rules of a recipe: what its fields may hold, and which go together."""

import dataclasses
import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from recipes.data import SETS, Dataset
from recipes.data.folds import read_fold
from zoo.terminal import nearest

if TYPE_CHECKING:
    from recipes.training.recipe import Recipe

BALANCED = "balanced"
"""The class weights that are computed from the training labels when a run begins."""

# Of the nets for which weights of colour images are made to fit others.
_CHANNELS = {"fcn32s_early_fusion": 4, "fcn32s_late_fusion": 6}


def check(recipe: "Recipe") -> None:
    """Checks all that can be known before data are read.

    Raises:
        ValueError: A rule is broken; the message names it, the value and the remedy.
    """
    for field in dataclasses.fields(recipe):
        _check_field(field, getattr(recipe, field.name))
    _check_model(recipe)
    _check_solver(recipe)
    _check_loss(recipe)
    _check_data(recipe)


def check_read(recipe: "Recipe", dataset: Dataset) -> None:
    """Checks what the files of a data set decide: its classes, channels and objects.

    Raises:
        ValueError: The recipe does not go with them.
    """
    _check_class_weights(recipe, len(dataset.class_names))
    if recipe.weight_map and dataset.instances is None:
        raise ValueError(
            "--weight-map is computed from objects that are told apart; there is no folder "
            "instances beside masks. Add it, with the number of each pixel's object, or pass "
            "--no-weight-map."
        )
    channels = _CHANNELS.get(recipe.model, 3)
    if recipe.encoder_weights == "imagenet" and dataset.channels != channels:
        read = "--channels 3, which repeats grey and leaves out a channel behind RGB, or "
        raise ValueError(
            f"--encoder-weights imagenet is for images with {channels} channels; those of --data "
            f"{recipe.data} have {dataset.channels}. Pass {read if channels == 3 else ''}"
            "--encoder-weights none."
        )
    eight_bits = sorted({"light", "colour"} & set(recipe.augment))
    if dataset.image_type != "uint8" and eight_bits:
        raise ValueError(
            f"--augment {eight_bits[0]} changes images of 8 bits; those of --data {recipe.data} "
            f"are {dataset.image_type}. Leave it out of --augment."
        )


def check_sizes(recipe: "Recipe", sizes: Collection[tuple[int, int]]) -> None:
    """Checks that whole images of these sizes make the batches of a recipe.

    Raises:
        ValueError: They differ.
    """
    if not recipe.crop and recipe.batch_size > 1 and len(sizes) > 1:
        shown_sizes = " and ".join(f"{height}×{width}" for height, width in sorted(sizes)[:2])
        raise ValueError(
            f"The whole images of a batch have one size; those of --data {recipe.data} have "
            f"{len(sizes)}, among them {shown_sizes} (height × width). Pass --batch-size 1, with "
            "--accumulate for more images in a step, or a size as --crop."
        )


def _check_class_weights(recipe: "Recipe", classes: int) -> None:
    if recipe.class_weights == BALANCED:
        return
    if recipe.class_weights and len(recipe.class_weights) != classes:
        raise ValueError(
            f"Each of the {classes} classes of --data {recipe.data} has a weight; received "
            f"{len(recipe.class_weights)} --class-weights. Give one for each, in the order that "
            f"zoo verify {recipe.data} DIR shows, or {BALANCED}."
        )


def shown(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text or "none"


def _check_field(field: dataclasses.Field, value: Any) -> None:
    flag, rules = "--" + field.name.replace("_", "-"), field.metadata
    choices, least, most = (rules.get(rule) for rule in ("choices", "least", "most"))
    if choices:
        given = value if isinstance(value, tuple) else (value,)
        near = {one: nearest(one, choices) for one in given if one not in choices}
        if near:
            better = f"{flag} {','.join(near.get(one) or one for one in given)}"
            raise ValueError(
                f"{flag} takes {', '.join(choices)}; received {next(iter(near))!r}. Pass "
                f"{better if all(near.values()) else 'one of these'}."
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


def _check_model(recipe: "Recipe") -> None:
    given = [name for name in recipe.options if name.endswith(("classes", "channels"))]
    if given:
        is_free = "channels" in given and SETS[recipe.data].channels is None
        how = "; --channels 3 reads a grey folder in colour" if is_free else ""
        raise ValueError(
            f"The {' and '.join(given)} follow from --data {recipe.data}; received them in "
            f"--options too. Leave them out{how}."
        )
    if recipe.options.get("border") == "valid":
        raise ValueError(
            "A class map is trained and scored at the size of its image; a U-Net with border "
            "'valid' answers a smaller one. Leave border out of --options: 'mirror' takes the same "
            "weights."
        )
    if recipe.jit and recipe.sync_batch_norm:
        raise ValueError(
            "--jit compiles the pass of one replica, and --sync-batch-norm needs all replicas "
            "inside it; received both. Leave one out."
        )
    if recipe.jit and recipe.recompute:
        raise ValueError(
            "--jit compiles with XLA, which computes once what is there twice, and keeps it; "
            "received --jit and --recompute. Leave one out."
        )
    if recipe.jit and recipe.deterministic:
        raise ValueError(
            "--jit compiles with XLA, which has no gradient of max pooling that repeats to the "
            "bit; received --jit and --deterministic, which is the default. Add "
            "--no-deterministic."
        )


def _check_solver(recipe: "Recipe") -> None:
    if (recipe.schedule == "step") != (recipe.step_size > 0):
        raise ValueError(
            f"--step-size belongs to --schedule step; received --schedule {recipe.schedule} "
            f"--step-size {recipe.step_size}. Pass both, or neither."
        )
    if recipe.patience and not recipe.validate_every:
        raise ValueError(
            f"--patience counts scores, and --validate-every makes them; received --patience "
            f"{recipe.patience} --validate-every 0. Pass --validate-every 100, for example, or "
            "--patience 0."
        )
    if recipe.optimizer == "adam" and recipe.weight_decay:
        raise ValueError(
            f"--optimizer adam has no weight decay; received --weight-decay "
            f"{recipe.weight_decay:g}. Pass --optimizer adamw."
        )
    if recipe.optimizer != "sgd" and recipe.biases.startswith("doubled"):
        raise ValueError(
            f"--biases {recipe.biases} is a rule of sgd; received --optimizer {recipe.optimizer}. "
            "Pass --biases undecayed."
        )


def _check_loss(recipe: "Recipe") -> None:
    if not 0 < recipe.loss_sampling <= 1:
        raise ValueError(
            f"--loss-sampling is above 0 and at most 1; received {recipe.loss_sampling:g}. Pass "
            "--loss-sampling 1 to train every cell."
        )
    if isinstance(recipe.class_weights, str):
        if recipe.class_weights != BALANCED:
            raise ValueError(
                f"--class-weights are numbers, or {BALANCED}; received {recipe.class_weights!r}. "
                f"Pass --class-weights {BALANCED}."
            )
    elif any(not 0 <= weight < float("inf") for weight in recipe.class_weights):
        raise ValueError(
            f"--class-weights are finite numbers from 0; received {shown(recipe.class_weights)}. "
            "Pass 1 for each class, and more for a class with more weight."
        )
    if recipe.loss == "dice" and (
        recipe.class_weights or recipe.weight_map or recipe.reduction == "sum"
    ):
        raise ValueError(
            "--loss dice is a mean over images and classes, and takes no --class-weights, no "
            "--weight-map and no --reduction sum; received one of them. Pass --loss softmax."
        )


def _check_data(recipe: "Recipe") -> None:
    known = SETS[recipe.data]
    if recipe.fold:
        read_fold(recipe.fold)
    if recipe.channels and known.channels not in (None, recipe.channels):
        raise ValueError(
            f"--channels is for --data folder; the images of --data {recipe.data} have "
            f"{known.channels}; received {recipe.channels}. Leave it out."
        )
    if not recipe.crop and recipe.batch_size > 1 and not known.one_size:
        raise ValueError(
            "Whole images may differ in size, so --crop 0 needs batches of one image; received "
            f"--batch-size {recipe.batch_size}. Pass --batch-size 1, with --accumulate for more "
            "images in a step, or a size as --crop."
        )
    resizing = sorted({"scale", "turn"} & set(recipe.augment))
    if not recipe.crop and recipe.batch_size > 1 and resizing:
        raise ValueError(
            f"The whole images of a batch have one size, and --augment {resizing[0]} changes it; "
            f"received --crop 0 --batch-size {recipe.batch_size}. Leave {resizing[0]} out of "
            "--augment, or pass a size as --crop."
        )
    if recipe.weight_map and known.instances is False:
        raise ValueError(
            "--weight-map is computed from objects that are told apart; the labels of --data "
            f"{recipe.data} hold classes only. Pass --no-weight-map."
        )
    if known.classes is not None:
        _check_class_weights(recipe, known.classes)
    channels = _CHANNELS.get(recipe.model, 3)
    if recipe.encoder_weights == "imagenet" and known.channels not in (None, channels):
        raise ValueError(
            f"--encoder-weights imagenet is for images with {channels} channels; those of --data "
            f"{recipe.data} have {known.channels}. Pass --encoder-weights none."
        )
