"""What all commands share: short usage errors, one way to fail, and text that is safe to print."""

import argparse
import difflib
import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

WRONG_REQUEST = 2
FAILED = 1


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
    """Runs a command and turns its errors into a message and an exit status.

    Args:
        command: Returns the exit status.
        prog: Its name, such as "zoo export"; begins the message.
        failures: Errors that are no fault of the request: exit status 1. ValueError, TypeError,
            OSError and ImportError are faults of the request: 2.
    """
    try:
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
    print(f"{prog}: {printable(str(message))}", file=sys.stderr)
    return status


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


def nearest(text: str, choices: Sequence[str]) -> str:
    """The choice that is most like the text; the first if none is.

    >>> nearest("fldr", ["coins", "folder"])
    'folder'
    """
    return (difflib.get_close_matches(str(text), choices, n=1) or choices)[0]


def positive(text: str) -> int:
    """A whole number from 1, for argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: The text is not such a number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"takes a whole number from 1; received {text!r}")
    return int(text)


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
