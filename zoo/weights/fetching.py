"""Fetches the weights files that the authors published: on request only, checked, into one folder.

>>> zoo.weights.fetching.fetch("fcn8s-heavy-pascal.caffemodel")

The folder holds the files under their own names; of a file that is not whole yet `NAME.part`, and
`NAME.part.json` that says which file it is a part of; `hashes.json` with the hashes of the files
fetched unverified; and `lock`. The hash says whether a file is the right one, so a server may
redirect to any other host, by http:// or https://.
"""

import contextlib
import dataclasses
import difflib
import errno
import filecmp
import hashlib
import json
import math
import os
import pathlib
import queue
import re
import shutil
import string
import sys
import tarfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from zoo import files
from zoo.weights.catalog import Hash, Record, records

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

MAX_BYTES = 2_000_000_000  # twice the largest published file; of an archive, also unpacked
MAX_REDIRECTS = 5
MIN_RATE = 1000  # bytes per second; at less, the largest file would take more than ten days
_PIECE = 1 << 20  # bytes at most that are taken at once
_REDIRECTS = (301, 302, 303, 307, 308)
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|\?xml|html|head|body|script)", re.IGNORECASE)

Progress = Callable[[int, int | None], None]


class FetchError(OSError):
    """A file was not fetched: the rule, what was received, and what to do."""


def cache_folder() -> pathlib.Path:
    """Where fetched files lie: `ZOO_HOME` if it is set, or the user's cache folder for the zoo."""
    if chosen := os.environ.get("ZOO_HOME"):
        return pathlib.Path(chosen).expanduser()
    home = pathlib.Path.home()
    if sys.platform == "win32":
        caches = pathlib.Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    else:
        caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return caches / "segmentation-zoo"


def cached(name: str) -> pathlib.Path | None:
    """The fetched file of a published weights file (`Record.weights`); None if it is not there."""
    if all(name != record.weights for record in records()):
        return None
    file = cache_folder() / name
    return file if file.is_file() else None


def fetch(
    name: str,
    *,
    folder: str | os.PathLike | None = None,
    address: str | None = None,
    unverified: bool = False,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> pathlib.Path:
    """Fetches a published file unless it is there, checks its hash, and returns the weights file.

    A download that broke off goes on where it ended, if the server can do that and still has the
    same file. A file that is there is checked too, so one from elsewhere may be put there by hand.
    Of an archive, the weights file is unpacked beside it. One process at a time fetches into a
    folder, where the system has locks (Windows has not).

    Args:
        name: `Record.file` of a record of the catalog.
        folder: Where to put it; `cache_folder()` by default.
        address: Of a mirror, http:// or https://; that of the record by default.
        unverified: Whether to fetch a file of which no hash is known. Its SHA-256 is noted in the
            folder's `hashes.json`, and every later file of this name must have it. A hash that is
            known is always checked.
        timeout: Seconds without a byte after which the server is given up. It is also given up
            if it sends fewer than `MIN_RATE` bytes per second for as long.
        progress: Is called with the bytes that are there, and their number in the end or None.

    Raises:
        FetchError: The name is unknown, no hash is known, the server gave no such file, or the
            file cannot be written. No other file is put in its place.
    """
    record = _record(name)
    if not 0 < timeout < math.inf:
        raise FetchError(
            f"A server has a number of seconds above 0 to send something; received {timeout:g}. "
            "Pass a number such as 60."
        )
    folder = cache_folder() if folder is None else pathlib.Path(folder)
    file = folder / record.file
    try:
        known = _known_hash(record, folder)
        if not known and not unverified:
            raise FetchError(
                f"A file is fetched if its hash is known; that of {name} is not. If you trust "
                f"{address or record.address}, pass --unverified (in Python unverified=True): the "
                "hash that it has then is noted, and every later download must have it."
            )
        folder.mkdir(parents=True, exist_ok=True)
        # What is there and has a hash is only read: many processes may do that at once.
        with contextlib.nullcontext() if known and file.exists() else _only_process(folder):
            if file.exists():
                _check(file, record)
            else:
                _put(file, record, address or record.address, timeout, progress or _silent)
        return _unpack(file, record.member) if record.member else file
    except FetchError:
        raise
    except OSError as error:
        raise FetchError(
            f"A fetched file is written to {folder}; the system says: {error}. Give that "
            "folder room and rights to write, or name another in ZOO_HOME; then run the same "
            "command again."
        ) from error


def _silent(done: int, total: int | None) -> None:
    pass


def _record(name: str) -> Record:
    for record in records():
        if record.file == name:
            return record
    names = {record.weights: record.file for record in records()}
    names |= {record.file: record.file for record in records()}
    near = dict.fromkeys(names[x] for x in difflib.get_close_matches(name, names, n=3))
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise FetchError(
        f"A file is fetched by its name in the catalog; received {_quoted(name)}. {hint}"
        "`zoo weights` lists the files."
    )


def _put(
    file: pathlib.Path, record: Record, address: str, timeout: float, progress: Progress
) -> None:
    """Downloads beside the place, checks, renames."""
    part = file.with_name(f"{file.name}.part")
    _download(address, part, timeout, progress)
    try:
        with open(part, "rb") as stream:
            if _PAGE.match(stream.read(512)):
                raise _page(address, part)
        _check(part, record)
    except FetchError:
        _forget(part)  # to go on with it would never end well
        raise
    os.replace(part, file)
    _forget(part)


# Hashes


def _known_hash(record: Record, folder: pathlib.Path) -> Hash | None:
    """The hash of the catalog, or the one noted when the file was fetched unverified."""
    noted = _noted(folder / "hashes.json").get(record.file)
    return record.hash or (noted and Hash("sha256", noted, f"noted in {folder / 'hashes.json'}"))


def _noted(file: pathlib.Path) -> dict[str, str]:
    try:
        hashes = json.loads(file.read_bytes())
        if all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes.values()):
            return hashes
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        pass
    raise FetchError(
        f"{file} is a JSON object of file names and their SHA-256; it holds something else. Repair "
        "it, or move it away: then the hashes of unverified files are noted anew."
    )


def _check(file: pathlib.Path, record: Record) -> None:
    """Holds a file to its hash; one without gets the hash that it has."""
    known = _known_hash(record, file.parent)
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, known.algorithm if known else "sha256").hexdigest()
    if not known:
        hashes = file.with_name("hashes.json")
        content = json.dumps(_noted(hashes) | {record.file: digest}, indent=1, sort_keys=True)
        files.write_text(hashes, content)
    elif digest != known.digest:
        remedy = (
            "It was removed. Run the same command again; if that ends here too, the address has "
            "another file now: look for the right one elsewhere."
            if file.suffix == ".part"
            else "Move it away and run the same command again."
        )
        if known is not record.hash:
            remedy += f" If the change is right, remove the line of {record.file} in hashes.json."
        raise FetchError(
            f"{record.file} has the {known.algorithm} {known.digest} ({known.source}); {file} has "
            f"{digest}. {remedy}"
        )


@contextlib.contextmanager
def _only_process(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes from fetching. However one ends, the system takes its lock."""
    with open(folder / "lock", "ab") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(
                f"One process at a time fetches into a folder; another fetches into {folder}. Wait "
                "until it has ended, then run the same command again."
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


# Archives


def _unpack(archive: pathlib.Path, member: str) -> pathlib.Path:
    """Writes the one file of this name in a .tar.gz beside it, whatever its folder there."""
    target = archive.with_name(member)
    try:
        with files.replacing(target) as unfinished:
            with tarfile.open(archive, "r|gz") as tar, open(unfinished, "wb") as stream:
                shutil.copyfileobj(_find(tar, archive, member), stream)
            if target.exists() and not filecmp.cmp(unfinished, target, shallow=False):
                raise FetchError(
                    f"{target} is the {member} of {archive.name}; it holds something else. Move it "
                    "away and run the same command again."
                )
    except tarfile.TarError as error:
        raise FetchError(
            f"A file that ends in .tar.gz is such an archive; {archive} is not, or is damaged: "
            f"{_quoted(error)}. Move it away and run the same command again."
        ) from error
    return target


def _find(tar: tarfile.TarFile, archive: pathlib.Path, member: str) -> Any:
    for found in tar:
        if found.offset_data + found.size > MAX_BYTES:
            raise FetchError(
                f"An archive is unpacked up to {MAX_BYTES:,} bytes; {archive} holds more. Unpack "
                f"its {member} by hand if you trust it."
            )
        if found.isfile() and pathlib.PurePosixPath(found.name).name == member:
            return tar.extractfile(found)
    raise FetchError(
        f"{archive.name} holds {member}; {archive} does not. Move it away and run the same command "
        "again."
    )


# Downloads


@dataclasses.dataclass(frozen=True)
class _Origin:
    """The file that a part is of. `validator` is the server's ETag or Last-Modified: another one
    means another file. Without it or without `total`, in bytes, a download cannot go on.
    """

    address: str
    validator: str | None
    total: int | None


def _download(address: str, part: pathlib.Path, timeout: float, progress: Progress) -> None:
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
                f"{_quoted(error)}. Check the network, or try again later. {_elsewhere(part)}"
            ) from error
        if done and response.status in (206, 416) and not _goes_on(response, origin, done):
            _forget(part)
            answer.close()
            return _download(address, part, timeout, progress)
        if not done or response.status != 206:
            done, origin = 0, _new_origin(address, response, part)
            _forget(part)
            if origin.validator:
                files.write_text(_origin_file(part), json.dumps(dataclasses.asdict(origin)))
        try:
            _receive(answer, part, done, origin.total, timeout, progress)
        except FetchError:
            _forget(part)
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise FetchError(
                f"A download runs to its end; that of {address} broke off: {_quoted(error)}. "
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
            f"{_quoted(response.reason)}. Open it in a browser, or try later. {_elsewhere(part)}"
        )
    if re.match(
        r"\s*(text/html|application/xhtml)", response.headers.get("Content-Type", ""), re.I
    ):
        raise _page(address, part)
    length = response.headers.get("Content-Length", "")
    total = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    if response.headers.get("Transfer-Encoding", "").lower() == "chunked":
        total = None
    elif total is None:
        raise FetchError(
            f"A server says how long a file is, or where it ends; that of {address} said "
            f"Content-Length {_quoted(length)}. Try again later. {_elsewhere(part)}"
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


def _forget(part: pathlib.Path) -> None:
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
                f"{first} led to {_quoted(address)}. Give another address."
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
        f"A server redirects at most {MAX_REDIRECTS} times; {first} led on to {_quoted(address)}. "
        "Give another address."
    )


# Error texts


def _quoted(text: object) -> str:
    """What came from outside, safe to print: cut short, control characters escaped."""
    return repr(str(text)[:100])


def _elsewhere(part: pathlib.Path) -> str:
    return f"A copy from elsewhere may be put at {part.with_suffix('')}: it is checked there."


def _continuation(part: pathlib.Path) -> str:
    if _origin_of(part):
        return f"it goes on from byte {part.stat().st_size:,}"
    return "it begins anew, because the server offers no other way"


def _page(address: str, part: pathlib.Path) -> FetchError:
    return FetchError(
        f"A weights file is not a web page; {address} answered with one. Open the address in a "
        f"browser to see what it says. {_elsewhere(part)}"
    )


def _too_long(received: str, part: pathlib.Path) -> FetchError:
    return FetchError(
        f"A published file has at most {MAX_BYTES:,} bytes, and as many as its server says; "
        f"received {received}. {_elsewhere(part)}"
    )
