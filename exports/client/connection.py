"""A connection to TensorFlow Serving, by REST or by gRPC."""

import contextlib
import dataclasses
import itertools
import pathlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from exports.client import errors, messages, rest, rpc
from exports.client.errors import RefusedError
from exports.client.messages import Outputs, Send
from exports.client.server import Server

TIMEOUT, RETRIES = 60, 3

MAX_NAME = 100
"""The most characters of a class name that are kept."""

_FIRST_PAUSE, _MAX_PAUSE = 0.5, 30  # seconds

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Class:
    """A class of the served model: its name, whether it is background, red, green and blue."""

    name: str
    is_background: bool
    colour: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Connection:
    """What can be asked; `connected` makes one.

    Args:
        server: The model and the place where it is served.
        send: Sends one value to an input of a signature; returns the answer as it came.
        parse: The outputs of an answer, by name.
        timeout: The most seconds from a question to the last byte of its answer.
        retries: How often a question is asked again when the server says to come back.
        head: Of a model with several heads, the one that answers, if it is not the first.
    """

    server: Server
    send: Send
    parse: Callable[[bytes], Outputs]
    timeout: float
    retries: int
    head: str | None = None

    def of_head(self, name: str) -> "Connection":
        """The same, for the head of this name.

        Raises:
            ServerError: The model has no such head, or the server does not answer.
        """
        heads = self.heads()
        if name not in heads:
            raise errors.no_head(self.server, name, heads)
        return dataclasses.replace(self, head=None if name == heads[0] else name)

    def heads(self) -> tuple[str, ...]:
        """The names of the model's heads, the first one first; none of a model with one head.

        Raises:
            ServerError: There is no server or no such model, or it answers otherwise.
        """

        def read(outputs: Outputs) -> tuple[str, int]:
            (count,) = outputs["count"]
            return errors.short(_bytes(outputs["name"]).decode(), MAX_NAME), _byte(count)

        try:
            first, count = self._asked("heads", "index", 0, read)
        except RefusedError as error:
            if "signature" not in str(error):
                raise
            return ()
        others = [self._asked("heads", "index", number, read)[0] for number in range(1, count)]
        return (first, *others)

    def mask_png(self, image_bytes: bytes) -> bytes | None:
        """The bytes of a grey PNG whose values are the classes, of the image's own size.

        Args:
            image_bytes: Of a JPEG or PNG file.

        Returns:
            None if the server cannot decode the image, or if it is too large.

        Raises:
            ServerError: There is no server or no such model, or it answers otherwise.
        """

        def read(outputs: Outputs) -> bytes | None:
            return _bytes(outputs["mask_png_bytes"]) if _truth(outputs["valid"]) else None

        return self._asked(self._of_head("mask_png"), "image_bytes", image_bytes, read)

    def class_of(self, number: int) -> Class:
        """What a class number means.

        Raises:
            RefusedError: The model has no such class, or was exported without class names.
            ServerError: As `mask_png`.
        """

        def read(outputs: Outputs) -> Class:
            red, green, blue = (_byte(part) for part in outputs["colour"])
            name = errors.short(_bytes(outputs["name"]).decode("utf-8", "replace"), MAX_NAME)
            background = _truth(outputs["is_background"])
            return Class(name or f"class {number}", background, (red, green, blue))

        return self._asked(self._of_head("class_names"), "index", number, read)

    def _of_head(self, signature: str) -> str:
        return signature if self.head is None else f"{signature}_{self.head}"

    def _asked(
        self, signature: str, name: str, value: bytes | int, read: Callable[[Outputs], _Result]
    ) -> _Result:
        answer = self._answer(signature, name, value)
        try:
            return read(self.parse(answer))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise errors.no_answer(self.server, signature, name, answer) from error

    def _answer(self, signature: str, name: str, value: bytes | int) -> bytes:
        end = time.monotonic() + self.timeout
        for tries in itertools.count():
            try:
                return self.send(signature, name, value, max(0.001, end - time.monotonic()))
            except TimeoutError as error:
                raise errors.slow(self.server, self.timeout) from error
            except errors.BusyError as busy:
                # Clients that were turned away together must not come back together.
                pause = min(_FIRST_PAUSE * 2 ** min(tries, 9), _MAX_PAUSE) * random.uniform(0.5, 1)
                pause = max(pause, busy.after)
                if time.monotonic() + pause >= end:
                    more = " and more --retries" if tries == self.retries else ""
                    raise errors.later(self.server, busy, self.timeout, more) from busy
                if tries == self.retries:
                    raise
                time.sleep(pause)


@contextlib.contextmanager
def connected(
    url: str,
    model: str,
    *,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
    version: int | None = None,
    label: str | None = None,
    headers: Mapping[str, str] | None = None,
    ca: str | pathlib.Path | None = None,
) -> Iterator[Connection]:
    """Connects to a served model.

    ```python
    with connected("grpc://localhost:8500", "unet") as server:
        png = server.mask_png(pathlib.Path("photograph.jpg").read_bytes())
        server.class_of(1).name  # "coin"
    ```

    Args:
        url: `http://` or `https://` and the host and port of the REST interface, or `grpc://` or
            `grpcs://` and those of the gRPC interface; 8501 and 8500 unless the server was told
            otherwise. The `s` is for an encrypted connection.
        model: The name under which it is served.
        timeout: The most seconds from a question to the last byte of its answer, with all retries.
        retries: How often a question is asked again when the server is busy or not ready (REST: 429
            and 503; gRPC: RESOURCE_EXHAUSTED and UNAVAILABLE). The pause doubles from 0.5 s on,
            less a random part, or is what the server says (`Retry-After`); it ends before the
            timeout.
        version: The number of a version; the highest that is served if None.
        label: The label of a version instead.
        headers: Sent with each request, such as `{"Authorization": "Bearer …"}`.
        ca: A PEM file with the certificates to trust instead of the system's.

    Raises:
        ValueError: An argument is invalid.
        OSError: The PEM file cannot be read.
        ImportError: gRPC is not installed.
    """
    if not 0 < timeout <= errors.MAX_TIMEOUT:
        raise ValueError(
            f"A timeout is a number of seconds above 0, and a day at most; received {timeout:g}. "
            f"Pass --timeout {TIMEOUT}."
        )
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(
            f"Retries are a whole number from 0; received {retries!r}. Pass --retries {RETRIES}."
        )
    pem = None if ca is None else _pem(ca)
    server = Server(url, model, version, label, dict(headers or {}), pem)
    if server.speaks_rest:
        yield Connection(server, rest.sender(server), rest.outputs, timeout, retries)
    else:
        with rpc.sender(server) as send:
            yield Connection(server, send, messages.outputs, timeout, retries)


def _pem(path: str | pathlib.Path) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise OSError(
            f"A --ca is a PEM file with the certificates to trust; {path} cannot be read "
            f"({error.strerror}). Pass another, or none to trust the system's."
        ) from error


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a string is bytes; received {type(value).__name__}")
    return value


def _byte(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise ValueError("a colour has parts from 0 to 255")
    return value


def _truth(output: Any) -> bool:
    (value,) = output
    if value not in (0, 1):
        raise ValueError("a truth is 0 or 1")
    return bool(value)
