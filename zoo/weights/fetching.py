"""Fetches the weights files that the authors published: on request only, into one folder, checked.

>>> zoo.weights.fetching.fetch("fcn8s-heavy-pascal.caffemodel")

The folder holds

    NAME                      a whole file
    NAME.part, NAME.part.json a file that is not complete yet, and where it comes from
    hashes.json               the hashes of the files that were fetched unverified
    lock                      the lock of the process that downloads

A server may redirect to any host, by http:// or https://, because the hash decides whether a file
is the right one.
"""

import contextlib
import difflib
import filecmp
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

from zoo import files
from zoo.weights.catalog import Hash, Record, records
from zoo.weights.downloading import (
    MAX_BYTES,
    PAGE,
    FetchError,
    Progress,
    download,
    forget,
    page_error,
    quoted,
)


def cache_folder() -> pathlib.Path:
    """The folder of fetched files: `ZOO_HOME` if it is set, else the zoo's in the user's cache."""
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


def cached(name: str | os.PathLike) -> pathlib.Path | None:
    """The cached file of a published weights file (`Record.weights`); None if it is not there.

    `name` is a bare file name: nothing is found for a path with a folder.
    """
    if all(str(name) != record.weights for record in records()):
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
    """Downloads a published file if it is not there, checks its hash, returns the weights file.

    A download that broke off is resumed, if the server can do that and still has the same file. A
    file that is there already is checked too, so you can put a copy there by hand. The weights file
    of an archive is unpacked beside it. Only one process at a time fetches into a folder.

    Args:
        name: `Record.file` of a record of the catalog.
        folder: Where to put it; `cache_folder()` by default.
        address: The address of a mirror, http:// or https://; the record's by default.
        unverified: Whether to fetch a file whose hash is unknown. Its SHA-256 is then recorded in
            the folder's `hashes.json`, and every later file of this name must have it. A known
            hash is always checked.
        timeout: Seconds. The download fails if no byte arrives for so long, or fewer than
            `MIN_RATE` bytes per second.
        progress: Called with the number of bytes so far, and the total or None.

    Raises:
        FetchError: The name is unknown, the hash is unknown, the server did not send the right
            file, or the file cannot be written. A wrong file never gets the file's name.
    """
    record = _record(name)
    if not 0 < timeout < math.inf:
        raise FetchError(
            f"timeout is a number of seconds above 0 and finite; received {timeout:g}. Pass a "
            "number such as 60."
        )
    folder = cache_folder() if folder is None else pathlib.Path(folder)
    file = folder / record.file
    try:
        known = _known_hash(record, folder)
        if not known and not unverified:
            raise FetchError(
                f"A file is fetched if its hash is known; that of {name} is not. If you trust "
                f"{address or record.address}, pass --unverified (in Python unverified=True): its "
                "hash is then recorded, and every later download must have it."
            )
        folder.mkdir(parents=True, exist_ok=True)
        # A file that is there and has a hash is only read: many processes may do that at once.
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
            f"A fetched file is written to {folder}; the system says: {error}. Make that folder "
            "writable, with enough free space, or name another folder in ZOO_HOME; then run the "
            "same command again."
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
        f"A file is fetched by its name in the catalog; received {quoted(name)}. {hint}"
        f"{_of_model(name)}zoo weights lists the files."
    )


def _of_model(name: str) -> str:
    files = [record.file for record in records(name)]
    return f"{name} is a model; its files are {', '.join(files)}. " if files else ""


def _put(
    file: pathlib.Path, record: Record, address: str, timeout: float, progress: Progress
) -> None:
    """Downloads to a partial file, checks it, and renames it."""
    part = file.with_name(f"{file.name}.part")
    download(address, part, timeout, progress)
    try:
        with open(part, "rb") as stream:
            if PAGE.match(stream.read(512)):
                raise page_error(address, part)
        _check(part, record)
    except FetchError:
        forget(part)  # a wrong part must not be resumed
        raise
    os.replace(part, file)
    files.sync_one(file.parent)
    forget(part)


# Hashes


def _known_hash(record: Record, folder: pathlib.Path) -> Hash | None:
    """The catalog's hash, or the one that was recorded when the file was fetched unverified."""
    hashes = folder / "hashes.json"
    digest = _recorded(hashes).get(record.file)
    return record.hash or (digest and Hash("sha256", digest, f"recorded in {hashes}"))


def _recorded(file: pathlib.Path) -> dict[str, str]:
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
        "it, or move it away: then the hashes of unverified files are recorded again."
    )


def _check(file: pathlib.Path, record: Record) -> None:
    """Compares a file with its known hash; if none is known, records the hash that it has."""
    known = _known_hash(record, file.parent)
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, known.algorithm if known else "sha256").hexdigest()
    if not known:
        hashes = file.with_name("hashes.json")
        content = json.dumps(_recorded(hashes) | {record.file: digest}, indent=1, sort_keys=True)
        files.write_text(hashes, content)
    elif digest != known.digest:
        remedy = (
            "It was removed. Run the same command again. If this error returns, the address has "
            "another file now: look for the right one elsewhere."
            if file.suffix == ".part"
            else "Move it away and run the same command again."
        )
        if known is not record.hash:
            remedy += f" If the new file is right, remove the line of {record.file} in hashes.json."
        raise FetchError(
            f"{record.file} must have the {known.algorithm} {known.digest} ({known.source}); "
            f"{file} has {digest}. {remedy}"
        )


@contextlib.contextmanager
def _only_process(folder: pathlib.Path) -> Iterator[None]:
    """Lets only one process download."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.locked(folder / files.LOCK))
        except files.InUseError as error:
            raise FetchError(
                f"One process at a time fetches into a folder; {error} is fetching into {folder}. "
                "Wait until it ends, then run the same command again."
            ) from None
        except ValueError as error:
            raise FetchError(str(error)) from None
        yield


# Archives


def _unpack(archive: pathlib.Path, member: str) -> pathlib.Path:
    """Writes the file of this name, from any folder of a .tar.gz, beside the archive."""
    target = archive.with_name(member)
    try:
        with files.replacing(target) as unfinished:
            with tarfile.open(archive, "r|gz") as tar, open(unfinished, "wb") as stream:
                shutil.copyfileobj(_find(tar, archive, member), stream)
            if target.exists() and not filecmp.cmp(unfinished, target, shallow=False):
                raise FetchError(
                    f"{target} must be the {member} of {archive.name}; it holds something else. "
                    "Move it away and run the same command again."
                )
    except tarfile.TarError as error:
        raise FetchError(
            f"A .tar.gz file must be a tar archive compressed by gzip; {archive} is not, or is "
            f"damaged: {quoted(error)}. Move it away and run the same command again."
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
        f"{archive.name} must hold {member}; {archive} does not. Move it away and run the same "
        "command again."
    )
