"""Sends one value to TensorFlow Serving's gRPC interface."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from exports.client import errors, messages
from exports.client.messages import Send
from exports.client.server import Server

_GZIP_OFF = 1  # the bit of "as it is"


@contextlib.contextmanager
def sender(server: Server) -> Iterator[Send]:
    """Sends by gRPC.

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

    options = [
        ("grpc.max_receive_message_length", errors.MAX_ANSWER),
        ("grpc.compression_enabled_algorithms_bitset", _GZIP_OFF),
    ]
    metadata = [(name.lower(), value) for name, value in server.headers.items()]
    place = server.place.netloc
    if server.place.scheme == "grpcs":
        roots = None if server.ca is None else server.ca.encode()
        channel = grpc.secure_channel(place, grpc.ssl_channel_credentials(roots), options)
    else:
        channel = grpc.insecure_channel(place, options)
    with channel:
        predict = channel.unary_unary(messages.METHOD)

        def send(signature: str, name: str, value: bytes | int, seconds: float) -> bytes:
            question = messages.question(server, signature, name, value)
            end = time.monotonic() + seconds
            try:
                return predict(question, timeout=seconds, metadata=metadata)
            except grpc.RpcError as error:
                raise _error_of(server, error, time.monotonic() >= end) from error

        yield send


def _error_of(server: Server, error: Any, late: bool) -> Exception:
    code, said = error.code().name, errors.short(error.details() or "")
    if code == "DEADLINE_EXCEEDED":
        return TimeoutError(said) if late else errors.gave_up(server, said)
    if "Failed parsing HTTP/2" in said or "missing selected ALPN" in said:
        return errors.other_port(server)
    if code == "UNAVAILABLE" and said.startswith(("failed to connect", "errors resolving")):
        return errors.away(server, said)
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in said:
        if "SERVER" in said:
            return errors.refused(server, code, said)
        return errors.too_large(server)
    if code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
        return errors.busy(server, said)
    if code == "NOT_FOUND":
        return errors.unknown(server, said)
    return errors.refused(server, code, said)
