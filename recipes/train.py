"""The one training loop: any Keras model of the zoo, on one device, several, or several machines.

    workdir/checkpoints/            the newest three
    workdir/model.weights.h5        the trained weights, and their .sha256
    workdir/recipe.json             the recipe, versions, hardware
    workdir/log.csv                 a row every --log-every steps

The same command goes on where a run was stopped, and ends in the same numbers. Several workers
(TF_CONFIG) share one workdir; the first of them writes into it.
"""

import zoo  # isort: skip  # first: it keeps what TensorFlow writes at its start off the terminal

import pathlib
import shlex
import signal
import sys
import time

import keras
import tensorflow as tf

from recipes import checkpoints, data, records, scoring
from recipes.command import parse
from recipes.data import pipeline
from recipes.data.verify import verify
from recipes.devices import choose_strategy, output_folder, stop_signals
from recipes.recipe import Recipe, RecipeError
from recipes.step import make_optimizer, make_step

_TOLD_EVERY = 5.0  # seconds between two lines of progress


def main(recipe: Recipe, card: str, arguments: list[str] | None = None) -> int:
    """The command of a recipe: trains, and turns what its user can put right into a message."""
    try:
        command = parse(recipe, card, arguments)
        strategy = choose_strategy(command.strategy)
        train(command.recipe, command.workdir, data_dir=command.data_dir, strategy=strategy)
    except (RecipeError, data.DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped at once: what was saved before is as it was", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def train(
    recipe: Recipe,
    workdir: pathlib.Path,
    *,
    data_dir: pathlib.Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> keras.Model:
    """Trains, or goes on training, until the recipe's number of steps; returns the trained model.

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
            f"--batch-size {recipe.batch_size}. Pass a multiple of it."
        )
    try:
        records.check_workdir(workdir, recipe)
        splits = data.load(recipe.data, data_dir or workdir / "data")
        verify(splits)
        state = _start(recipe, splits["train"], strategy)
        with output_folder(workdir, strategy) as out:
            records.write_recipe(out, recipe, data_dir, strategy.num_replicas_in_sync)
            checkpoints.resume(state, workdir / "checkpoints")
            _loop(recipe, state, splits, strategy, out)
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
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(recipe.precision)
        start = {"encoder_weights": recipe.encoder_weights} if recipe.encoder_weights else {}
        return zoo.build(recipe.model, **given, **start, **recipe.options)
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise RecipeError(str(error)) from error
    finally:
        keras.config.set_dtype_policy(before)


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


def _loop(
    recipe: Recipe,
    state: checkpoints.State,
    splits: dict[str, data.Dataset],
    strategy: tf.distribute.Strategy,
    out: pathlib.Path,
) -> None:
    first, last = int(state.step), recipe.steps
    if first >= last:
        print(f"the training is complete: {first} steps", flush=True)
        return
    batches = strategy.distribute_datasets_from_function(
        lambda context: pipeline.batches(
            splits["train"],
            batch_size=recipe.batch_size,
            first=first * recipe.accumulate,
            last=last * recipe.accumulate,
            seed=recipe.seed,
            crop=recipe.crop,
            augment=recipe.augment,
            workers=context.num_input_pipelines,
            worker=context.input_pipeline_id,
            replicas=context.num_replicas_in_sync,
        )
    )
    train_step = make_step(recipe, state, strategy, batches.element_spec)
    print(f"training {recipe.name}: step {first} of {last}; the first one takes longer", flush=True)
    folder, began, told = out / "checkpoints", time.monotonic(), time.monotonic()
    earlier = float(state.seconds)
    with stop_signals() as stop, records.log(out / "log.csv", first) as log:
        parts = iter(batches)
        for step in range(first + 1, last + 1):
            loss, broken, stopped = 0.0, 0, 0
            for part in range(1, recipe.accumulate + 1):
                answer = train_step(
                    *next(parts), tf.constant(len(stop)), last=part == recipe.accumulate
                )
                loss += answer[0] / recipe.accumulate
                broken, stopped = broken + answer[1], stopped + answer[2]
            if broken:
                raise RecipeError(
                    f"step {step}: the loss is {float(loss):g}, and it or its gradient is not "
                    f"finite. Nothing of this step was saved. Pass a --learning-rate below "
                    f"{recipe.learning_rate:g} and a new --workdir."
                )
            now = time.monotonic()
            state.step.assign(step)
            state.seconds.assign(earlier + now - began)
            state.losses.assign_add(tf.cast(loss, tf.float64))
            mean = float(state.losses) / (step % recipe.log_every or recipe.log_every)
            if step == first + 1:
                steady = now  # the step before this moment built the graph: it tells no rate
            if now - told > _TOLD_EVERY or step in (first + 1, last):
                told, pace = now, ""
                if step > first + 1:
                    rate = (step - first - 1) / (now - steady)
                    pace = f"  {rate:.2f} steps/s  {_duration((last - step) / rate)} left"
                print(f"step {step} of {last}  loss {mean:.4f}{pace}", flush=True)
            score = ""
            if recipe.validate_every and step % recipe.validate_every == 0:
                score = scoring.measure(scoring.of_model(state.model), splits["val"])["mean_iou"]
                print(f"step {step} of {last}  held-out mean IoU {score:.4f}", flush=True)
            if step % recipe.log_every == 0 or step == last or score:
                log.writerow(
                    {
                        "step": step,
                        "loss": mean,
                        "seconds": round(float(state.seconds), 1),
                        "val_mean_iou": score,
                    }
                )
            if step % recipe.log_every == 0:
                state.losses.assign(0)
            if stopped or step % recipe.save_every == 0 or step == last:
                checkpoints.save(state, folder)
            if stopped and step < last:
                print(
                    f"stopped and saved at step {step} of {last}. Go on with:\n"
                    f"  {shlex.join(sys.orig_argv)}",
                    flush=True,
                )
                raise SystemExit(128 + (stop or [signal.SIGTERM])[0])


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
