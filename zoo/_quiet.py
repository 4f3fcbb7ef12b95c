"""Keeps the messages that TensorFlow writes while it is imported off the user's terminal."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# absl's prefix of an INFO line, the banner before the first of them, and the one known second line.
_CHATTER = re.compile(
    rb"I\d{4} |WARNING: All log messages before absl|To enable the following inst"
)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Holds back what arrives at the standard error, then passes on all but INFO messages.

    TensorFlow 2.21 writes them from C++ before it reads `TF_CPP_MIN_LOG_LEVEL`, so that no setting
    reaches them. What is not an INFO message is shown, and everything is when the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    try:
        stderr = os.dup(2)
    except OSError:  # a process without a standard error has nothing to keep quiet
        yield
        return
    keep = b""
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            keep = held.read()
            raise
        else:
            held.seek(0)
            keep = b"".join(line for line in held if not _CHATTER.match(line))
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            if keep:
                os.write(2, keep)
