"""The model of a run: what its recipe asks for, and its state before the first step."""

import warnings
from typing import Any

import keras
import tensorflow as tf

import zoo
import zoo.loading
from recipes.data import Dataset
from recipes.training.checkpoints import State
from recipes.training.recipe import Recipe
from recipes.training.step import make_optimizer
from zoo import registry
from zoo.models import vgg

_HEAD = 4096  # the width of VGG's fully connected layers


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
    if recipe.encoder_weights != "imagenet":
        _check_start(recipe.encoder_weights)
        return
    widths = {"stages": list(vgg.WIDTHS), "head": _HEAD}
    options = {**card.options, **recipe.options}
    found = {name: options[name] for name in widths if name in options}  # some have no head
    if "stages" in found:
        found["stages"] = list(found["stages"])
    if "stages" not in found or any(found[name] != widths[name] for name in found):
        raise ValueError(
            f"--encoder-weights imagenet is for nets on VGG, with {_listed(widths)}; "
            f"{recipe.model} has {_listed(found) or 'no such trunk'}. Pass --encoder-weights none."
        )


def build(recipe: Recipe, dataset: Dataset) -> keras.Model:
    """The recipe's model with the classes and channels of a data set; its `spec` has the names.

    Raises:
        ValueError: No model has this name, an option has a wrong value, or the weights to start
            from do not fit.
        TypeError: The model has no such option.
        FileNotFoundError: The weights to start from are missing.
    """
    options = {"classes": len(dataset.class_names), "channels": dataset.channels, **recipe.options}
    if recipe.encoder_weights:
        options["encoder_weights"] = recipe.encoder_weights
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(recipe.precision)
        with warnings.catch_warnings():  # it is trained now
            warnings.filterwarnings("ignore", message="encoder_weights left")
            model = zoo.build(recipe.model, **options)
    finally:
        keras.config.set_dtype_policy(before)
    model.spec = model.spec.replace(
        class_names=dataset.class_names, background=dataset.background, colours=dataset.colours
    )
    synchronize(model, recipe)
    return model


def synchronize(model: keras.Model, recipe: Recipe) -> None:
    """Sets whether batch normalization is over the batch of all replicas or of each."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = recipe.sync_batch_norm


def make_state(recipe: Recipe, dataset: Dataset, strategy: tf.distribute.Strategy) -> State:
    """The state before the first step, a function of the seed."""
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        model = build(recipe, dataset)
        optimizer = make_optimizer(recipe)
        optimizer.build(model.trainable_variables)
    return State(model, optimizer)


def _listed(options: dict[str, Any]) -> str:
    return " and ".join(f"{name}={value}" for name, value in options.items())


def _check_start(path: str) -> None:
    if path and zoo.loading.find(path).are_checkpoints:
        raise ValueError(
            f"--encoder-weights takes the weights file of a run; that of {path} was killed before "
            f"it wrote one for its newest step. Run zoo train --workdir {path} first."
        )
