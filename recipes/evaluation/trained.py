"""A model as it was trained: by a run, up to a checkpoint of a run, or by whoever wrote a file."""

import dataclasses
import pathlib
from typing import Any

import keras
import tensorflow as tf

import zoo.weights
from recipes.data.dataset import Dataset
from recipes.training import checkpoints, records
from recipes.training.recipe import Recipe, RecipeError, read
from recipes.training.train import build


def recorded(workdir: pathlib.Path) -> dict[str, Any]:
    """The recipe.json of a run.

    Raises:
        RecipeError: The folder is not a run's, or the file is damaged.
    """
    contents = records.read_recipe(workdir)
    if contents is None:
        raise RecipeError(
            f"{workdir} is not the folder of a run: it holds no recipe.json. Pass what was the "
            "--workdir of a recipe."
        )
    return contents


def of_run(workdir: pathlib.Path, dataset: Dataset) -> tuple[pathlib.Path, keras.Model]:
    """The weights that a run ended with, and its model with them.

    Raises:
        RecipeError: There are none yet, or they are damaged or of another data set.
    """
    recipe, weights = _recipe(workdir), workdir / records.WEIGHTS
    if not weights.exists():
        raise RecipeError(
            f"{workdir} holds no trained weights yet: {weights.name} comes with the last step. "
            f"Run python -m recipes.runs.{recipe.name} --workdir {workdir} to its end, or pass "
            "--checkpoint newest."
        )
    if not zoo.weights.is_whole(weights):
        raise RecipeError(
            f"{weights} is not the file that {weights.name}.sha256 was written for. Run "
            f"python -m recipes.runs.{recipe.name} --workdir {workdir} again, which writes both "
            "from the last checkpoint."
        )
    return weights, _filled(build(recipe, dataset), weights, dataset)


def of_checkpoint(
    workdir: pathlib.Path, chosen: str, dataset: Dataset
) -> tuple[pathlib.Path, keras.Model]:
    """A checkpoint of a run, which need not be at its end, and the run's model as it was there.

    Args:
        workdir: The folder of the run.
        chosen: "newest", or the step of the checkpoint.
        dataset: A split of the data set that the run is trained on.

    Raises:
        RecipeError: There is no such checkpoint, or it is damaged or of another data set.
    """
    folder = workdir / "checkpoints"
    model = build(_recipe(workdir), dataset)
    steps = [str(step) for step in checkpoints.steps(folder)]
    step = next(iter(steps), None) if chosen == "newest" else chosen
    if step not in steps:
        raise RecipeError(
            f"--checkpoint is newest, or the step of a checkpoint; received {chosen}. {folder} "
            f"holds {', '.join(steps) or 'none yet'}. Pass one that is there."
        )
    file = folder / f"ckpt-{step}"
    keys = [f"model/{place}/.ATTRIBUTES/VARIABLE_VALUE" for place in range(len(model.variables))]
    try:
        saved = tf.train.load_checkpoint(str(file))
        shapes = {
            k: s for k, s in saved.get_variable_to_shape_map().items() if k.startswith("model/")
        }
        values = [saved.get_tensor(key) for key in keys if key in shapes]
    except (tf.errors.OpError, IndexError, RuntimeError) as error:  # an IndexError: cut off
        others = ", ".join(other for other in steps if other != step) or "there is none"
        raise RecipeError(
            f"The checkpoint {file} is damaged ({checkpoints.first_line(error)}). Pass another "
            f"step as --checkpoint: {others}."
        ) from error
    needed = {key: list(x.shape) for key, x in zip(keys, model.variables, strict=True)}
    if shapes != needed:
        raise RecipeError(
            f"The checkpoint {file} does not fit {model.name}, which is built here with "
            f"{_given(dataset)}. Pass the --data that it was trained on."
        )
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    return file, model


def of_file(
    weights: pathlib.Path, name: str, options: dict[str, Any], dataset: Dataset
) -> keras.Model:
    """A model of the zoo with the weights of any file that `zoo.weights.load` reads.

    Args:
        weights: The file.
        name: The model's in the zoo.
        options: The model's, without `classes` and `channels`, which are the data set's.
        dataset: A split of the data set that it is to be scored on.

    Raises:
        RecipeError: There is no such model, option or file, or the weights do not fit.
    """
    # Of this recipe the model alone counts.
    recipe = Recipe(
        name="",
        model=name,
        options=options,
        data=dataset.name,
        steps=1,
        batch_size=1,
        learning_rate=1.0,
    )
    return _filled(build(recipe, dataset), weights, dataset)


def _recipe(workdir: pathlib.Path) -> Recipe:
    """The recipe of a run; what its first step started from need not be there any more."""
    return dataclasses.replace(read(recorded(workdir)["recipe"]), encoder_weights="")


def _filled(model: keras.Model, weights: pathlib.Path, dataset: Dataset) -> keras.Model:
    try:
        return zoo.weights.load(model, weights=weights)
    except FileNotFoundError as error:
        raise RecipeError(str(error)) from error
    except ValueError as error:
        raise RecipeError(
            f"{error}\n{model.name} is built here with {_given(dataset)}. Pass the --data and the "
            "--options that the weights were trained with."
        ) from error


def _given(dataset: Dataset) -> str:
    classes = len(dataset.class_names)
    return f"classes={classes} and channels={dataset.channels}, those of --data {dataset.name}"
