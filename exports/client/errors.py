"""What goes wrong with a server, and what to do about it."""

import contextlib
import json
import urllib.parse
from collections.abc import Sequence

from exports.client.server import Server
from zoo.terminal import printable

MAX_ANSWER = 1 << 26
"""The most bytes of an answer; the mask of 4096 × 4096 pixels of noise has 22 MB in REST."""

MAX_TIMEOUT = 86_400  # seconds

_MAX_SAID = 500  # characters of what a server says

_REMEDIES = {
    **dict.fromkeys(
        ("status 401", "status 403", "UNAUTHENTICATED", "PERMISSION_DENIED"),
        "Pass what authorizes you as a --header.",
    ),
    **dict.fromkeys(
        ("status 413", "RESOURCE_EXHAUSTED"),
        "Send a smaller image, or raise the limit of what is in front of the server.",
    ),
}
"""What helps, by the status of REST or the code of gRPC; for all others it is an export."""

_START = (
    "Start it, or pass another --url; REST is at port 8501 and gRPC at 8500 unless it was told "
    "otherwise, and a server that encrypts is asked by https:// or grpcs://."
)
_CERTIFICATES = {
    **dict.fromkeys(
        ("self-signed", "self signed", "issuer certificate", "first certificate"),
        "Pass a PEM file with the certificate of who signed the server's as --ca.",
    ),
    **dict.fromkeys(
        ("mismatch", "Hostname Verification"),
        "Pass a --url with a host that the server's certificate names.",
    ),
    **dict.fromkeys(
        ("expired", "not yet valid"),
        "Give the server a certificate that is valid today.",
    ),
}
"""What helps, by what OpenSSL and gRPC say of a certificate."""


class ServerError(RuntimeError):
    """The server does not answer, or refuses; the message says what to do."""


class RefusedError(ServerError):
    """The server answers, and refuses this request."""


class BusyError(ServerError):
    """The server says to come back.

    Args:
        message: What to do when it has been asked often enough.
        why: What the server says.
        after: Seconds to wait, as the server wishes.
    """

    def __init__(self, message: str, why: str, after: float) -> None:
        super().__init__(message)
        self.why, self.after = why, after


def short(text: str, length: int = _MAX_SAID) -> str:
    """One line without control characters."""
    return printable(" ".join(text[: 4 * length].split()))[:length]


def said(answer: bytes) -> str:
    """What TensorFlow Serving says of an error; the beginning of another server's answer."""
    try:
        return short(str(json.loads(answer[: 1 << 16])["error"]))
    except (ValueError, TypeError, LookupError, RecursionError):
        return repr(answer[:80])


def away(server: Server, reason: str) -> ServerError:
    """There is no connection, or it ends early."""
    place = server.place.netloc
    if "WRONG_VERSION_NUMBER" in reason:
        remedy = (
            f"{server.place.scheme}:// encrypts, and what answers there does not. Pass "
            f"http://{place} if that is the port of REST, or grpc://{place} if it is that of gRPC."
        )
    else:
        remedy = next((text for said, text in _CERTIFICATES.items() if said in reason), _START)
    return ServerError(f"The server at {server.url} does not answer ({short(reason)}). {remedy}")


def slow(server: Server, timeout: float) -> ServerError:
    """The client's time is over."""
    return ServerError(
        f"The server at {server.url} did not answer within {timeout:g} s. "
        "Pass a longer --timeout, or smaller images."
    )


def gave_up(server: Server, why: str) -> ServerError:
    """The server's time is over."""
    return ServerError(
        f"The server at {server.url} gave up at a time limit of its own ({why}), which no "
        "--timeout changes. Send smaller images, or give it a longer limit: for REST, TensorFlow "
        "Serving has --rest_api_timeout_in_ms."
    )


def busy(server: Server, why: str, after: float = 0) -> BusyError:
    """The server has too much to do, or the model is not there yet."""
    return BusyError(
        f"The server at {server.url} takes no further request now ({why}). Ask again later, pass "
        "more --retries, or send fewer images at once.",
        why,
        after,
    )


def later(server: Server, busy: BusyError, timeout: float, more: str) -> ServerError:
    """The client's time is over before it may ask again; `more` is another option that it needs."""
    if busy.after > MAX_TIMEOUT:
        more = "Ask again then."
    else:
        more = f"Ask again later, or pass a longer --timeout{more}."
    wish = f", {busy.after:,.0f} s by its Retry-After," if busy.after >= 1 else ""
    return ServerError(
        f"The server at {server.url} takes no further request now ({busy.why}); the pause before "
        f"the next try{wish} goes beyond --timeout {timeout:g}. {more}"
    )


def unknown(server: Server, why: str) -> ServerError:
    """There is no such model or version."""
    return ServerError(
        f"A model is asked by the name under which it is served; the server at {server.url} has "
        f"none with the name {server.model!r}{server.which} ({why}). Pass another --model"
        + (" or --version" if server.version is not None else "")
        + ", or wait until it is loaded."
    )


def refused(server: Server, code: str, why: str) -> RefusedError:
    """The server does not like the request."""
    if server.label is not None and "label" in why:
        remedy = "Pass a --label that the server's models.config gives to a version."
    else:
        remedy = _REMEDIES.get(
            code,
            "The model must be an export of this zoo that takes one image, with the signatures "
            "mask_png and class_names.",
        )
    return RefusedError(
        f"The server at {server.url} refused to ask {server.model!r} with {code}: {why}. {remedy}"
    )


def no_head(server: Server, name: str, heads: Sequence[str]) -> ServerError:
    """The model has no head of this name."""
    has = f"has the heads {' and '.join(heads)}" if heads else "has one head"
    remedy = f"Pass --head {heads[0]}, or another of them." if heads else "Leave --head out."
    return ServerError(
        f"A head is chosen by its name; {server.model!r} at {server.url} {has}, and received "
        f"{name!r}. {remedy}"
    )


def elsewhere(server: Server, address: str) -> ServerError:
    """A redirect."""
    with contextlib.suppress(ValueError):  # it is no address
        address = urllib.parse.urljoin(server.url, address)
    address = address.partition("/v1/models/")[0]
    return ServerError(
        f"Images are sent to no other server than the one that you name; the one at {server.url} "
        f"sends on to {short(address)!r}. Pass the address of that one as --url if you trust it."
    )


def stranger(server: Server, status: int) -> ServerError:
    """A status that TensorFlow Serving does not have."""
    return ServerError(
        "TensorFlow Serving answers with status 200, or with that of an error from 400 on; what "
        f"answers at {server.url} said {status}. Pass the --url of TensorFlow Serving."
    )


def too_large(server: Server) -> ServerError:
    """More than an answer can have."""
    return ServerError(
        f"An answer has {MAX_ANSWER:,} bytes at most; the server at {server.url} sends more. Ask "
        "an export of this zoo in TensorFlow Serving."
    )


def other_port(server: Server) -> ServerError:
    """Mostly REST that is asked by gRPC, or the reverse."""
    asked, other, port = ("REST", "gRPC", 8501) if server.speaks_rest else ("gRPC", "REST", 8500)
    scheme, place = server.place[:2]
    right = {"http": "grpc", "https": "grpcs", "grpc": "http", "grpcs": "https"}[scheme]
    return ServerError(
        f"{scheme}:// asks by {asked}, which what answers at {server.url} does not speak. Pass "
        f"{right}://{place} if that is the port of {other}; the port of {asked} is {port} unless "
        "the server was told otherwise."
    )


def no_answer(server: Server, signature: str, name: str, answer: bytes) -> ServerError:
    """An answer of another form."""
    return ServerError(
        f"An export of this zoo answers {signature} for one {name}; {server.model!r} at "
        f"{server.url} answered {answer[:80]!r}. Ask an export of this zoo in TensorFlow Serving."
    )
