"""Saves and resumes the exact state of a run, and loses nothing when it is killed.

A checkpoint holds every variable of the model (its random generators too) and of the optimizer, the
step, and what the log needs. It is written beside its place, synced and renamed, its index last: a
run that is killed while it saves still has the checkpoint before. Only checkpoints that the run
wrote itself, by its list `steps.json`, are read, replaced and deleted.
"""

import dataclasses
import errno
import json
import os
import pathlib
import re
import shutil

import keras
import numpy as np
import tensorflow as tf

from recipes.training.loss_scale import LossScale
from recipes.training.recipe import RunError
from zoo import files
from zoo import workdir as workdirs
from zoo.terminal import remedy, tell
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
    summed: tf.Variable = dataclasses.field(default_factory=lambda: _number(0, tf.int64))
    """How many steps that sum is over: --log-every may change when a run is resumed."""
    loss_scale: LossScale | None = None
    """That of float16."""

    def variables(self) -> dict[str, list]:
        """Everything that is saved, by position: names of seed generators differ between builds."""
        return {
            "model": [variable.value for variable in self.model.variables],
            "optimizer": [variable.value for variable in self.optimizer.variables],
            "run": [self.step, self.seconds],
            "log": [self.losses, self.summed],
            **({"loss_scale": self.loss_scale.variables()} if self.loss_scale else {}),
        }


def save(state: State, workdir: pathlib.Path) -> None:
    """Writes a checkpoint and deletes all but the newest three.

    Raises:
        NotFiniteError: A variable is not finite.
        RunError: The checkpoint cannot be written; those before it are as they were.
        OSError: The workdir is gone.
    """
    step, folder = int(state.step), workdir / workdirs.CHECKPOINTS
    check_finite(step, state.model.variables + state.optimizer.variables)
    try:
        folder.mkdir(exist_ok=True)
        with files.unfinished_folder(folder) as unfinished:
            tf.train.Checkpoint(**state.variables()).write(str(unfinished / f"ckpt-{step}"))
            own = _publish(unfinished, workdir, step)
    except (OSError, tf.errors.OpError) as error:
        if not workdir.is_dir():
            raise
        # TensorFlow's errors have no number; a full disk is what they mostly are.
        known = error if isinstance(error, OSError) else OSError(errno.ENOSPC, str(error))
        raise RunError(
            f"The checkpoint of step {step} cannot be written to {folder} "
            f"({first_line(error)}){_missing(state, folder)}. {intact(workdir)} "
            f"{remedy(known)}"
        ) from error
    for old in own - {step, *workdirs.steps(workdir)[:_KEPT]}:
        for part in reversed(_parts(folder, old)):  # without its index it is not read
            part.unlink()


def _publish(unfinished: pathlib.Path, workdir: pathlib.Path, step: int) -> set[int]:
    """Puts the files of a checkpoint in their place; gives the steps of all that the run wrote."""
    folder = workdir / workdirs.CHECKPOINTS
    listed, parts = workdirs.written_steps(workdir), _parts(unfinished, step)
    own = {old for old in listed or () if _parts(folder, old)}
    if listed is None:  # written by an earlier version
        own = set(workdirs.steps(workdir))
    theirs = [part.name for part in parts if step not in own and (folder / part.name).exists()]
    if theirs:
        raise RunError(
            f"The checkpoint of step {step} is written to {folder / theirs[0]}; that file is there "
            f"and is not of this run. {intact(workdir)} Move it away and run the same command "
            "again."
        )
    for part in parts:
        files.sync_one(part)
    # Listed before it is there: a file that is not listed is taken for that of somebody else.
    files.write_text(folder / workdirs.STEPS, json.dumps(sorted(own | {step})) + "\n")
    for part in parts:
        os.replace(part, folder / part.name)
    files.sync_one(folder)
    return own | {step}


def _parts(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
    """The files of a checkpoint: the values, then the index."""
    name = re.compile(rf"ckpt-{step}\.(index|data-\d{{5}}-of-\d{{5}})")
    return sorted(file for file in folder.glob(f"ckpt-{step}.*") if name.fullmatch(file.name))


def check_finite(step: int, variables: list[keras.Variable]) -> None:
    """Raises NotFiniteError if a number of the variables is not finite."""
    for variable in variables:
        is_float = variable.dtype.startswith(("float", "bfloat"))
        if is_float and not np.isfinite(variable.numpy()).all():
            raise NotFiniteError(step, f"{variable.path} is no longer finite")


def resume(state: State, workdir: pathlib.Path) -> None:
    """Restores the newest checkpoint that is whole; does nothing if there is none.

    Raises:
        RunError: None of the checkpoints can be read, or they do not fit the model.
    """
    found, folder = workdirs.steps(workdir), workdir / workdirs.CHECKPOINTS
    for step in found:
        try:
            with readable(folder / f"ckpt-{step}") as prefix:
                _restore(state, prefix)
        except (
            tf.errors.OpError,
            IndexError,
            RuntimeError,
        ) as error:  # IndexError: cut off
            tell(f"the checkpoint of step {step} is damaged ({first_line(error)})")
            continue
        except (AssertionError, ValueError) as error:
            raise RunError(
                f"The checkpoint of step {step} in {folder} is of another version of "
                f"segmentation-zoo or of another model: it does not fit ({first_line(error)}). "
                "Resume with the version that wrote it, or save its weights in Python, "
                f"zoo.weights.save(zoo.load({str(workdir)!r}), 'start.weights.h5'), and start from "
                "them with --encoder-weights start.weights.h5 and a new --workdir."
            ) from error
        if step:
            print(f"going on from step {step}", flush=True)
        return
    if found:
        raise RunError(
            f"All {len(found)} checkpoints in {folder} are damaged. Pass a new --workdir."
        )


def _restore(state: State, prefix: str) -> None:
    parts = state.variables()
    if not any(name.startswith("log/") for name, _ in tf.train.list_variables(prefix)):
        # Version 0.1 had no count of the steps in its sum of losses: the sum begins anew.
        parts["run"] += [_number(0, tf.float64), _number(0, tf.int64)]
        for part in parts.pop("log"):
            part.assign(0)
    tf.train.Checkpoint(**parts).read(prefix).assert_consumed()


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
