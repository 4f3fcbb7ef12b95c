"""Runs a Keras model in a process of its own, so that its time and memory can be measured.

`exports.runtimes.process` does the same for an exported file.
"""

import contextlib
import json
import os
import pathlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

# Images uint8 [n, h, w, c] → class map [n, h, w], seconds, peak memory of the process in bytes.
Ask = Callable[[np.ndarray], tuple[np.ndarray, float, int]]

ROOT = pathlib.Path(__file__).parents[1]


@contextlib.contextmanager
def loaded(name: str, **options: object) -> Iterator[Ask]:
    """Loads a model of the zoo with these options; among them, `weights` is a path.

    Raises:
        OSError: The process ended; the message has what it printed.
    """
    command = [sys.executable, "-P", __file__, name, json.dumps(options)]
    pipe = subprocess.PIPE
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process,
    ):

        def ask(images: np.ndarray) -> tuple[np.ndarray, float, int]:
            try:
                pickle.dump(images, process.stdin)
                process.stdin.flush()
                return pickle.load(process.stdout)
            except (EOFError, BrokenPipeError) as error:
                said = process.stderr.read().decode(errors="replace")
                raise OSError(f"The process of {name} ended: {said[-800:]}") from error

        try:
            yield ask
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _serve(name: str, options: dict) -> None:
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    import zoo

    model = zoo.build(name, **options)
    while True:
        images = pickle.load(sys.stdin.buffer)
        start = time.perf_counter()
        class_map = model.predict(images.astype("float32"), verbose=0).argmax(-1)
        seconds = time.perf_counter() - start
        status = pathlib.Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        pickle.dump((class_map.astype(np.uint8), seconds, peak), replies)
        replies.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
