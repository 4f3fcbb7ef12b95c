"""What one run is: its recipe, data, state, devices and folders."""

import dataclasses
import pathlib

import tensorflow as tf

from recipes.data import Dataset
from recipes.training.checkpoints import State
from recipes.training.devices import worker_of
from recipes.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Run:
    """A run while it trains.

    `workdir` is shared by all workers. `out` is where this worker writes: the workdir for the first
    worker, a temporary folder for the others.
    """

    recipe: Recipe
    splits: dict[str, Dataset]
    state: State
    strategy: tf.distribute.Strategy
    workdir: pathlib.Path
    out: pathlib.Path

    @property
    def step(self) -> int:
        """The number of steps that are done."""
        return int(self.state.step)

    @property
    def workers(self) -> int:
        """The number of workers."""
        return worker_of(self.strategy)[1]

    @property
    def is_first_worker(self) -> bool:
        """Whether this worker writes to the workdir."""
        return worker_of(self.strategy)[0] == 0
