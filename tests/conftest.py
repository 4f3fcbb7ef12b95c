"""One setting for all tests: two CPU devices, quick compilers, and tolerances in one place."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

import pytest

# A test compiles a program to run it a few times: most of its time went into making that fast. The
# processes that a test starts inherit it. XLA reads it when TensorFlow or JAX begins.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
)

import tensorflow as tf
from tensorflow.python.framework import config  # the switch back is not public

# Two replicas on one processor. Devices can be divided only before TensorFlow uses them.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """Largest difference between two ways to compute scores, relative to the largest score."""

    same: float = 1e-5  # one engine, another graph: only the order of sums differs
    engine: float = 1e-4  # another engine in float32
    float16: float = 0.1  # against float32, on average over the scores
    bfloat16: float = 0.3  # has an eighth of float16's precision; DeconvNet: 29 layers, switches


@pytest.fixture(scope="session")
def tolerance() -> Tolerance:
    return Tolerance()


@pytest.fixture(scope="session")
def mirrored() -> tf.distribute.Strategy:
    """Two replicas. All tests share one: strategies of a process number their sums alike, and
    TensorFlow takes two sums with one number for one, with an error if their types differ.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def exported_toy(tmp_path_factory) -> Callable[[str, str], pathlib.Path]:
    """`exported_toy(name, form)`: the path of a toy's export, which all tests of a run share."""
    from tests.support.exported import exported  # brings all writers of files

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder of a worker lies in that of the run
        folder = folder.parent
    return functools.partial(exported, folder / "exported")


@pytest.fixture(autouse=True)
def no_determinism_is_left():
    """A run that repeats to the bit asks TensorFlow for it in all that the process does after it,
    and with it XLA refuses some operations.
    """
    yield
    config.disable_op_determinism()
