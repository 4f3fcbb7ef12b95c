"""Exact, crash-proof saving and resuming, and the weights that a run hands on.

A checkpoint holds every variable of the model, those of its random generators too, every variable
of the optimizer, the step and what the log needs. TensorFlow writes it beside its place and renames
it, so that a run that is killed while it saves still has the checkpoint before.
"""

import dataclasses
import pathlib
import re
import shutil

import keras
import numpy as np
import tensorflow as tf

import zoo.weights
from recipes.recipe import RecipeError

_KEPT = 3  # the newest, and two to fall back to


@dataclasses.dataclass(frozen=True)
class State:
    """All that the next step depends on; made outside of the scope of a strategy."""

    model: keras.Model
    optimizer: keras.Optimizer
    step: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.int64))
    seconds: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.float64))
    losses: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.float64))
    """The sum of the losses since the last row of the log."""

    def variables(self) -> dict[str, list]:
        """Everything that is saved. By position: the paths of seed generators are counted up."""
        return {
            "model": [variable.value for variable in self.model.variables],
            "optimizer": [variable.value for variable in self.optimizer.variables],
            "run": [self.step, self.seconds, self.losses],
        }


def save(state: State, folder: pathlib.Path) -> None:
    """Writes a checkpoint, and deletes all but the newest three.

    Raises:
        RecipeError: A variable is not finite, or the checkpoint cannot be written.
    """
    step = int(state.step)
    for variable in state.model.variables + state.optimizer.variables:
        if (
            variable.dtype.startswith(("float", "bfloat"))
            and not np.isfinite(variable.numpy()).all()
        ):
            raise RecipeError(
                f"step {step}: {variable.path} is no longer finite. Nothing of it was saved; "
                f"{_intact(folder)} Pass a smaller --learning-rate and a new --workdir."
            )
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**state.variables()), str(folder), max_to_keep=_KEPT
    )
    try:
        manager.save(checkpoint_number=step)
    except (OSError, tf.errors.OpError) as error:
        sweep(folder)
        raise RecipeError(
            f"The checkpoint of step {step} cannot be written to {folder} "
            f"({_first_line(error)}). {_intact(folder)} Free some space there and run the same "
            "command again."
        ) from error


def resume(state: State, folder: pathlib.Path) -> None:
    """Restores the newest checkpoint that is whole; does nothing where there is none.

    Raises:
        RecipeError: No checkpoint of several can be read, or they are of another model.
    """
    sweep(folder)
    checkpoint = tf.train.Checkpoint(**state.variables())
    steps = _steps(folder)
    for step in steps:
        try:
            checkpoint.restore(str(folder / f"ckpt-{step}")).assert_consumed()
        except (tf.errors.OpError, IndexError, RuntimeError) as error:  # an IndexError: cut off
            print(f"the checkpoint of step {step} is damaged ({_first_line(error)})", flush=True)
            continue
        except (AssertionError, ValueError) as error:
            raise RecipeError(
                f"The checkpoint of step {step} in {folder} is of another model "
                f"({_first_line(error)}). Go on with the version that wrote it, or pass a new "
                "--workdir."
            ) from error
        print(f"going on from step {step}", flush=True)
        return
    if steps:
        raise RecipeError(
            f"All {len(steps)} checkpoints in {folder} are damaged. Pass a new --workdir."
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
            f"{file} cannot be written ({_first_line(error)}). The checkpoints beside it hold the "
            "whole training. Free some space there and run the same command again."
        ) from error


def sweep(folder: pathlib.Path) -> None:
    """Removes what an interrupted save has left behind."""
    for leftover in folder.glob("ckpt-*_temp*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _steps(folder: pathlib.Path) -> list[int]:
    """The steps of the checkpoints in a folder, newest first.

    From the files: the list that TensorFlow keeps of them can be damaged too.
    """
    names = (re.fullmatch(r"ckpt-(\d+)\.index", file.name) for file in folder.glob("ckpt-*.index"))
    return sorted((int(name[1]) for name in names if name), reverse=True)


def _intact(folder: pathlib.Path) -> str:
    steps = _steps(folder)
    return f"The checkpoint of step {steps[0]} is intact." if steps else "There is none before it."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _number(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(value, dtype=dtype, trainable=False)
