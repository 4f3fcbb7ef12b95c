"""Downloads a file over HTTP: resumed, bounded in time and size, from servers that err or lie."""

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

MAX_BYTES = 2_000_000_000  # twice the largest published file; of an archive, also unpacked
MAX_REDIRECTS = 5
MIN_RATE = 1000  # bytes per second; at less, the largest file would take more than ten days
_PIECE = 1 << 20  # bytes at most that are taken at once
_REDIRECTS = (301, 302, 303, 307, 308)
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|\?xml|html|head|body|script)", re.IGNORECASE)

Progress = Callable[[int, int | None], None]


class FetchError(OSError):
    """A file was not fetched: the rule, what was received, and what to do."""


@dataclasses.dataclass(frozen=True)
class _Origin:
    """The file that a part is of. `validator` is the server's ETag or Last-Modified: another one
    means another file. Without it or without `total`, in bytes, a download cannot go on.
    """

    address: str
    validator: str | None
    total: int | None


def download(address: str, part: pathlib.Path, timeout: float, progress: Progress) -> None:
    """Fills `part`, from its end if it can; afterwards it has the length that the server said."""
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
                f"A file is fetched from a server that answers; that of {address} did not: "
                f"{quoted(error)}. Check the network, or try again later. {_elsewhere(part)}"
            ) from error
        if done and response.status in (206, 416) and not _goes_on(response, origin, done):
            forget(part)
            answer.close()
            return download(address, part, timeout, progress)
        if not done or response.status != 206:
            done, origin = 0, _new_origin(address, response, part)
            forget(part)
            if origin.validator:
                files.write_text(_origin_file(part), json.dumps(dataclasses.asdict(origin)))
        try:
            _receive(answer, part, done, origin.total, timeout, progress)
        except FetchError:
            forget(part)
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise FetchError(
                f"A download runs to its end; that of {address} broke off: {quoted(error)}. "
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
                        f"{rate:.0f} bytes per second came, and at least {MIN_RATE} are awaited"
                    )
                begun, begun_at = time.monotonic(), done
    files.sync_one(part)
    if done < (total or 1):
        raise ConnectionError(f"{done:,} of {total or 1:,} bytes came")


def _origin_file(part: pathlib.Path) -> pathlib.Path:
    return part.with_name(f"{part.name}.json")


def _origin_of(part: pathlib.Path) -> _Origin | None:
    """What a part is of, if the download can go on."""
    try:
        origin = _Origin(**json.loads(_origin_file(part).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return origin if part.exists() else None


def _new_origin(address: str, response: Any, part: pathlib.Path) -> _Origin:
    """The file of a whole answer; refuses an answer that is none of the published files."""
    if response.status != 200:
        raise FetchError(
            f"A server answers with status 200; that of {address} answered {response.status} "
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
            f"A server says how long a file is, or where it ends; that of {address} said "
            f"Content-Length {quoted(length)}. Try again later. {_elsewhere(part)}"
        )
    elif total > MAX_BYTES:
        raise _too_long(f"{total:,}", part)
    return _Origin(address, _validator(response) if total else None, total)


def _validator(response: Any) -> str | None:
    tag = response.headers.get("ETag", "")
    # A weak tag, W/"…", may stay when bytes change.
    mark = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    return mark if mark.isprintable() and mark else None  # else it could not be sent back


def _goes_on(response: Any, origin: _Origin, done: int) -> bool:
    """Whether an answer is the rest of the same file; some servers overlook If-Range."""
    return (
        response.status == 206
        and _validator(response) == origin.validator
        and response.headers.get("Content-Range")
        == f"bytes {done}-{origin.total - 1}/{origin.total}"
    )


def forget(part: pathlib.Path) -> None:
    """Removes a part, and only then what it was of: no part is ever taken for one of another."""
    part.unlink(missing_ok=True)
    _origin_file(part).unlink(missing_ok=True)


def _answer(address: str, headers: dict[str, str], timeout: float) -> Iterator[Any]:
    """Yields the server's answer, then its bytes as they come.

    A thread reads them. The time limit of a socket begins anew with each byte, so that a server
    could send one header for ever.
    """
    handed = queue.Queue(maxsize=4)
    left = threading.Event()

    def read() -> None:
        try:
            with _open(address, headers, timeout) as response:
                handed.put(response)
                while not left.is_set() and (piece := response.read1(_PIECE)):
                    handed.put(piece)
            handed.put(None)
        except Exception as error:  # raised again where it is awaited
            handed.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                item = handed.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError(f"no byte came for {timeout:g} seconds") from None
            if item is None:
                return
            if isinstance(item, FetchError):
                raise item
            if isinstance(item, Exception):  # of the network, of HTTP, of an address
                raise ConnectionError(str(item) or type(item).__name__) from item
            yield item
    finally:
        left.set()
        while not handed.empty():  # the thread may wait for room
            handed.get_nowait()


def _open(address: str, headers: dict[str, str], timeout: float) -> Any:
    """The answer after all redirects, whatever its status."""
    # Without urllib's other handlers: they read a redirect's whole body, and open file:// and ftp://.
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
                f"A file is fetched by http:// or https://, also where a server redirects; "
                f"{first} led to {quoted(address)}. Give another address."
            )
        request = urllib.request.Request(address, headers=headers)
        response = opener.open(request, timeout=2 * timeout)  # `_answer` gives up before
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or not location:
            return response
        response.close()
        location = urllib.parse.quote(location, safe=string.punctuation, errors="replace")
        address = urllib.parse.urljoin(address, location)
    raise FetchError(
        f"A server redirects at most {MAX_REDIRECTS} times; {first} led on to {quoted(address)}. "
        "Give another address."
    )


def quoted(text: object) -> str:
    """What came from outside, safe to print: cut short, control characters escaped."""
    return repr(str(text)[:100])


def _elsewhere(part: pathlib.Path) -> str:
    return f"A copy from elsewhere may be put at {part.with_suffix('')}: it is checked there."


def _continuation(part: pathlib.Path) -> str:
    if _origin_of(part):
        return f"it goes on from byte {part.stat().st_size:,}"
    return "it begins anew, because the server offers no other way"


def page_error(address: str, part: pathlib.Path) -> FetchError:
    """The error for a web page in the place of a file."""
    return FetchError(
        f"A weights file is not a web page; {address} answered with one. Open the address in a "
        f"browser to see what it says. {_elsewhere(part)}"
    )


def _too_long(received: str, part: pathlib.Path) -> FetchError:
    return FetchError(
        f"A published file has at most {MAX_BYTES:,} bytes, and as many as its server says; "
        f"received {received}. {_elsewhere(part)}"
    )
