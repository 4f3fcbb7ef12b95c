"""A connection to TensorFlow Serving, by REST or by gRPC."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from exports.client import messages, transport
from exports.client.transport import Outputs, Send, ServerError, short

MAX_NAME = 100
"""The most characters of a class name that are kept."""

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
        url: Of the server.
        model: The name under which it is served.
        send: Sends one value to an input of a signature; returns the answer as it came.
        parse: The outputs of an answer, by name.
    """

    url: str
    model: str
    send: Send
    parse: Callable[[bytes], Outputs]

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
            (valid,) = outputs["valid"]
            return _bytes(outputs["mask_png_bytes"]) if valid else None

        return self._asked("mask_png", "image_bytes", image_bytes, read)

    def class_of(self, number: int) -> Class:
        """What a class number means.

        Raises:
            RefusedError: The model has no such class, or was exported without class names.
            ServerError: As `mask_png`.
        """

        def read(outputs: Outputs) -> Class:
            (background,) = outputs["is_background"]
            red, green, blue = (_byte(part) for part in outputs["colour"])
            name = short(_bytes(outputs["name"]).decode("utf-8", "replace"), MAX_NAME)
            return Class(name or f"class {number}", bool(background), (red, green, blue))

        return self._asked("class_names", "index", number, read)

    def _asked(
        self, signature: str, name: str, value: bytes | int, read: Callable[[Outputs], _Result]
    ) -> _Result:
        answer = self.send(signature, name, value)
        try:
            return read(self.parse(answer))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ServerError(
                f"An export of this zoo answers {signature} for one {name}; {self.model!r} at "
                f"{self.url} answered {answer[:80]!r}. Ask an export of this zoo in TensorFlow "
                "Serving."
            ) from error


@contextlib.contextmanager
def connected(url: str, model: str, *, timeout: float = 60) -> Iterator[Connection]:
    """Connects to a served model.

    ```python
    with connected("grpc://localhost:8500", "unet") as server:
        png = server.mask_png(pathlib.Path("photograph.jpg").read_bytes())
        server.class_of(1).name  # "coin"
    ```

    Args:
        url: `http://` or `https://` and the host and port of the REST interface, or `grpc://` and
            those of the gRPC interface; 8501 and 8500 unless the server was told otherwise.
        model: The name under which it is served.
        timeout: The most seconds that a request may take.

    Raises:
        ValueError: The URL is of another form; the timeout is not a time.
        ImportError: gRPC is not installed.
    """
    scheme, separator, place = url.partition("://")
    if not separator or scheme not in ("http", "https", "grpc") or not place.strip("/"):
        raise ValueError(
            "A server is named by http://, https:// or grpc://, its host and its port; received "
            f"{url!r}. Pass, for example, http://localhost:8501 or grpc://localhost:8500."
        )
    if not 0 < timeout < float("inf"):
        raise ValueError(
            f"A timeout is a number of seconds above 0; received {timeout:g}. Pass --timeout 60."
        )
    if scheme == "grpc":
        with transport.grpc_channel(place.strip("/"), model, timeout) as send:
            yield Connection(url, model, send, messages.answered)
    else:
        url = url.rstrip("/")
        yield Connection(url, model, transport.rest(url, model, timeout), transport.outputs_of_rest)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a string is bytes; received {type(value).__name__}")
    return value


def _byte(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise ValueError("a colour has parts from 0 to 255")
    return value
