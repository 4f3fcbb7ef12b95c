"""Downloads a file over HTTP, with limits of time and size, and resumes a download.

A server's answers are checked: it may be slow, wrong or hostile.
"""

import contextlib
import dataclasses
import errno
import json
import pathlib
import queue
import re
import string
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from zoo import files

MAX_BYTES = 2_000_000_000  # twice the largest published file; the limit of an unpacked archive too
MAX_REDIRECTS = 5
MIN_RATE = 1000  # bytes per second; below it the largest file would take more than ten days
_PIECE = 1 << 20  # bytes that are read at once, at most
_REDIRECTS = (301, 302, 303, 307, 308)
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|\?xml|html|head|body|script)", re.IGNORECASE)

Progress = Callable[[int, int | None], None]


class FetchError(OSError):
    """A file could not be fetched. The message has the rule, what was received, and the remedy."""


@dataclasses.dataclass(frozen=True)
class _Origin:
    """The file on the server that a partial file belongs to.

    `validator` is the server's ETag or Last-Modified: if it changes, the file has changed. `total`
    is the length in bytes. A download can be resumed only if both are known.
    """

    address: str
    validator: str | None
    total: int | None


def download(address: str, part: pathlib.Path, timeout: float, progress: Progress) -> None:
    """Writes `part`, or resumes it; afterwards it has the length that the server announced."""
    if part.exists() and not _origin_file(part).exists():
        raise FetchError(
            f"A download is written to {part} first; that file is there, and no download of this "
            "program wrote it. Move it away and run the same command again."
        )
    origin = _origin_of(part)
    done = part.stat().st_size if origin and origin.address == address else 0
    if done and done == origin.total:
        return
    headers = {"User-Agent": "segmentation-zoo", "Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": origin.validator}
    with contextlib.closing(_answer(address, headers, timeout)) as answer:
        try:
            response = next(answer)
        except FetchError:
            raise
        except OSError as error:
            raise FetchError(
                f"A file is fetched from a server that answers; the server of {address} did not: "
                f"{quoted(error)}. Check the network, or try again later. {_elsewhere(part)}"
            ) from error
        if done and response.status in (206, 416) and not _goes_on(response, origin, done):
            forget(part)
            answer.close()
            return download(address, part, timeout, progress)
        if not done or response.status != 206:
            done, origin = 0, _new_origin(address, response, part)
            forget(part)
            files.write_text(_origin_file(part), json.dumps(dataclasses.asdict(origin)))
        try:
            _receive(answer, part, done, origin.total, timeout, progress)
        except FetchError:
            forget(part)
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise FetchError(
                f"A download must be complete; that of {address} broke off: {quoted(error)}. "
                f"{f'Make room in {part.parent}, then run' if full else 'Run'} the same command "
                f"again: {_continuation(part)}."
            ) from error


def _receive(
    answer: Iterator[bytes],
    part: pathlib.Path,
    done: int,
    total: int | None,
    timeout: float,
    progress: Progress,
) -> None:
    progress(done, total)
    begun, begun_at = time.monotonic(), done
    with open(part, "ab") as stream:
        for piece in answer:
            stream.write(piece)
            done += len(piece)
            if done > (MAX_BYTES if total is None else total):
                raise _too_long(f"more than {done - 1:,}", part)
            progress(done, total)
            seconds = time.monotonic() - begun
            if seconds > timeout:
                rate = (done - begun_at) / seconds
                if rate < MIN_RATE:
                    raise TimeoutError(
                        f"{rate:.0f} bytes per second arrived; at least {MIN_RATE} are required"
                    )
                begun, begun_at = time.monotonic(), done
    files.sync_one(part)
    if done < (total or 1):
        raise ConnectionError(f"{done:,} of {total or 1:,} bytes arrived")


def _origin_file(part: pathlib.Path) -> pathlib.Path:
    return part.with_name(f"{part.name}.json")


def _origin_of(part: pathlib.Path) -> _Origin | None:
    """The origin of a partial file; None if the download cannot be resumed."""
    try:
        origin = _Origin(**json.loads(_origin_file(part).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return origin if origin.validator and part.exists() else None


def _new_origin(address: str, response: Any, part: pathlib.Path) -> _Origin:
    """The origin of a new download; refuses an answer that cannot be a published file."""
    if response.status != 200:
        raise FetchError(
            f"A server must answer with status 200; that of {address} answered {response.status} "
            f"{quoted(response.reason)}. Open it in a browser, or try later. {_elsewhere(part)}"
        )
    if re.match(
        r"\s*(text/html|application/xhtml)", response.headers.get("Content-Type", ""), re.I
    ):
        raise page_error(address, part)
    length = response.headers.get("Content-Length", "")
    total = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    if response.headers.get("Transfer-Encoding", "").lower() == "chunked":
        total = None
    elif total is None:
        raise FetchError(
            "A server must send a file's length (Content-Length) or send the file in chunks; that "
            f"of {address} sent Content-Length {quoted(length)}. Try again later. "
            f"{_elsewhere(part)}"
        )
    elif total > MAX_BYTES:
        raise _too_long(f"{total:,}", part)
    return _Origin(address, _validator(response) if total else None, total)


def _validator(response: Any) -> str | None:
    tag = response.headers.get("ETag", "")
    # A weak tag, W/"…", may stay the same when bytes change.
    mark = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    return mark if mark.isprintable() and mark else None  # others cannot be sent back in a header


def _goes_on(response: Any, origin: _Origin, done: int) -> bool:
    """Whether an answer is the rest of the same file; some servers ignore If-Range."""
    return (
        response.status == 206
        and _validator(response) == origin.validator
        and response.headers.get("Content-Range")
        == f"bytes {done}-{origin.total - 1}/{origin.total}"
    )


def forget(part: pathlib.Path) -> None:
    """Removes a partial file, then its origin: a part never remains with a wrong origin."""
    part.unlink(missing_ok=True)
    _origin_file(part).unlink(missing_ok=True)


def _answer(address: str, headers: dict[str, str], timeout: float) -> Iterator[Any]:
    """Yields the server's answer, then its bytes as they arrive.

    A thread reads them, because a socket's timeout starts again with each byte: a server could send
    one header for ever.
    """
    received = queue.Queue(maxsize=4)
    abandoned = threading.Event()

    def read() -> None:
        try:
            with _open(address, headers, timeout) as response:
                received.put(response)
                while not abandoned.is_set() and (piece := response.read1(_PIECE)):
                    received.put(piece)
            received.put(None)
        except Exception as error:  # raised again by the generator below
            received.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                item = received.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError(f"no byte arrived for {timeout:g} seconds") from None
            if item is None:
                return
            if isinstance(item, FetchError):
                raise item
            if isinstance(item, Exception):  # network, HTTP or address
                raise ConnectionError(str(item) or type(item).__name__) from item
            yield item
    finally:
        abandoned.set()
        while not received.empty():  # the thread may wait for space in the queue
            received.get_nowait()


def _open(address: str, headers: dict[str, str], timeout: float) -> Any:
    """The answer after all redirects, with any status."""
    # Only these handlers: urllib's others read a redirect's whole body, and open file:// and ftp://.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
    ):
        opener.add_handler(handler())
    first = address
    for _ in range(MAX_REDIRECTS + 1):
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise FetchError(
                f"A file is fetched by http:// or https://, after a redirect too; {first} led to "
                f"{quoted(address)}. Give another address."
            )
        request = urllib.request.Request(address, headers=headers)
        response = opener.open(request, timeout=2 * timeout)  # `_answer` gives up earlier
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or not location:
            return response
        response.close()
        location = urllib.parse.quote(location, safe=string.punctuation, errors="replace")
        address = urllib.parse.urljoin(address, location)
    raise FetchError(
        f"At most {MAX_REDIRECTS} redirects are followed; {first} led on to {quoted(address)}. "
        "Give another address."
    )


def quoted(text: object) -> str:
    """Text from outside, made safe to print: cut to 100 characters, control characters escaped."""
    return repr(str(text)[:100])


def _elsewhere(part: pathlib.Path) -> str:
    return f"You can also put a copy from elsewhere at {part.with_suffix('')}: it is checked there."


def _continuation(part: pathlib.Path) -> str:
    if _origin_of(part):
        return f"it resumes at byte {part.stat().st_size:,}"
    return "it starts again, because the server cannot resume it"


def page_error(address: str, part: pathlib.Path) -> FetchError:
    """The error if a web page arrives instead of a file."""
    return FetchError(
        f"A weights file is not a web page; {address} answered with one. Open the address in a "
        f"browser to see what it says. {_elsewhere(part)}"
    )


def _too_long(received: str, part: pathlib.Path) -> FetchError:
    return FetchError(
        f"A published file has at most {MAX_BYTES:,} bytes, and as many as its server announces; "
        f"received {received}. {_elsewhere(part)}"
    )
