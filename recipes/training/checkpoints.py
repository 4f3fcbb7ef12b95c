"""Saves and resumes the exact state of a run, and loses nothing when it is killed.

A checkpoint holds every variable of the model (its random generators too) and of the optimizer, the
step, and what the log needs. TensorFlow writes it beside its place and renames it, so a run that is
killed while it saves still has the checkpoint before.
"""

import dataclasses
import pathlib
import re
import shutil

import keras
import numpy as np
import tensorflow as tf

from recipes.training import records
from recipes.training.recipe import RunError
from zoo import files
from zoo import workdir as workdirs
from zoo.weights.checkpoint import readable

_KEPT = 3  # the newest, and two to fall back to


class NotFiniteError(Exception):
    """A step gave numbers that are not finite; nothing of it was saved."""

    def __init__(self, step: int, what: str):
        super().__init__(what)
        self.step = step


@dataclasses.dataclass(frozen=True)
class State:
    """Everything that the next step depends on; made outside of a strategy's scope."""

    model: keras.Model
    optimizer: keras.Optimizer
    step: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.int64))
    seconds: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.float64))
    losses: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.float64))
    """The sum of the losses since the last row of the log."""
    scored: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.int64))
    """The last step whose scores are in scores.csv."""

    def variables(self) -> dict[str, list]:
        """Everything that is saved, by position: names of seed generators differ between builds."""
        return {
            "model": [variable.value for variable in self.model.variables],
            "optimizer": [variable.value for variable in self.optimizer.variables],
            "run": [self.step, self.seconds, self.losses, self.scored],
        }


def save(state: State, workdir: pathlib.Path) -> None:
    """Writes a checkpoint and deletes all but the newest three.

    Raises:
        NotFiniteError: A variable is not finite.
        RunError: The checkpoint cannot be written.
    """
    step, folder = int(state.step), workdir / workdirs.CHECKPOINTS
    check_finite(step, state.model.variables + state.optimizer.variables)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tf.train.Checkpoint(**state.variables()).write(str(folder / f"ckpt-{step}"))
        for path in (*folder.glob(f"ckpt-{step}.*"), folder):
            files.sync_one(path)
    except (OSError, tf.errors.OpError) as error:
        sweep(workdir)
        _delete(folder, step)  # TensorFlow writes the index in its place
        raise RunError(
            f"The checkpoint of step {step} cannot be written to {folder} "
            f"({first_line(error)}){_missing(state, folder)}. {intact(workdir)} Free some space "
            "there and run the same command again."
        ) from error
    for old in workdirs.steps(workdir)[_KEPT:]:
        _delete(folder, old)


def check_finite(step: int, variables: list[keras.Variable]) -> None:
    """Raises NotFiniteError if a number of the variables is not finite."""
    for variable in variables:
        is_float = variable.dtype.startswith(("float", "bfloat"))
        if is_float and not np.isfinite(variable.numpy()).all():
            raise NotFiniteError(step, f"{variable.path} is no longer finite")


def _delete(folder: pathlib.Path, step: int) -> None:
    """Deletes a checkpoint: first its index, without which it is not read."""
    for part in sorted(folder.glob(f"ckpt-{step}.*"), reverse=True):
        part.unlink()


def resume(state: State, workdir: pathlib.Path) -> None:
    """Restores the newest checkpoint that is whole; does nothing if there is none.

    Raises:
        RunError: None of the checkpoints can be read, or they are of another model.
    """
    checkpoint = tf.train.Checkpoint(**state.variables())
    found, folder = workdirs.steps(workdir), workdir / workdirs.CHECKPOINTS
    for step in found:
        try:
            with readable(folder / f"ckpt-{step}") as prefix:
                checkpoint.read(prefix).assert_consumed()
        except (
            tf.errors.OpError,
            IndexError,
            RuntimeError,
        ) as error:  # IndexError: cut off
            print(f"the checkpoint of step {step} is damaged ({first_line(error)})", flush=True)
            continue
        except (AssertionError, ValueError) as error:
            raise RunError(
                f"The checkpoint of step {step} in {folder} is of another model "
                f"({first_line(error)}). Resume with the version that wrote it, or pass a new "
                "--workdir."
            ) from error
        if step:
            print(f"going on from step {step}", flush=True)
        return
    if found:
        raise RunError(
            f"All {len(found)} checkpoints in {folder} are damaged. Pass a new --workdir."
        )


def sweep(workdir: pathlib.Path) -> None:
    """Removes what interrupted saves left; only for the process that writes to the workdir."""
    for name in (workdirs.WEIGHTS, workdirs.BEST, workdirs.RECIPE, records.LOG, records.SCORES):
        for ending in ("", ".sha256"):
            for leftover in workdir.glob(files.UNFINISHED + "[0-9a-f]" * 8 + f"-{name}{ending}"):
                leftover.unlink()
    folder = workdir / workdirs.CHECKPOINTS
    for leftover in folder.glob("ckpt-*_temp*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for values in folder.glob("ckpt-*.data-*"):
        if not values.with_suffix(".index").exists():
            values.unlink()


def intact(workdir: pathlib.Path) -> str:
    """A sentence on the checkpoint from which the run can be resumed."""
    newest = next(iter(workdirs.steps(workdir)), None)
    return "There is none before it." if newest is None else f"That of step {newest} is intact."


def _missing(state: State, folder: pathlib.Path) -> str:
    """How many bytes a further checkpoint lacks, as a text; empty if the disk has enough."""
    needs = sum(
        int(np.prod(x.shape)) * x.dtype.size for part in state.variables().values() for x in part
    )
    room = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    missing = needs - shutil.disk_usage(room).free
    if missing <= 0:
        return ""
    return f": it needs {needs:,} bytes at least, and {missing:,} are missing"


def first_line(error: Exception) -> str:
    """The first line of an error that says why, without TensorFlow's trace."""
    text = re.sub(r"\{\{.*?\}\} ?", "", str(error))
    where = ("Graph execution error:", "Detected at node ", "  File ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(where)]
    return (lines or [type(error).__name__])[0][:200]


def _number(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(value, dtype=dtype, trainable=False)
