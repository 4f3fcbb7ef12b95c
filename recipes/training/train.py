"""Trains any model of the zoo, on one device, several, or several machines.

The files of a run are those that `zoo.workdir` names, and log.csv, scores.csv and tensorboard/ with
the same numbers: a row every --log-every and --validate-every steps. The same call resumes a run
that was stopped, and ends in the same numbers. Several workers (TF_CONFIG) share one workdir; the
first of them writes to it.
"""

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import re
import shlex
import sys

import keras
import numpy as np
import tensorflow as tf

import zoo
from recipes import data
from recipes.data import pipeline
from recipes.data.class_balance import median_frequency
from recipes.data.verify import verify
from recipes.training import checkpoints, patience, records, weights
from recipes.training import model as models
from recipes.training.checkpoints import NotFiniteError
from recipes.training.devices import add_up, choose_strategy, output_folder, worker_of
from recipes.training.loop import run_steps
from recipes.training.recipe import Recipe, RunError
from recipes.training.rules import BALANCED, check_read, check_sizes
from recipes.training.run import Run
from zoo import files, terminal
from zoo import workdir as workdirs

_ATTEMPTS = 3  # from the last checkpoint, if numbers are not finite


def main(recipe: Recipe, *, strategy: str, **options: object) -> int:
    """Trains as a command: turns errors that a user can correct into messages.

    Args:
        recipe: As for `train`.
        strategy: Name of the devices, see `choose_strategy`.
        **options: As for `train`.

    Returns:
        The exit status.
    """
    errors, workers = [], 1

    def run() -> int:
        nonlocal workers
        try:
            devices = choose_strategy(strategy, batch_size=recipe.batch_size)
            _, workers = worker_of(devices)
            train(recipe, strategy=devices, **options)
        except tf.errors.OpError as error:
            errors.append(error)
            raise (_explained(error, workers) or error) from error
        except Exception as error:
            errors.append(error)
            raise
        return 0

    # Hours of training are worth more than the lines about them.
    with terminal.lasting_output():
        status = terminal.run(run, prog="zoo train", failures=(RunError,))
    if status and workers > 1:
        # TensorFlow would wait for the other workers when the process ends. An error in `errors`
        # keeps the batches: destroying them waits for threads that sleep for up to a minute.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _explained(error: tf.errors.OpError, workers: int) -> Exception | None:
    """What a user can do about an error of TensorFlow; None if nothing is known."""
    # What is raised inside a pipeline arrives as text.
    bad_file = re.search(r"\b(Data|Image)Error: (.*?)\n(?=Traceback)", error.message, re.DOTALL)
    if bad_file:
        return data.DataError(bad_file[2])
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return RunError(
            f"The memory does not suffice ({checkpoints.first_line(error)}). Pass a smaller "
            "--crop, or a smaller --batch-size and a larger --accumulate, and a new --workdir."
        )
    if workers > 1:
        return RunError(
            "The workers of a run compute together, and one of them is gone or does not answer "
            f"({checkpoints.first_line(error)}). Start the same command on all of them again: the "
            "run is resumed from its last checkpoint."
        )
    return None


def train(
    recipe: Recipe,
    workdir: pathlib.Path,
    *,
    data_dir: pathlib.Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    limit_steps: int | None = None,
) -> keras.Model:
    """Trains, or resumes, until the steps or the patience of the recipe end; returns the model.

    Args:
        recipe: The model, the data set and how to train.
        workdir: The folder of this run.
        data_dir: The folder of the data set; `workdir/data` if None.
        strategy: The devices; the first one if None.
        limit_steps: Stops at this step; the run can be resumed without it.

    Raises:
        ValueError: The recipe does not fit the zoo, the data set or the devices; the workdir holds
            another run; or an example of the data set cannot be used.
        TypeError: The model has no such option.
        FileNotFoundError: The weights to start from are missing.
        RunError: A number is no longer finite, or something cannot be read or written.
        SystemExit: SIGINT, SIGTERM or SIGHUP came, and all was saved: 130, 143 or 129.
    """
    strategy = strategy or tf.distribute.get_strategy()
    _check_batch(recipe, strategy)
    try:
        with output_folder(workdir, strategy) as out:
            run, begun = _begin(recipe, workdir, out, data_dir, strategy)
            if not begun:
                checkpoints.save(run.state, out)
                add_up(np.zeros(1), strategy)  # no worker reads it before the first has written it
            try:
                signal = _train_to(run, min(recipe.steps, limit_steps or recipe.steps))
                weights.write_newest(run)
            except KeyboardInterrupt:
                _tell_loss(run)
                raise
    except OSError as error:
        raise _of_workdir(error, workdir) or error from error
    _tell_end(run, signal, limit_steps)
    if signal is not None:
        raise SystemExit(128 + signal)
    return run.state.model


def _begin(
    recipe: Recipe,
    workdir: pathlib.Path,
    out: pathlib.Path,
    data_dir: pathlib.Path | None,
    strategy: tf.distribute.Strategy,
) -> tuple[Run, bool]:
    """Checks everything that can be checked before the first step; whether the run was begun."""
    records.check_workdir(workdir, recipe)
    begun = bool(workdirs.steps(workdir))
    start = dataclasses.replace(recipe, encoder_weights="") if begun else recipe
    splits, state, fingerprints, balanced = _prepare(start, data_dir or workdir / "data", strategy)
    _check_workers(recipe, fingerprints, strategy)
    for folder in (out, out / workdirs.CHECKPOINTS):
        files.sweep(folder)
    class_weights = None
    if recipe.class_weights == BALANCED:
        class_weights = records.class_weights(workdir) or balanced
    records.write_recipe(
        *(out, recipe, state.model.spec),
        class_weights=class_weights,
        data_dir=data_dir,
        fingerprints=fingerprints,
        strategy=strategy,
    )
    if class_weights is not None:
        recipe = dataclasses.replace(recipe, class_weights=class_weights)
    return Run(recipe, splits, state, strategy, workdir, out), begun


def _of_workdir(error: OSError, workdir: pathlib.Path) -> RunError | None:
    """What to do about an error of the system on a file of the run; None for other errors."""
    file = pathlib.Path(os.fsdecode(error.filename or ""))
    if error.errno is None or not {workdir, workdir.absolute()} & {file, *file.parents}:
        return None
    if not workdir.is_dir() and error.errno == errno.ENOENT:
        return RunError(
            f"The folder of a run stays in its place while it trains; {workdir} was moved or "
            "deleted. Put it back and run the same command again, or pass a new folder as "
            "--workdir."
        )
    return RunError(
        f"{file} cannot be read or written ({error.strerror or error}). Checkpoints are as they "
        f"were. {terminal.remedy(error)}"
    )


def _prepare(
    recipe: Recipe, data_dir: pathlib.Path, strategy: tf.distribute.Strategy
) -> tuple[dict[str, data.Dataset], checkpoints.State, dict[str, str], tuple[float, ...]]:
    """The data, the state before the first step, the SHA-256 of each split; balanced weights."""
    models.check(recipe)
    splits = data.load(recipe.data, data_dir, channels=recipe.channels, fold=recipe.fold)
    heads = zoo.describe(recipe.model).heads[1:]
    splits = {split: splits[split].with_heads(heads) for split in ("train", "val")}
    check_read(recipe, splits["train"])
    state = models.make_state(recipe, splits["train"], strategy)
    examined = verify(splits, instances=recipe.weight_map)
    check_sizes(recipe, examined["train"].sizes)
    fingerprints = {split: found.sha256 for split, found in examined.items()}
    read = {split: found.dataset for split, found in examined.items()}
    balanced = median_frequency(examined["train"].pixels, examined["train"].pixels_around)
    for head in heads:
        others = verify({split: one.other_heads[head] for split, one in splits.items()})
        fingerprints |= {f"{split} {head}": found.sha256 for split, found in others.items()}
        read = {
            split: dataclasses.replace(
                one, other_heads={**one.other_heads, head: others[split].dataset}
            )
            for split, one in read.items()
        }
    return read, state, fingerprints, balanced


def _tell_loss(run: Run) -> None:
    saved = max(workdirs.steps(run.out), default=0)
    terminal.tell(
        f"stopped at once: the last checkpoint is that of step {saved}, and what came after it, "
        f"{max(run.step - saved, 0)} whole steps, is lost. Resume from there with:\n"
        f"  zoo train --workdir {shlex.quote(str(run.workdir))}"
    )


def _tell_end(run: Run, signal: int | None, limit_steps: int | None) -> None:
    if signal is not None:
        terminal.tell(
            f"stopped and saved at step {run.step} of {run.recipe.steps}. Resume it with:\n"
            f"  zoo train --workdir {shlex.quote(str(run.workdir))}"
        )
    elif run.step < run.recipe.steps and patience.is_over(run):
        terminal.tell(patience.told(run))
    elif run.step < run.recipe.steps:
        print(
            f"--limit-steps {limit_steps}: stopped at step {run.step} of {run.recipe.steps}, and "
            "saved. The same command without it goes on.",
            flush=True,
        )
    else:
        terminal.tell(f"trained: {run.workdir / workdirs.WEIGHTS}")


def _train_to(run: Run, last: int) -> int | None:
    """Trains to a step, or to a signal; if numbers are not finite, from the last checkpoint again.

    A hardware fault does not recur on retry; a diverging recipe does.
    """
    latest = attempts = 0
    while True:
        checkpoints.resume(run.state, run.workdir)
        try:
            return run_steps(run, last=last)
        except NotFiniteError as error:
            attempts = 1 if error.step > latest else attempts + 1
            latest = max(latest, error.step)
            if attempts < _ATTEMPTS:
                print(f"step {error.step}: {error}; back to the last checkpoint", flush=True)
                continue
            recipe, count = run.recipe, run.recipe.batch_size * run.recipe.accumulate
            positions = range((error.step - 1) * count, error.step * count)
            images = pipeline.files(run.splits["train"], positions=positions, seed=recipe.seed)
            raise RunError(
                f"Step {error.step}: {error}, {_ATTEMPTS} times. Nothing of it was saved. "
                f"{checkpoints.intact(run.workdir)} Look at the images of this step, or pass a "
                f"--learning-rate below {recipe.learning_rate:g} and a new --workdir:\n  "
                + "\n  ".join(images)
            ) from error


def _check_batch(recipe: Recipe, strategy: tf.distribute.Strategy) -> None:
    replicas = strategy.num_replicas_in_sync
    if recipe.batch_size % replicas:
        raise ValueError(
            f"A batch is divided evenly between {replicas} replicas; received --batch-size "
            f"{recipe.batch_size}. Pass a multiple of {replicas}, or --strategy one."
        )


def _check_workers(
    recipe: Recipe, fingerprints: dict[str, str], strategy: tf.distribute.Strategy
) -> None:
    """Compares a hash of the recipe and the data between the workers."""
    worker, workers = worker_of(strategy)
    if workers == 1:
        return
    mine = json.dumps([dataclasses.asdict(recipe), fingerprints], sort_keys=True)
    hashes = np.zeros((workers, 32))
    hashes[worker] = list(hashlib.sha256(mine.encode()).digest())
    hashes = add_up(hashes, strategy)
    others = [str(other) for other in range(workers) if (hashes[other] != hashes[0]).any()]
    if others:
        raise ValueError(
            "All workers of a run have the same options and the same examples; those of worker "
            f"{', '.join(others)} differ from those of worker 0. Give all workers the same command "
            "and the same data."
        )
