"""The model of a run: what its recipe asks for, and its state before the first step."""

import warnings
from typing import Any

import keras
import tensorflow as tf

import zoo
import zoo.loading
from recipes.data import SETS, Dataset
from recipes.training.checkpoints import State
from recipes.training.loss_scale import LossScale
from recipes.training.recipe import Recipe
from recipes.training.step import make_optimizer
from zoo import registry
from zoo.models import vgg
from zoo.registry import Card
from zoo.spec import Labels

_FC_FILTERS = 4096  # the width of VGG's fully connected layers


def check(recipe: Recipe) -> None:
    """Checks the model, its options and the weights to start from, before any data are read.

    Raises:
        ValueError: No model has this name, or the weights do not fit it.
        TypeError: The model has no such option.
        FileNotFoundError: The weights to start from are missing.
    """
    card = zoo.describe(recipe.model)
    if card.task != "segmentation":
        raise ValueError(
            f"A class map is trained at the size of its image; {recipe.model} is a classifier, "
            "which answers for the cells of a coarse grid. Train another model, such as fcn32s."
        )
    registry.check_options(card, recipe.options)
    _check_heads(card, recipe)
    if SETS[recipe.data].channels is not None:
        _channels(card, SETS[recipe.data].channels, recipe.data)
    start = start_of(card, recipe.encoder_weights)
    starts = [*start.values()] if isinstance(start, dict) else [start]
    for path in starts:
        if path != "imagenet":
            _check_start(path)
    if "imagenet" not in starts:
        return
    widths = {"stages": list(vgg.WIDTHS), "fc_filters": _FC_FILTERS}
    if recipe.model == "segnet":  # its widths are multiples of one number
        widths = {"filters": vgg.WIDTHS[0], "definition": "vgg16"}
    options = {**card.options, **recipe.options}
    found = {name: options[name] for name in widths if name in options}  # some have no fc6
    if "stages" in found:
        found["stages"] = list(found["stages"])
    if not found or any(found[name] != widths[name] for name in found):
        raise ValueError(
            f"--encoder-weights imagenet is for nets on VGG, with {_listed(widths)}; "
            f"{recipe.model} has {_listed(found) or 'no such trunk'}. Pass --encoder-weights none."
        )


def start_of(card: Card, text: str) -> str | dict[str, str]:
    """The weights that a net starts from, as its builder takes them.

    >>> start_of(zoo.describe("fcn32s_late_fusion"), "color=runs/a,hha=runs/b")
    {'color': 'runs/a', 'hha': 'runs/b'}

    Raises:
        ValueError: Some inputs are named and others not.
    """
    if not card.inputs or "=" not in text:
        return text
    found = dict(part.partition("=")[::2] for part in text.split(","))
    if tuple(sorted(found)) != tuple(sorted(card.inputs)) or not all(found.values()):
        example = ",".join(f"{name}=runs/{name}" for name in card.inputs)
        raise ValueError(
            f"--encoder-weights names weights for each input of {card.name}, "
            f"{' and '.join(card.inputs)}, or one for all; received {text!r}. Pass {example}, for "
            "example."
        )
    return found


def build(recipe: Recipe, dataset: Dataset) -> keras.Model:
    """The recipe's model with the classes and channels of a data set; its `spec` has the names.

    Raises:
        ValueError: No model has this name, an option has a wrong value, or the weights to start
            from do not fit.
        TypeError: The model has no such option.
        FileNotFoundError: The weights to start from are missing.
    """
    card = zoo.describe(recipe.model)
    options = {
        "classes": len(dataset.class_names),
        **{f"{head}_classes": len(one.class_names) for head, one in dataset.other_heads.items()},
        **_channels(card, dataset.channels, recipe.data),
        **recipe.options,
    }
    if recipe.encoder_weights:
        options["encoder_weights"] = start_of(card, recipe.encoder_weights)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(recipe.precision)
        with warnings.catch_warnings():  # it is trained now
            warnings.filterwarnings("ignore", message="encoder_weights left")
            model = zoo.build(recipe.model, **options)
    finally:
        keras.config.set_dtype_policy(before)
    model.spec = model.spec.replace(
        class_names=dataset.class_names,
        background=dataset.background,
        colours=dataset.colours,
        other_heads={
            head: Labels(one.class_names, one.background, one.colours)
            for head, one in dataset.other_heads.items()
        },
    )
    synchronize(model, recipe)
    return model


def synchronize(model: keras.Model, recipe: Recipe) -> None:
    """Sets whether batch normalization is over the batch of all replicas or of each.

    For one replica both are the same. Then it is not set: Keras computes a synchronized variance as
    mean(x²) - mean(x)², and little is right of it where the mean is large.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = recipe.sync_batch_norm and replicas > 1


def make_state(recipe: Recipe, dataset: Dataset, strategy: tf.distribute.Strategy) -> State:
    """The state before the first step, a function of the seed."""
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        model = build(recipe, dataset)
        optimizer = make_optimizer(recipe)
        optimizer.build(model.trainable_variables)
    scale = LossScale() if recipe.precision == "mixed_float16" else None
    return State(model, optimizer, loss_scale=scale)


def _listed(options: dict[str, Any]) -> str:
    return " and ".join(f"{name}={value}" for name, value in options.items())


def _check_start(path: str) -> None:
    if path and zoo.loading.find(path).are_checkpoints:
        raise ValueError(
            f"--encoder-weights takes the weights file of a run; that of {path} was killed before "
            f"it wrote one for its newest step. Run zoo train --workdir {path} first."
        )


def _check_heads(card: Card, recipe: Recipe) -> None:
    has = SETS[recipe.data].other_heads
    if lacks := [head for head in card.heads[1:] if head not in has]:
        fit = [name for name, known in SETS.items() if set(card.heads[1:]) <= {*known.other_heads}]
        raise ValueError(
            f"{recipe.model} learns labels for each of its heads, {' and '.join(card.heads)}; "
            f"--data {recipe.data} has none for {lacks[0]}. Pass --data "
            f"{' or '.join(fit)}, or train a net with one head."
        )
    if card.heads and recipe.class_weights:
        raise ValueError(
            f"--class-weights are of the classes of one head; {recipe.model} has "
            f"{' and '.join(card.heads)}. Leave them out."
        )


def _channels(card: Card, channels: int, data: str) -> dict[str, int]:
    """The option for the channels of a data set; none for a net whose inputs share them.

    Raises:
        ValueError: The net takes another number.
    """
    if not card.inputs:
        return {"channels": channels}
    known = {name: card.options[name] for name in card.options if name.endswith("channels")}
    if sum(known.values()) != channels:
        raise ValueError(
            f"{card.name} takes {' and '.join(card.inputs)}, {sum(known.values())} channels in "
            f"all; the images of --data {data} have {channels}. Pass a data set with both, such "
            "as --data nyudv2_color_hha, or train a net with one input."
        )
    return {}
