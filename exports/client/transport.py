"""How one value is sent to TensorFlow Serving, by REST or by gRPC, and what its errors mean."""

import base64
import contextlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from exports.client import messages
from zoo.terminal import printable

MAX_ANSWER = 1 << 28
"""The most bytes of an answer that are read; the mask of the largest image has far fewer."""

_MAX_SAID = 500  # characters of what a server says of an error

Outputs = dict[str, bytes | list[int]]
Send = Callable[[str, str, bytes | int], bytes]
"""Sends one value to an input of a signature; returns the answer as it came."""


class ServerError(RuntimeError):
    """The server does not answer, or refuses; the message says what to do."""


class RefusedError(ServerError):
    """The server answers, and refuses this request."""


def rest(url: str, model: str, timeout: float) -> Send:
    """Sends by REST; `url` is that of the server."""
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


def outputs_of_rest(answer: bytes) -> Outputs:
    """The outputs of an answer for one row, by name.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: It is another answer.
    """
    (row,) = json.loads(answer)["predictions"]
    if not isinstance(row, dict):
        raise TypeError("a row has a value for each output")
    return {name: _value_of_rest(value) for name, value in row.items()}


def _value_of_rest(value: Any) -> bytes | list[int]:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, list) else [value]


@contextlib.contextmanager
def grpc_channel(place: str, model: str, timeout: float) -> Iterator[Send]:
    """Sends by gRPC; `place` is the host and the port.

    Raises:
        ImportError: gRPC is not installed.
    """
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
    code, said = error.code().name, short(error.details() or "", _MAX_SAID)
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
        return short(str(json.loads(answer)["error"]), _MAX_SAID)
    except (ValueError, TypeError, LookupError, RecursionError):
        return repr(answer[:80])


def short(text: str, length: int) -> str:
    """One line without control characters."""
    return printable(" ".join(text.split()))[:length]


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
