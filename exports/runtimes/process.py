"""Loads an exported file in a process of its own, which never imports TensorFlow's Python.

Its answers cannot depend on Keras or on this project, and its memory is not that of the exporting
process. The other end of the pipe is `_serve`, below.
"""

import contextlib
import dataclasses
import importlib
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

_LAST_SECONDS = 5  # in which a process ends that has closed its pipe

AskWithCost = Callable[[str, Mapping[str, np.ndarray]], "Answer"]


@dataclasses.dataclass(frozen=True)
class Answer:
    """The outputs by their names, and what they cost.

    Args:
        outputs: As an `exports.runtimes.Ask` gives them.
        seconds: The time of the request.
        peak_bytes: The most memory that the process has held since it started, the loaded model
            included; None where the system does not say.
    """

    outputs: dict[str, np.ndarray]
    seconds: float
    peak_bytes: int | None


@contextlib.contextmanager
def loaded(
    path: pathlib.Path,
    loader: str = "tensorflow_c",
    *,
    python: str | None = None,
    limit: float = 600,
) -> Iterator[AskWithCost]:
    """As `loaded` of a loader's module, in another process.

    Args:
        path: A file, or the folder of a SavedModel.
        loader: The name of a module of `exports.runtimes`, or the whole name of another one.
        python: The Python that runs the process, 3.11 or later with NumPy; this one if None.
        limit: The most seconds for loading, and for an answer.

    Raises:
        TimeoutError: It took longer.
        exports.runtimes.StatusError: TensorFlow refuses the files or the request.
        ValueError, RuntimeError: Another loader refuses them.
        KeyError: No such signature, or one with other inputs.
        OSError: This installation of TensorFlow has no library for C; the process ended.
    """
    command = [python or sys.executable, "-P", __file__, str(pathlib.Path(path).absolute()), loader]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, env=environment) as process,
    ):

        def exchanged(request: Any = None) -> Any:
            """Sends a request, if there is one, and waits for the reply to it."""
            late = threading.Event()
            timer = threading.Timer(limit, lambda: (late.set(), process.kill()))
            timer.start()
            try:
                if request is not None:  # waits, too, where the process does not read
                    with contextlib.suppress(BrokenPipeError):
                        pickle.dump(request, process.stdin)
                        process.stdin.flush()
                reply = pickle.load(process.stdout)
            except (EOFError, pickle.UnpicklingError) as error:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LAST_SECONDS)
                if late.is_set():
                    raise TimeoutError(f"{path} did not answer within {limit} s") from error
                said.seek(0)
                raise _ended(path, process.poll(), said.read()) from error
            finally:
                timer.cancel()
            if isinstance(reply, Exception):
                raise reply
            return reply

        def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> Answer:
            return Answer(*exchanged((signature, inputs)))

        try:
            exchanged()
            yield ask
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _ended(path: pathlib.Path, status: int | None, said: bytes) -> OSError:
    end = "closed its pipe" if status is None else f"ended with {status}"
    killed = status == -signal.SIGKILL
    return OSError(
        f"A file is loaded in a process of its own; that of {path} {end}: "
        f"{said.decode(errors='replace').strip()[-500:]!r}. "
        + ("The system kills what takes too much memory: free some memory." * killed)
        + ("Install what it names again, or export another format." * (not killed))
    )


def _serve(path: pathlib.Path, loader: str) -> None:
    """Loads a file and answers requests until the process is killed."""
    # The other Python need not have this package installed; its own __init__ would import the zoo.
    package = sys.modules["exports"] = types.ModuleType("exports")
    package.__path__ = [str(pathlib.Path(__file__).parents[1])]
    sys.path.append(str(pathlib.Path(__file__).parents[2]))  # where the zoo lies
    module = importlib.import_module(loader if "." in loader else f"exports.runtimes.{loader}")

    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what TensorFlow prints must not get between the replies

    def reply(content: Any) -> None:
        pickle.dump(content, replies)
        replies.flush()

    try:
        if loader == "tensorflow_c":
            importlib.import_module("exports.runtimes.tensorflow_c_api").forbid_xla()
        with module.loaded(path) as ask:
            reply(None)
            while True:
                signature, inputs = pickle.load(sys.stdin.buffer)
                start = time.perf_counter()
                try:
                    outputs = ask(signature, inputs)
                    reply((outputs, time.perf_counter() - start, peak_bytes()))
                except (RuntimeError, ValueError, KeyError) as error:
                    reply(error)
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        reply(error)


def peak_bytes() -> int | None:
    """The most memory that this process has held; None where the system does not say."""
    # Not resource.getrusage: it counts what the parent held when it started this process.
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    _serve(pathlib.Path(sys.argv[1]), sys.argv[2])
