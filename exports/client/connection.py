"""A connection to TensorFlow Serving, by REST or by gRPC: image bytes in, mask out."""

import base64
import contextlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

from exports.client import messages

SIGNATURE, TAKES, GIVES, VALID = "mask_png", "image_bytes", "mask_png_bytes", "valid"

Ask = Callable[[bytes], bytes | None]


class ServerError(RuntimeError):
    """The server does not answer, or refuses; the message says which and what to do."""


@contextlib.contextmanager
def connected(url: str, model: str, *, timeout: float = 60) -> Iterator[Ask]:
    """Asks the signature `mask_png` of a served model about one image at a time.

    ```python
    with connected("grpc://localhost:8500", "unet") as ask:
        png = ask(pathlib.Path("photograph.jpg").read_bytes())
    ```

    Takes the bytes of a JPEG or PNG file; gives those of a grey PNG of the same size whose values
    are the classes, or None if the server cannot decode the image.

    Args:
        url: `http://` or `https://` and the host and port of the REST interface, or `grpc://` and
            those of the gRPC interface; 8501 and 8500 unless the server was told otherwise.
        model: The name under which it is served.
        timeout: Of each image, in seconds.

    Raises:
        ValueError: A URL that is none of these; a timeout that is no time.
        ImportError: gRPC is not installed.
        ServerError: No server there, no such model, a refused or slow request, another answer.
    """
    scheme, separator, place = url.partition("://")
    if not separator or scheme not in ("http", "https", "grpc") or not place.strip("/"):
        raise ValueError(
            "A server is named by http://, https:// or grpc://, its host and its port; received "
            f"{url!r}. Pass, for example, http://localhost:8501 or grpc://localhost:8500."
        )
    if not 0 < timeout < float("inf"):
        raise ValueError(
            f"An image has a number of seconds above 0; received {timeout:g}. Pass --timeout 60."
        )
    if scheme == "grpc":
        with _grpc(place.strip("/"), model, timeout) as ask:
            yield ask
    else:
        yield _rest(url.rstrip("/"), model, timeout)


def _rest(url: str, model: str, timeout: float) -> Ask:
    address = f"{url}/v1/models/{urllib.parse.quote(model, safe='')}:predict"

    def ask(content: bytes) -> bytes | None:
        image = {"b64": base64.b64encode(content).decode()}
        body = {"signature_name": SIGNATURE, "instances": [{TAKES: image}]}
        request = urllib.request.Request(
            address, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            said = _error_of(error.read())
            if error.code == http.HTTPStatus.NOT_FOUND:
                raise _unknown(url, model, said) from error
            if error.code in (
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                http.HTTPStatus.TOO_MANY_REQUESTS,
            ):
                raise _busy(url, said) from error
            if error.code == http.HTTPStatus.GATEWAY_TIMEOUT:
                raise _slow(url, timeout) from error
            raise _refused(url, model, f"status {error.code}", said) from error
        except TimeoutError as error:
            raise _slow(url, timeout) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise _slow(url, timeout) from error
            raise _away(url, str(reason) or type(reason).__name__) from error
        try:
            (row,) = json.loads(answer)["predictions"]
            return base64.b64decode(row[GIVES]["b64"], validate=True) if row[VALID] else None
        except (ValueError, TypeError, KeyError) as error:
            raise _other_answer(url, model, answer) from error

    return ask


@contextlib.contextmanager
def _grpc(place: str, model: str, timeout: float) -> Iterator[Ask]:
    try:
        import grpc
    except ImportError as error:
        raise ImportError(
            "A grpc:// address needs gRPC, which is not installed. Install it: pip install grpcio. "
            "Or ask by http://."
        ) from error

    url = f"grpc://{place}"
    # The mask of a large image can be larger than the 4 MB that a client takes otherwise.
    with grpc.insecure_channel(place, [("grpc.max_receive_message_length", -1)]) as channel:
        predict = channel.unary_unary(messages.METHOD)

        def ask(content: bytes) -> bytes | None:
            try:
                answer = predict(
                    messages.question(model, SIGNATURE, TAKES, content), timeout=timeout
                )
            except grpc.RpcError as error:
                code, said = error.code(), error.details()
                if code == grpc.StatusCode.UNAVAILABLE:
                    # So it is called both without a connection and where a batch finds no place.
                    raise (_busy if "queue" in said else _away)(url, said) from error
                if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise _busy(url, said) from error
                if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise _slow(url, timeout) from error
                if code == grpc.StatusCode.NOT_FOUND:
                    raise _unknown(url, model, said) from error
                raise _refused(url, model, code.name, said) from error
            try:
                outputs = messages.answered(answer)
                return outputs[GIVES] if outputs[VALID] else None
            except (KeyError, ValueError) as error:
                raise _other_answer(url, model, answer) from error

        yield ask


def _error_of(answer: bytes) -> str:
    """What TensorFlow Serving says of an error; the beginning of the answer if it is another's."""
    try:
        return json.loads(answer)["error"]
    except (ValueError, TypeError, KeyError):
        return repr(answer[:80])


def _away(url: str, reason: str) -> ServerError:
    return ServerError(
        f"The server at {url} does not answer ({reason}). Start it, or pass another --url; "
        "REST is at port 8501 and gRPC at 8500 unless it was told otherwise."
    )


def _slow(url: str, timeout: float) -> ServerError:
    return ServerError(
        f"The server at {url} has {timeout:g} s for an image, and they are over. "
        "Pass a longer --timeout, or smaller images."
    )


def _busy(url: str, said: str) -> ServerError:
    return ServerError(
        f"The server at {url} takes no further request now ({said}). Ask again later, or send "
        "fewer at once."
    )


def _unknown(url: str, model: str, said: str) -> ServerError:
    return ServerError(
        f"A model is asked by the name that it is served under; the server at {url} has none "
        f"with the name {model!r} ({said}). Pass another --model, or wait until it is loaded."
    )


def _refused(url: str, model: str, code: str, said: str) -> ServerError:
    return ServerError(
        f"The server at {url} refused to ask {model!r} with {code}: {said}. "
        "The model must be an export of this zoo, which has the signature mask_png."
    )


def _other_answer(url: str, model: str, answer: bytes) -> ServerError:
    return ServerError(
        f"The signature mask_png answers one {GIVES} and one {VALID} for an image; {model!r} at "
        f"{url} answered {answer[:80]!r}. Ask an export of this zoo in TensorFlow Serving."
    )
