"""Writing beside, syncing and renaming: whole or not at all, and nothing of others is touched."""

import errno
import os
import pathlib

import pytest

from zoo import files


@pytest.fixture
def target(tmp_path) -> pathlib.Path:
    return tmp_path / "target.txt"


def test_a_text_replaces_another_and_leaves_nothing_else(target):
    files.write_text(target, "old\r\n")
    files.write_text(target, "new\n")
    assert target.read_bytes() == b"new\n"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("write", [files.replacing, files.creating])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_what_was_there(write, error, tmp_path):
    target = tmp_path / "folder" / "target.txt"
    if write is files.replacing:
        target.parent.mkdir()
        target.write_text("old")

    def broken():
        with write(target) as unfinished:
            unfinished.write_text("half")
            raise error

    with pytest.raises(type(error)):
        broken()
    if write is files.replacing:
        assert target.read_text() == "old"
        assert list(target.parent.iterdir()) == [target]
    else:
        assert not list(tmp_path.iterdir())


def test_the_ending_of_a_file_stays(target):
    with files.replacing(target.with_name("net.weights.h5")) as unfinished:
        assert unfinished.name.startswith("writing-")
        assert unfinished.name.endswith(".weights.h5")
        unfinished.touch()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_creating_never_replaces(kind, target):
    def make(path):
        path.write_text("mine") if kind == "file" else path.mkdir()

    make(target)
    with pytest.raises(FileExistsError, match="exists"), files.creating(target) as unfinished:
        make(unfinished)
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_appears_in_the_meantime_is_not_replaced(target, monkeypatch):
    exists = pathlib.Path.exists
    # As if the other process wrote it between the look and the rename.
    monkeypatch.setattr(pathlib.Path, "exists", lambda path: path != target and exists(path))
    target.write_text("theirs")
    with (
        pytest.raises(FileExistsError, match="another process wrote it"),
        files.creating(target) as unfinished,
    ):
        unfinished.write_text("mine")
    assert target.read_text() == "theirs"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_system_without_links(target, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with files.creating(target) as unfinished:
        unfinished.write_text("new")
    assert target.read_text() == "new"


def test_a_folder_that_holds_the_work_of_others_stays(tmp_path):
    target = tmp_path / "new" / "target"

    def broken():
        with files.creating(target):
            (target.parent / "theirs").touch()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    assert [path.name for path in target.parent.iterdir()] == ["theirs"]


def test_file_and_folder_are_synced_before_and_after_the_rename(target, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    name = lambda descriptor: pathlib.Path(f"/proc/self/fd/{descriptor}").resolve().name  # noqa: E731

    def record_sync(descriptor):
        done.append(name(descriptor))
        fsync(descriptor)

    def record_replace(source, goal):
        done.append("rename")
        replace(source, goal)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    files.write_text(target, "text")
    assert done[0].startswith("writing-")
    assert done[1:] == ["rename", target.parent.name]
