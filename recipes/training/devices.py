"""The devices and workers of a run, its lock on the workdir, and its stop signals."""

import contextlib
import os
import pathlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.training.recipe import RunError
from zoo import files

_NVIDIA = pathlib.Path("/dev/nvidiactl")  # there with the driver of NVIDIA


def choose_strategy(name: str, *, batch_size: int) -> tf.distribute.Strategy:
    """A strategy by its name on the command line.

    "auto" takes the workers of TF_CONFIG if it is set, else all GPUs, or one GPU if the batch
    cannot be divided evenly between them.

    Raises:
        ValueError: TF_CONFIG does not describe workers.
        RunError: Not all workers started.
    """
    if name == "auto" and os.environ.get("TF_CONFIG"):
        name = "workers"
    elif name == "auto":
        count = len(tf.config.list_physical_devices("GPU"))
        name = "one" if count < 2 or batch_size % count else "mirrored"
        if not count and _NVIDIA.exists():
            print(
                "TensorFlow finds no GPU, and trains without; TF_CPP_MIN_LOG_LEVEL=0 lets it say "
                "why",
                flush=True,
            )
        if name == "one" and count > 1:
            print(
                f"on one of {count} GPUs: they cannot share --batch-size {batch_size}",
                flush=True,
            )
    if name == "workers":
        return _workers()
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()


def _workers() -> tf.distribute.Strategy:
    """The workers of TF_CONFIG; waits until all of them have started."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    try:
        count = sum(map(len, resolver.cluster_spec().as_dict().values()))
        if not count:
            raise ValueError("no cluster")
        if count > 1:
            print(f"waiting until all {count} workers of TF_CONFIG have started", flush=True)
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "--strategy workers trains on the cluster that TF_CONFIG describes, such as "
            '{"cluster": {"worker": ["a:12345", "b:12345"]}, "task": {"type": "worker", "index": '
            f"0}}}}; received {os.environ.get('TF_CONFIG', '')!r} ({error}). Set TF_CONFIG on each "
            "worker, or pass --strategy one."
        ) from error
    except tf.errors.OpError as error:
        raise RunError(
            f"The workers of TF_CONFIG start together; one of them did not ({error.message}). "
            "Start the same command on all of them again."
        ) from error


def worker_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """The number of this worker, from 0, and the number of workers."""
    resolver = strategy.cluster_resolver
    if resolver is None:
        return 0, 1
    jobs = resolver.cluster_spec().as_dict()
    chiefs = len(jobs.get("chief", []))
    before = 0 if resolver.task_type == "chief" else chiefs
    return before + resolver.task_id, chiefs + len(jobs.get("worker", []))


def add_up(array: np.ndarray, strategy: tf.distribute.Strategy) -> np.ndarray:
    """The sum of an array over the workers. A collective: all workers must call it."""
    mine = iter([array])  # of the first replica of this worker; the others add zeros
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(next(mine, np.zeros_like(array)))
    )
    return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()


@contextlib.contextmanager
def output_folder(
    workdir: pathlib.Path, strategy: tf.distribute.Strategy
) -> Iterator[pathlib.Path]:
    """The folder to write to: the workdir for the first worker, a temporary one for the others.

    Reading a replicated variable is a collective: all workers must save. The first worker makes the
    workdir and locks it; a block that fails before it writes leaves no new folder.

    Raises:
        ValueError: The workdir is a file, or holds a file called lock that no run wrote.
        RunError: Another process writes to the workdir.
    """
    if worker_of(strategy)[0]:
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder)
        return
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"--workdir is a folder; {workdir} is a file. Pass a new folder.")
    with contextlib.ExitStack() as stack:
        stack.enter_context(files.making(workdir))
        try:
            stack.enter_context(files.locked(workdir / files.LOCK))
        except files.InUseError as error:
            raise RunError(
                f"One run at a time writes to a --workdir; {error} writes to {workdir}. Wait for "
                "it, or end it and run the same command again."
            ) from None
        yield workdir


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGINT, SIGTERM and SIGHUP, so that the step can end and be saved.

    A second one kills. SIGHUP stays ignored where nohup ignores it.
    """
    received = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hangup = getattr(signal, "SIGHUP", None)  # not of Windows
    if hangup and signal.getsignal(hangup) is not signal.SIG_IGN:
        before[hangup] = signal.getsignal(hangup)

    def receive(number: int, frame: Any) -> None:
        received.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)
        with contextlib.suppress(RuntimeError):  # it came while another line was written
            print("stopping after this step, then saving; once more: stop at once", flush=True)

    try:
        for number in before:
            signal.signal(number, receive)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
