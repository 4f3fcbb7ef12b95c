"""A connection to TensorFlow Serving, by REST or by gRPC."""

import base64
import contextlib
import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from exports.client import messages
from zoo.terminal import printable

MAX_ANSWER = 1 << 28
"""The most bytes of an answer that are read; the mask of the largest image has far fewer."""

MAX_NAME = 100
"""The most characters of a class name that are kept."""

_MAX_SAID = 500  # characters of what a server says of an error

Outputs = dict[str, bytes | list[int]]
_Result = TypeVar("_Result")


class ServerError(RuntimeError):
    """The server does not answer, or refuses; the message says what to do."""


class RefusedError(ServerError):
    """The server answers, and refuses this request."""


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
    send: Callable[[str, str, bytes | int], bytes]
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
            name = _short(_bytes(outputs["name"]).decode("utf-8", "replace"), MAX_NAME)
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
        with _grpc(place.strip("/"), model, timeout) as send:
            yield Connection(url, model, send, messages.answered)
    else:
        url = url.rstrip("/")
        yield Connection(url, model, _rest(url, model, timeout), _outputs_of_rest)


def _rest(url: str, model: str, timeout: float) -> Callable[[str, str, bytes | int], bytes]:
    address = f"{url}/v1/models/{urllib.parse.quote(model, safe='')}:predict"

    def send(signature: str, name: str, value: bytes | int) -> bytes:
        if isinstance(value, bytes):
            value = {"b64": base64.b64encode(value).decode()}
        body = {"signature_name": signature, "instances": [{name: value}]}
        request = urllib.request.Request(
            address, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.read(MAX_ANSWER)
        except urllib.error.HTTPError as error:
            said = _error_of(error.read(1 << 16))
            raise _error_of_status(error.code, url, model, said, timeout) from error
        except TimeoutError as error:
            raise _slow(url, timeout) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise _slow(url, timeout) from error
            raise _away(url, str(reason) or type(reason).__name__) from error

    return send


def _outputs_of_rest(answer: bytes) -> Outputs:
    (row,) = json.loads(answer)["predictions"]
    return {name: _value_of_rest(value) for name, value in row.items()}


def _value_of_rest(value: Any) -> bytes | list[int]:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, list) else [value]


@contextlib.contextmanager
def _grpc(
    place: str, model: str, timeout: float
) -> Iterator[Callable[[str, str, bytes | int], bytes]]:
    try:
        import grpc
    except ImportError as error:
        raise ImportError(
            "A grpc:// address needs gRPC, which is not installed. Install it: pip install grpcio. "
            "Or ask by http://."
        ) from error

    url = f"grpc://{place}"
    # The mask of a large image can be larger than gRPC's default limit of 4 MB.
    options = [("grpc.max_receive_message_length", MAX_ANSWER)]
    with grpc.insecure_channel(place, options) as channel:
        predict = channel.unary_unary(messages.METHOD)

        def send(signature: str, name: str, value: bytes | int) -> bytes:
            question = messages.question(model, signature, name, value)
            try:
                return predict(question, timeout=timeout)
            except grpc.RpcError as error:
                raise _error_of_code(error, url, model, timeout) from error

        yield send


def _error_of_status(code: int, url: str, model: str, said: str, timeout: float) -> ServerError:
    status = http.HTTPStatus
    if code == status.NOT_FOUND:
        return _unknown(url, model, said)
    if code in (status.SERVICE_UNAVAILABLE, status.TOO_MANY_REQUESTS):
        return _busy(url, said)
    if code == status.GATEWAY_TIMEOUT:
        return _slow(url, timeout)
    return _refused(url, model, f"status {code}", said)


def _error_of_code(error: Any, url: str, model: str, timeout: float) -> ServerError:
    code, said = error.code().name, _short(error.details() or "", _MAX_SAID)
    if code == "UNAVAILABLE":
        # Both without a connection and where a batch finds no place in the queue.
        return (_busy if "queue" in said else _away)(url, said)
    if code == "RESOURCE_EXHAUSTED":
        return _busy(url, said)
    if code == "DEADLINE_EXCEEDED":
        return _slow(url, timeout)
    if code == "NOT_FOUND":
        return _unknown(url, model, said)
    return _refused(url, model, code, said)


def _error_of(answer: bytes) -> str:
    """What TensorFlow Serving says of an error; the beginning of another server's answer."""
    try:
        return _short(str(json.loads(answer)["error"]), _MAX_SAID)
    except (ValueError, TypeError, LookupError, RecursionError):
        return repr(answer[:80])


def _short(text: str, length: int) -> str:
    """One line without control characters."""
    return printable(" ".join(text.split()))[:length]


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a string is bytes; received {type(value).__name__}")
    return value


def _byte(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise ValueError("a colour has parts from 0 to 255")
    return value


def _away(url: str, reason: str) -> ServerError:
    return ServerError(
        f"The server at {url} does not answer ({reason}). Start it, or pass another --url; "
        "REST is at port 8501 and gRPC at 8500 unless it was told otherwise."
    )


def _slow(url: str, timeout: float) -> ServerError:
    return ServerError(
        f"The server at {url} did not answer within {timeout:g} s. "
        "Pass a longer --timeout, or smaller images."
    )


def _busy(url: str, said: str) -> ServerError:
    return ServerError(
        f"The server at {url} takes no further request now ({said}). Ask again later, or send "
        "fewer at once."
    )


def _unknown(url: str, model: str, said: str) -> ServerError:
    return ServerError(
        f"A model is asked by the name under which it is served; the server at {url} has none "
        f"with the name {model!r} ({said}). Pass another --model, or wait until it is loaded."
    )


def _refused(url: str, model: str, code: str, said: str) -> RefusedError:
    return RefusedError(
        f"The server at {url} refused to ask {model!r} with {code}: {said}. "
        "The model must be an export of this zoo, which has the signatures mask_png and "
        "class_names."
    )
