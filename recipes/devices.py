"""Where a run computes and writes, and how it is asked to stop."""

import contextlib
import pathlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from recipes.recipe import RecipeError


def choose_strategy(name: str) -> tf.distribute.Strategy:
    """A strategy by its name on the command line; "auto" looks at TF_CONFIG, then at the GPUs."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if name == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        name = "mirrored" if several else "one"
        name = "workers" if resolver.cluster_spec().jobs else name
    if name == "workers":
        if not resolver.cluster_spec().jobs:
            raise RecipeError(
                "--strategy workers trains on the cluster that TF_CONFIG describes; it is not set. "
                "Set TF_CONFIG on each worker, or pass --strategy one."
            )
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()


@contextlib.contextmanager
def output_folder(
    workdir: pathlib.Path, strategy: tf.distribute.Strategy
) -> Iterator[pathlib.Path]:
    """The folder to write to: the workdir, or for all but the first worker one to throw away.

    Every worker has to save: TensorFlow adds up what the workers hold while it reads a variable.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type == "chief" or not resolver.task_id:
        workdir.mkdir(parents=True, exist_ok=True)
        yield workdir
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, so that a step can end and be saved; a second one kills."""
    received = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def receive(number: int, frame: Any) -> None:
        received.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)
        print("stopping after this step, then saving; once more: stop at once", flush=True)

    try:
        for number in before:
            signal.signal(number, receive)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
