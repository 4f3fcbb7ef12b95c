"""Exact, crash-proof saving and resuming, and the weights that a run hands on.

A checkpoint holds every variable of the model, those of its random generators too, every variable
of the optimizer, the step and what the log needs. TensorFlow writes it beside its place and renames
it, so that a run that is killed while it saves still has the checkpoint before.
"""

import dataclasses
import os
import pathlib
import re
import shutil

import keras
import numpy as np
import tensorflow as tf

import zoo.weights
from recipes.training.recipe import RecipeError

_KEPT = 3  # the newest, and two to fall back to


class NotFiniteError(Exception):
    """A step brought numbers that are not finite; nothing of it was saved."""

    def __init__(self, step: int, what: str):
        super().__init__(what)
        self.step = step


@dataclasses.dataclass(frozen=True)
class State:
    """All that the next step depends on; made outside of the scope of a strategy."""

    model: keras.Model
    optimizer: keras.Optimizer
    step: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.int64))
    seconds: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.float64))
    losses: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.float64))
    """The sum of the losses since the last row of the log."""
    scored: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.int64))
    """The last step whose scores on the held-out split are written."""

    def variables(self) -> dict[str, list]:
        """Everything that is saved. By position: the paths of seed generators are counted up."""
        return {
            "model": [variable.value for variable in self.model.variables],
            "optimizer": [variable.value for variable in self.optimizer.variables],
            "run": [self.step, self.seconds, self.losses, self.scored],
        }


def save(state: State, folder: pathlib.Path) -> None:
    """Writes a checkpoint, and deletes all but the newest three.

    Raises:
        NotFiniteError: A variable is not finite.
        RecipeError: The checkpoint cannot be written.
    """
    step = int(state.step)
    for variable in state.model.variables + state.optimizer.variables:
        if (
            variable.dtype.startswith(("float", "bfloat"))
            and not np.isfinite(variable.numpy()).all()
        ):
            raise NotFiniteError(step, f"{variable.path} is no longer finite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tf.train.Checkpoint(**state.variables()).write(str(folder / f"ckpt-{step}"))
        for path in (*folder.glob(f"ckpt-{step}.*"), folder):
            _sync(path)
    except (OSError, tf.errors.OpError) as error:
        sweep(folder)
        _delete(folder, step)  # the index is written in its place
        raise RecipeError(
            f"The checkpoint of step {step} cannot be written to {folder} "
            f"({first_line(error)}){_missing(state, folder)}. {intact(folder)} Free some space "
            "there and run the same command again."
        ) from error
    for old in steps(folder)[_KEPT:]:
        _delete(folder, old)


def _delete(folder: pathlib.Path, step: int) -> None:
    """Deletes a checkpoint: first its index, without which it is none."""
    for part in sorted(folder.glob(f"ckpt-{step}.*"), reverse=True):
        part.unlink()


def _sync(path: pathlib.Path) -> None:
    """Waits until it is on the disk, and not in memory that a power cut empties."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def resume(state: State, folder: pathlib.Path) -> None:
    """Restores the newest checkpoint that is whole; does nothing where there is none.

    Raises:
        RecipeError: No checkpoint of several can be read, or they are of another model.
    """
    checkpoint = tf.train.Checkpoint(**state.variables())
    found = steps(folder)
    for step in found:
        try:
            checkpoint.read(str(folder / f"ckpt-{step}")).assert_consumed()
        except (tf.errors.OpError, IndexError, RuntimeError) as error:  # an IndexError: cut off
            print(f"the checkpoint of step {step} is damaged ({first_line(error)})", flush=True)
            continue
        except (AssertionError, ValueError) as error:
            raise RecipeError(
                f"The checkpoint of step {step} in {folder} is of another model "
                f"({first_line(error)}). Go on with the version that wrote it, or pass a new "
                "--workdir."
            ) from error
        if step:
            print(f"going on from step {step}", flush=True)
        return
    if found:
        raise RecipeError(
            f"All {len(found)} checkpoints in {folder} are damaged. Pass a new --workdir."
        )


def publish(model: keras.Model, file: pathlib.Path) -> None:
    """Writes model.weights.h5 and its .sha256.

    Raises:
        RecipeError: It cannot be written, or does not hold the model's weights when read back.
    """
    try:
        zoo.weights.save(model, file)
    except OSError as error:
        raise RecipeError(
            f"{file} cannot be written ({first_line(error)}). The checkpoints beside it hold the "
            "whole training. Free some space there and run the same command again."
        ) from error


def sweep(folder: pathlib.Path) -> None:
    """Removes what an interrupted save has left behind; for the one process that saves there."""
    for leftover in folder.glob("ckpt-*_temp*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for values in folder.glob("ckpt-*.data-*"):
        if not values.with_suffix(".index").exists():
            values.unlink()


def steps(folder: pathlib.Path) -> list[int]:
    """The steps of the checkpoints in a folder, newest first."""
    names = (re.fullmatch(r"ckpt-(\d+)\.index", file.name) for file in folder.glob("ckpt-*.index"))
    return sorted((int(name[1]) for name in names if name), reverse=True)


def intact(folder: pathlib.Path) -> str:
    """A sentence on what there is to go on from."""
    newest = next(iter(steps(folder)), None)
    return "There is none before it." if newest is None else f"That of step {newest} is intact."


def _missing(state: State, folder: pathlib.Path) -> str:
    """How many bytes are missing for one more checkpoint; nothing if the disk has the room."""
    needs = sum(
        int(np.prod(x.shape)) * x.dtype.size for part in state.variables().values() for x in part
    )
    room = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    missing = needs - shutil.disk_usage(room).free
    if missing <= 0:
        return ""
    return f": it needs {needs:,} bytes at least, and {missing:,} are missing"


def first_line(error: Exception) -> str:
    """What an error says, without TensorFlow's account of where."""
    text = re.sub(r"\{\{.*?\}\} ?", "", str(error))
    where = ("Graph execution error:", "Detected at node ", "  File ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(where)]
    return (lines or [type(error).__name__])[0][:200]


def _number(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(value, dtype=dtype, trainable=False)
