"""The journal of a folder of answers: what was asked, and which images are answered.

`answers.jsonl` holds a line of JSON for the request, then one for each image. A line is on the disk
before the files that it names get their names: so every file of ours is known, one that is not in
the journal is somebody else's and is never replaced, and a killed command goes on where it was.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

from zoo import files

NAME = "answers.jsonl"
_LOCK = "answers.lock"


@dataclasses.dataclass(frozen=True)
class Journal:
    """The journal of a folder; `opened` gives one.

    Args:
        folder: Of the answers.
        lines: Of each image by its path, the last line about it.
        owners: The path of the image that each file is the answer to, by the file's name.
        depths: The file of the depth of each image that has one.
    """

    folder: pathlib.Path
    lines: dict[str, dict[str, Any]]
    owners: dict[str, str]
    depths: Mapping[pathlib.Path, pathlib.Path]

    def is_answered(self, image: pathlib.Path, names: list[str]) -> bool:
        """Whether the answers of these names are there, whole, and to the image as it is now.

        The depth of an image is a part of it.
        """
        path = os.path.abspath(image)
        line = self.lines.get(path)
        return (
            line is not None
            and (line["image"], line["files"]) == (self._identity(image), names)
            and not line.get("missing")
            and all(self.owners.get(name) == path for name in names)
            and all((self.folder / name).exists() for name in names)
        )

    def check_free(self, image: pathlib.Path, names: list[str]) -> None:
        """Checks that no file of somebody else, or of another image, is in the place of an answer.

        Raises:
            FileExistsError: There is one.
        """
        path = os.path.abspath(image)
        for name in names:
            if self.owners.get(name) != path and os.path.lexists(self.folder / name):
                raise FileExistsError(
                    f"Nothing is overwritten; {self.folder / name} is there already. Choose "
                    "another --out, or move the file away."
                )

    def announce(self, image: pathlib.Path, names: list[str], **told: Any) -> None:
        """Says which files an image will have, before the first of them is there.

        Args:
            image: The image.
            names: Of the files.
            **told: What else its line says.

        Raises:
            OSError: The journal cannot be written.
        """
        line = {"image": self._identity(image), "files": names, **told}
        files.append_text(self.folder / NAME, _text(line))
        self.lines[line["image"]["path"]] = line
        self.owners.update(dict.fromkeys(names, line["image"]["path"]))

    def _identity(self, image: pathlib.Path) -> dict[str, Any]:
        depth = self.depths.get(image)
        return _identity(image) | ({} if depth is None else {"depth": _identity(depth)})


@contextlib.contextmanager
def opened(
    folder: pathlib.Path,
    request: Mapping[str, Any],
    depths: Mapping[pathlib.Path, pathlib.Path] = types.MappingProxyType({}),
) -> Iterator[Journal]:
    """The journal of a folder, which is made if it is not there; no other process has it.

    Args:
        folder: Of the answers.
        request: What is asked of every image. A folder holds the answers to one request.
        depths: The file of the depth of each image that has one.

    Raises:
        ValueError: The folder holds answers to another request, or its journal is damaged.
        OSError: The folder cannot be written to.
    """
    with files.making(folder), _alone(folder):
        files.sweep(folder)
        file = folder / NAME
        if not file.exists():
            files.write_text(file, _text({"request": request}))
        lines = _read(file, json.loads(json.dumps(request)))
        last = {line["image"]["path"]: line for line in lines}
        owners = {name: line["image"]["path"] for line in lines for name in line["files"]}
        yield Journal(folder, last, owners, depths)


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.locked(folder / _LOCK))
        except files.InUseError as error:
            raise ValueError(
                f"One command at a time writes into {folder}; {error} does. Wait for it, or choose "
                "another --out."
            ) from error
        yield


def _read(file: pathlib.Path, request: dict[str, Any]) -> list[dict[str, Any]]:
    text = file.read_bytes().decode("utf-8", "replace")
    whole, _, torn = text.rpartition("\n")
    try:
        first, *lines = [json.loads(line) for line in whole.split("\n")]
        before = first["request"]
        if not all(isinstance(line["image"]["path"], str) for line in lines):
            raise ValueError("a line names no image")
        if not all(isinstance(line["files"], list) for line in lines):
            raise ValueError("a line names no files")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{file} is damaged ({error}): it says which images are answered. Choose another "
            "--out, or move the folder away."
        ) from error
    if before != request:
        changed = [name for name in request if before.get(name) != request[name]]
        raise ValueError(
            f"A folder holds the answers to one request; {file.parent} holds those to another: "
            f"{', '.join(changed) or 'more was asked'} differs. Choose another --out."
        )
    if torn:  # of a process that was killed while it wrote
        files.write_text(file, whole + "\n")
    return lines


def _identity(file: pathlib.Path) -> dict[str, Any]:
    """What tells a file from another one at its path."""
    stat = file.stat()
    return {"path": os.path.abspath(file), "bytes": stat.st_size, "modified": stat.st_mtime_ns}


def _text(line: Mapping[str, Any]) -> str:
    text = json.dumps(line, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        text = json.dumps(line)
    return text + "\n"
