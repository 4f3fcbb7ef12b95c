"""What all commands share: short usage errors, one way to fail, and text that is safe to print."""

import argparse
import contextlib
import difflib
import errno
import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

WRONG_REQUEST = 2
FAILED = 1

_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free some space there"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "Make it and its folder readable and writable"
    ),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST), "Move away what is in its place"),
    errno.ENOENT: "Check its path",
}


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are two lines: what is wrong, and where help is."""

    def __init__(self, **options: Any):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"formatter_class": layout, "allow_abbrev": False} | options)

    def error(self, message: str) -> NoReturn:
        """Prints the two lines and ends the program with status 2."""
        self.exit(
            WRONG_REQUEST,
            f"{self.prog}: {printable(message)}\nRun {self.prog} --help for its options.\n",
        )


def run(
    command: Callable[[], int], *, prog: str, failures: tuple[type[Exception], ...] = ()
) -> int:
    """Runs a command and turns its errors into a message and an exit status; warnings are lines.

    Args:
        command: Returns the exit status.
        prog: Its name, such as "zoo export"; begins the message.
        failures: Errors that are no fault of the request: exit status 1. ValueError, TypeError,
            OSError and ImportError are faults of the request: 2.
    """

    def warn(message: Warning, *where: Any) -> None:
        print(f"{prog}: {printable(str(message))}", file=sys.stderr, flush=True)

    try:
        with warnings.catch_warnings():
            warnings.showwarning = warn
            return command()
    except BrokenPipeError:
        raise  # the reader of the output has ended, such as `head`
    except KeyboardInterrupt:
        print(f"{prog}: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except failures as error:
        status, message = FAILED, error
    except (ValueError, TypeError, OSError, ImportError) as error:
        status, message = WRONG_REQUEST, error
    if isinstance(message, FileNotFoundError) and "temporary directory" in str(message):
        message = f"{message.strerror}. Set TMPDIR to a folder that you may write to."
    elif isinstance(message, OSError) and message.filename and _is_of_system(message):
        cannot = "cannot be read or written"
        message = f"{message.filename} {cannot} ({message.strerror}). {remedy(message)}"
    print(f"{prog}: {printable(str(message))}", file=sys.stderr)
    return status


def _is_of_system(error: OSError) -> bool:
    """Whether an error has the words of the system alone, which are no remedy."""
    return error.errno in _REMEDIES and error.strerror == os.strerror(error.errno)


def remedy(error: Exception) -> str:
    """A sentence on what helps against an error of the system on a file.

    >>> remedy(OSError(errno.ENOSPC, "No space left on device"))
    'Free some space there and run the same command again.'
    """
    what = _REMEDIES.get(getattr(error, "errno", None), "Correct that")
    return f"{what} and run the same command again."


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Lets the work go on when its output can no longer be written, as after `| head` has ended.

    What follows goes nowhere.
    """
    before = sys.stdout, sys.stderr
    # A process that was started without an output has None.
    sys.stdout, sys.stderr = (stream and _Lasting(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Lasting:
    """An output whose errors divert it to the null device."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, call: Callable, *arguments: str) -> None:
        try:
            call(*arguments)
        except OSError:  # what is still in the buffer goes to the same place
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def tell(text: str) -> None:
    """Prints a text with names in it, at once."""
    print(printable(text), flush=True)


def printable(text: str) -> str:
    r"""The text with every control character but the end of a line written as an escape.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'

    File names, class names and answers of servers may hold any character; some would take over the
    terminal.
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def nearest(text: str, choices: Sequence[str]) -> str | None:
    """The choice that is most like the text; None if none is like it.

    >>> nearest("fldr", ["coins", "folder"])
    'folder'
    """
    return next(iter(difflib.get_close_matches(str(text), choices, n=1)), None)


def counted(count: int, thing: str) -> str:
    """A count with its noun.

    >>> counted(1, "image"), counted(2, "image")
    ('1 image', '2 images')
    """
    return f"{count} {thing}{'' if count == 1 else 's'}"


def positive(text: str) -> int:
    """A whole number from 1, for argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: The text is not such a number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"takes a whole number from 1; received {text!r}")
    return int(text)


def above_zero(what: str) -> Callable[[str], float]:
    """A number above 0, for argparse's `type`; `what` is told of another text.

    >>> above_zero("gigabytes, such as 4")("2.5")
    2.5
    """

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"takes {what}; received {text!r}")
        return value

    return number


def font(text: str) -> str:
    """The path of a font file, for argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    from zoo import fonts

    try:
        fonts.load(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def json_object(text: str) -> dict[str, Any]:
    """The value of `--options`, for argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: The text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f"takes a JSON object; received {text!r}. Pass, for example, '{{\"filters\": 16}}'."
        )
    return value
