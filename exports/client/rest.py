"""Sends one value to TensorFlow Serving's REST interface."""

import base64
import email.message
import email.utils
import http.client
import io
import json
import socket
import ssl
import threading
import time
import types
import urllib.parse
import urllib.request
from concurrent import futures
from typing import Any

from exports.client import errors
from exports.client.messages import Outputs, Send
from exports.client.server import Server

_MAX_PARTS = 500  # lists, objects and their members in an answer; one row has some ten of them
_MAX_DIGITS = 9  # of a number, which is a byte


def sender(server: Server) -> Send:
    """Sends by REST."""
    version = "" if server.version is None else f"/versions/{server.version}"
    if server.label is not None:
        version = f"/labels/{urllib.parse.quote(server.label, safe='')}"
    model = urllib.parse.quote(server.model, safe="")
    address = f"{server.url.rstrip('/')}/v1/models/{model}{version}:predict"
    headers = {"Content-Type": "application/json", **server.headers}
    # For http:// an empty one: the library would read the system's certificates for each request.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if server.place.scheme == "https":
        context = ssl.create_default_context(cadata=server.ca)

    def send(signature: str, name: str, value: bytes | int, seconds: float) -> bytes:
        if isinstance(value, bytes):
            value = {"b64": base64.b64encode(value).decode()}
        body = {"signature_name": signature, "instances": [{name: value}]}
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            status, said, answer = _exchanged(server, request, context, seconds)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise _broken(server, error) from error
        if status != http.HTTPStatus.OK:
            raise _error_of(server, status, said, answer)
        return answer

    return send


def outputs(answer: bytes) -> Outputs:
    """The outputs of an answer for one row, by name.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: It is another answer.
    """
    # A parser would make gigabytes of some megabytes of brackets.
    if sum(map(answer.count, (b"[", b"{", b","))) > _MAX_PARTS:
        raise ValueError("an answer for one row has a few parts")
    (row,) = json.loads(answer, parse_int=_number, parse_float=_number)["predictions"]
    if not isinstance(row, dict):
        raise TypeError("a row has a value for each output")
    return {name: _value(value) for name, value in row.items()}


def _number(text: str) -> int:
    if len(text) > _MAX_DIGITS:  # reading it takes long
        raise ValueError("a number of a row is small")
    return int(text)


def _value(value: Any) -> bytes | list[int]:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, list) else [value]


class _Reader(io.RawIOBase):
    """Reads a socket until a time of `time.monotonic`, however many small parts come.

    The time limit of a socket alone begins anew with each byte.
    """

    def __init__(self, connected: socket.socket, end: float) -> None:
        self._socket, self._end = connected, end
        self._file = connected.makefile("rb", buffering=0)  # keeps the socket open

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections whose answers are read by a `_Reader`."""

    def __init__(self, context: ssl.SSLContext, end: float) -> None:
        super().__init__(context=context)
        self._end = end

    def do_open(self, http_class: Any, req: urllib.request.Request, **options: Any) -> Any:
        def response(connected: socket.socket, *rest: Any, **more: Any) -> Any:
            reader = io.BufferedReader(_Reader(connected, self._end))
            file = types.SimpleNamespace(makefile=lambda mode: reader)
            return http.client.HTTPResponse(file, *rest, **more)

        def connection(*rest: Any, **more: Any) -> Any:
            made = http_class(*rest, **more)
            made.response_class = response
            return made

        return super().do_open(connection, req, **options)


def _exchanged(
    server: Server,
    request: urllib.request.Request,
    context: ssl.SSLContext,
    seconds: float,
) -> tuple[int, email.message.Message, bytes]:
    """Status, headers and content of an answer.

    Raises:
        TimeoutError: The seconds are over.
        ServerError: The answer is too large.
        OSError, http.client.HTTPException: There is no answer, or it breaks off.
    """
    # Nothing else is in it: no redirects, no files, no FTP.
    opener = urllib.request.OpenerDirector()
    for part in (urllib.request.ProxyHandler(), _Handler(context, time.monotonic() + seconds)):
        opener.add_handler(part)
    exchanged: futures.Future = futures.Future()

    def exchange() -> None:
        try:
            with opener.open(request, timeout=seconds) as response:
                content = _read(server, response)
                exchanged.set_result((response.status, response.headers, content))
        except BaseException as error:
            exchanged.set_exception(error)

    # Looking up a host has no time limit, and connecting has one for each of its addresses.
    threading.Thread(target=exchange, daemon=True).start()
    return exchanged.result(seconds)


def _read(server: Server, response: http.client.HTTPResponse) -> bytes:
    content = bytearray()
    if (response.length or 0) > errors.MAX_ANSWER:
        raise errors.too_large(server)
    while part := response.read1(1 << 16):
        content += part
        if len(content) > errors.MAX_ANSWER:
            raise errors.too_large(server)
    if response.length:
        raise http.client.IncompleteRead(content, response.length)
    return bytes(content)


def _broken(server: Server, error: Exception) -> Exception:
    """There was no answer to an HTTP request."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return reason
    if type(error) is http.client.BadStatusLine:  # not one without any line: the connection ended
        return errors.other_port(server)
    return errors.away(server, str(reason) or type(reason).__name__)


def _error_of(
    server: Server, status: int, headers: email.message.Message, answer: bytes
) -> errors.ServerError:
    known, said = http.HTTPStatus, errors.said(answer)
    if 300 <= status < 400 and "Location" in headers:
        return errors.elsewhere(server, headers["Location"])
    if status < 400:
        return errors.stranger(server, status)
    if status == known.NOT_FOUND:
        return errors.unknown(server, said)
    if status in (known.SERVICE_UNAVAILABLE, known.TOO_MANY_REQUESTS):
        return errors.busy(server, said, _seconds(headers.get("Retry-After", "")))
    if status == known.GATEWAY_TIMEOUT:
        return errors.gave_up(server, said)
    return errors.refused(server, f"status {status}", said)


def _seconds(wish: str) -> float:
    """What a `Retry-After` says: seconds, or a date; 0 for anything else."""
    if wish.isascii() and wish.isdecimal():
        return float(wish[:9])
    try:
        return email.utils.parsedate_to_datetime(wish).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0
