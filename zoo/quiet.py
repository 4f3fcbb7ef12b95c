"""Keeps TensorFlow's start-up messages off the terminal of a command."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# The prefix of absl's INFO lines, the banner before the first one, the only second line that is
# known, and the message on a machine with NVIDIA's library and without a GPU. What the converter to
# TFLite says of its own options, and LiteRT of its kernels.
_CHATTER = re.compile(
    rb"I\d{4} |WARNING: All log messages before absl|To enable the following inst"
    rb"|E\d{4} .*cuInit: |W\d{4} .*(tf_tfl_flatbuffer_helpers|flatbuffer_export)\.cc|INFO: "
)


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras, and looks for devices; commands call it before they need them.

    TensorFlow 2.21 writes to the standard error from C++ before it reads `TF_CPP_MIN_LOG_LEVEL`, so
    no setting reaches these lines. INFO messages and the failed search for a GPU are left out;
    everything else is shown, and all of it if the import fails. Later, TensorFlow would warn of
    each error before it raises it, with a trace; errors without an exception are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with without_chatter():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Leaves lines without interest out of what the block's C++ writes to the standard error.

    All of it is shown after the block, and nothing is left out where the block fails.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
        except OSError:  # no temporary folder; or no standard error, which is quiet then
            yield
            return
        keep = b""
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
