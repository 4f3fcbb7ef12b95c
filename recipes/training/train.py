"""Trains any Keras model of the zoo, on one device, several, or several machines.

    workdir/checkpoints/            the newest three
    workdir/model.weights.h5        the trained weights, and their .sha256
    workdir/recipe.json             the recipe, versions, hardware, fingerprints of the data
    workdir/log.csv                 a row every --log-every steps
    workdir/scores.csv              a row every --validate-every steps
    workdir/tensorboard/            the same and a few predictions: tensorboard --logdir WORKDIR

The same command goes on where a run was stopped, and ends in the same numbers. Several workers
(TF_CONFIG) share one workdir; the first of them writes into it.
"""

import zoo  # isort: skip  # first: it keeps what TensorFlow writes at its start off the terminal

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import sys

import keras
import numpy as np
import tensorflow as tf

from recipes import data
from recipes.data import pipeline
from recipes.data.verify import verify
from recipes.training import checkpoints, records
from recipes.training.checkpoints import NotFiniteError
from recipes.training.command import parse
from recipes.training.devices import add_up, choose_strategy, output_folder, worker_of
from recipes.training.loop import run_steps
from recipes.training.recipe import Recipe, RecipeError
from recipes.training.step import make_optimizer

_ATTEMPTS = 3  # from the last checkpoint, at numbers that are not finite


def main(recipe: Recipe, card: str, arguments: list[str] | None = None) -> int:
    """The command of a recipe: trains, and turns what its user can put right into a message."""
    workers = 1
    try:
        command = parse(recipe, card, arguments)
        strategy = choose_strategy(command.strategy, batch_size=command.recipe.batch_size)
        _, workers = worker_of(strategy)
        train(
            command.recipe,
            command.workdir,
            data_dir=command.data_dir,
            strategy=strategy,
            limit_steps=command.limit_steps,
        )
    except (RecipeError, data.DataError) as error:
        return _end(f"error: {error}", 1, workers)
    except tf.errors.OpError as error:
        reason = _reason(error, workers)
        if reason is None:
            raise
        return _end(f"error: {reason}", 1, workers)
    except KeyboardInterrupt:
        return _end("stopped at once: what was saved before is as it was", 130, workers)
    return 0


def _reason(error: tf.errors.OpError, workers: int) -> str | None:
    """What its user can put right about an error of TensorFlow; None if nothing is known."""
    # A file that cannot be read any more: what is raised inside a pipeline arrives as text.
    bad_file = re.search(r"\bDataError: (.*?)\n(?=Traceback)", error.message, re.DOTALL)
    if bad_file:
        return bad_file[1]
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return (
            f"the memory does not suffice ({checkpoints.first_line(error)}). Pass a smaller "
            "--crop, or a smaller --batch-size and a larger --accumulate, and a new --workdir."
        )
    if workers > 1:
        return (
            "the workers of a run compute together, and one of them is gone or does not answer "
            f"({checkpoints.first_line(error)}). Start the same command on all of them again: the "
            "run goes on from its last checkpoint."
        )
    return None


def _end(message: str, status: int, workers: int) -> int:
    """Tells why a run ends; a worker ends here.

    TensorFlow would wait for the other workers when the process ends, and before, when the error is
    dropped and with it the batches, for threads of its own that sleep for up to a minute.
    """
    print(message, file=sys.stderr, flush=True)
    if workers > 1:
        os._exit(status)
    return status


def train(
    recipe: Recipe,
    workdir: pathlib.Path,
    *,
    data_dir: pathlib.Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    limit_steps: int | None = None,
) -> keras.Model:
    """Trains, or goes on training, until the recipe's number of steps; returns the trained model.

    Args:
        recipe: What to train, and how.
        workdir: The folder of this run.
        data_dir: The folder of the data set; `workdir/data` if None.
        strategy: The devices; the first one if None.
        limit_steps: Stops after so many steps in all; the run can go on without it.

    Raises:
        RecipeError: The options do not fit, the workdir is another run's, a number is no longer
            finite, or something cannot be written.
        DataError: An example of the data set cannot be used.
        SystemExit: SIGINT or SIGTERM came, and all was saved: 130 or 143.
    """
    strategy = strategy or tf.distribute.get_strategy()
    if recipe.batch_size % strategy.num_replicas_in_sync:
        raise RecipeError(
            f"A batch is divided evenly between {strategy.num_replicas_in_sync} replicas; received "
            f"--batch-size {recipe.batch_size}. Pass a multiple of it, or --strategy one."
        )
    last = min(recipe.steps, limit_steps or recipe.steps)
    try:
        records.check_workdir(workdir, recipe)
        splits = data.load(recipe.data, data_dir or workdir / "data")
        fingerprints = {
            split: found.sha256
            for split, found in verify(splits, instances=recipe.weight_map).items()
        }
        _check_loss(recipe, splits["train"])
        _check_workers(recipe, fingerprints, strategy)
        begun = bool(checkpoints.steps(workdir / "checkpoints"))
        start = dataclasses.replace(recipe, encoder_weights="") if begun else recipe
        state = _start(start, splits["train"], strategy)
        with output_folder(workdir, strategy) as out:
            checkpoints.sweep(out / "checkpoints")
            records.write_recipe(out, recipe, data_dir, fingerprints, strategy)
            if not begun:
                checkpoints.save(state, out / "checkpoints")
                add_up(np.zeros(1), strategy)  # no worker reads it before the first has written it
            _until(recipe, state, splits, strategy, workdir, out, last=last)
            if last < recipe.steps:
                print(
                    f"--limit-steps {limit_steps}: stopped at step {int(state.step)} of "
                    f"{recipe.steps}, and saved. The same command without it goes on."
                )
                return state.model
            if not records.is_published(workdir, recipe.steps):
                checkpoints.publish(state.model, out / records.WEIGHTS)
                minutes = float(state.seconds) / 60
                records.record_weights(out, step=recipe.steps, minutes=minutes)
    except OSError as error:
        raise RecipeError(
            f"{error.filename or workdir} cannot be read or written ({error.strerror or error}). "
            "Checkpoints are as they were. Put that right and run the same command again."
        ) from error
    print(f"trained: {workdir / records.WEIGHTS}", flush=True)
    return state.model


def _until(
    recipe: Recipe,
    state: checkpoints.State,
    splits: dict[str, data.Dataset],
    strategy: tf.distribute.Strategy,
    workdir: pathlib.Path,
    out: pathlib.Path,
    *,
    last: int,
) -> None:
    """Trains to a step; where numbers are not finite, goes back to the last checkpoint.

    What a machine got wrong once is right the next time; what the recipe brings about comes again.
    """
    folder = workdir / "checkpoints"
    latest = attempts = 0
    while True:
        checkpoints.resume(state, folder)
        try:
            return run_steps(recipe, state, splits, strategy, out, last=last)
        except NotFiniteError as error:
            attempts = 1 if error.step > latest else attempts + 1
            latest = max(latest, error.step)
            if attempts < _ATTEMPTS:
                print(f"step {error.step}: {error}; back to the last checkpoint", flush=True)
                continue
            count = recipe.batch_size * recipe.accumulate
            positions = range((error.step - 1) * count, error.step * count)
            files = pipeline.files(splits["train"], positions=positions, seed=recipe.seed)
            raise RecipeError(
                f"step {error.step}: {error}, {_ATTEMPTS} times. Nothing of it was saved. "
                f"{checkpoints.intact(folder)} Look at the images of this step, or pass a "
                f"--learning-rate below {recipe.learning_rate:g} and a new --workdir:\n  "
                + "\n  ".join(files)
            ) from error


def _check_workers(
    recipe: Recipe, fingerprints: dict[str, str], strategy: tf.distribute.Strategy
) -> None:
    """Each worker tells the others a hash of what it trains and on what."""
    worker, workers = worker_of(strategy)
    if workers == 1:
        return
    mine = json.dumps([dataclasses.asdict(recipe), fingerprints], sort_keys=True)
    hashes = np.zeros((workers, 32))
    hashes[worker] = list(hashlib.sha256(mine.encode()).digest())
    hashes = add_up(hashes, strategy)
    others = [str(other) for other in range(workers) if (hashes[other] != hashes[0]).any()]
    if others:
        raise RecipeError(
            "All workers of a run have the same options and the same examples; received others "
            f"from worker {', '.join(others)} than from worker 0. Give all of them the same "
            "command and the same data."
        )


def _check_loss(recipe: Recipe, dataset: data.Dataset) -> None:
    classes = len(dataset.class_names)
    if recipe.class_weights and len(recipe.class_weights) != classes:
        raise RecipeError(
            f"Each of the {classes} classes of --data {recipe.data} has a weight; received "
            f"{len(recipe.class_weights)} --class-weights. Give one for each, in this order: "
            f"{', '.join(dataset.class_names)}."
        )
    if recipe.weight_map and dataset.instances is None:
        raise RecipeError(
            f"--weight-map is computed from objects that are told apart, and the labels of --data "
            f"{recipe.data} hold classes only. Pass --no-weight-map."
        )


def build(recipe: Recipe, dataset: data.Dataset) -> keras.Model:
    """The recipe's model with the classes and channels of a data set.

    Raises:
        RecipeError: The zoo has no such model, the model no such option, or the weights to start
            from are not there or do not fit.
    """
    given = {"classes": len(dataset.class_names), "channels": dataset.channels}
    for name in given:
        if name in recipe.options:
            raise RecipeError(
                f"The {name} follow from --data {recipe.data}: {given[name]}; received them in "
                "--options too. Take them out."
            )
    if recipe.options.get("border") == "valid":
        raise RecipeError(
            "A class map is trained and scored at the size of its image; a U-Net with border "
            "'valid' answers a smaller one. Leave border out of --options: 'mirror' takes the same "
            "weights."
        )
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(recipe.precision)
        start = {"encoder_weights": recipe.encoder_weights} if recipe.encoder_weights else {}
        model = zoo.build(recipe.model, **given, **start, **recipe.options)
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise RecipeError(str(error)) from error
    finally:
        keras.config.set_dtype_policy(before)
    synchronize(model, recipe)
    return model


def synchronize(model: keras.Model, recipe: Recipe) -> None:
    """Lets batch normalization see the whole batch, or that of its replica, as the recipe says."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = recipe.sync_batch_norm


def _start(
    recipe: Recipe, dataset: data.Dataset, strategy: tf.distribute.Strategy
) -> checkpoints.State:
    """The state before the first step, a function of the seed."""
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        model = build(recipe, dataset)
        optimizer = make_optimizer(recipe)
        optimizer.build(model.trainable_variables)
    return checkpoints.State(model, optimizer)
