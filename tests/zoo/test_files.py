"""Writing beside, syncing and renaming: whole or not at all, and nothing of others is touched."""

import errno
import os
import pathlib
import re
import signal
import subprocess
import sys
import types

import pytest

from zoo import files

ROOT = pathlib.Path(__file__).parents[2]


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


def test_the_name_of_a_file_stays(target):
    with files.replacing(target.with_name("net.weights.h5")) as unfinished:
        assert unfinished.name == "net.weights.h5"
        assert unfinished.parent.name.startswith("writing-")
        unfinished.touch()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_creating_never_replaces(kind, target):
    def make(path):
        path.write_text("mine") if kind == "file" else path.mkdir()

    make(target)
    with pytest.raises(FileExistsError, match="exists"), files.creating(target) as unfinished:
        make(unfinished)
    assert list(target.parent.iterdir()) == [target]


def refuse(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_in_the_meantime_is_not_replaced(target, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", refuse)

    def create():
        with files.creating(target) as unfinished:
            unfinished.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(FileExistsError, match=r"exists already; nothing is ever .* another name"):
        create()
    assert target.read_text() == "theirs"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("theirs", ["file", "folder", "full folder"])
def test_what_appears_in_the_place_of_a_folder_is_not_replaced(target, theirs):
    def create():
        with files.creating(target) as unfinished:
            unfinished.mkdir()
            (unfinished / "mine").touch()
            target.touch() if theirs == "file" else target.mkdir()
            if theirs == "full folder":
                (target / "theirs").touch()

    with pytest.raises(FileExistsError, match="exists already"):
        create()
    assert not (target / "mine").exists()
    assert list(target.parent.iterdir()) == [target]


def test_a_file_system_without_links(target, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    with files.creating(target) as unfinished:
        unfinished.write_text("new")
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


KILLED = """
import os, pathlib, signal, sys
from zoo import files
with files.{how}(pathlib.Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["replacing", "creating"])
def test_what_a_killed_process_left_is_swept_and_nothing_else(target, how):
    command = [sys.executable, "-c", KILLED.format(how=how), target]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    (left,) = target.parent.iterdir()
    assert (left / "target.txt").read_text() == "half"
    theirs = target.parent / "writing-0123abcd"
    theirs.mkdir()
    (theirs / "lock").write_text("of a notebook")
    other = target.parent / "writing-deadbeef"
    other.mkdir()
    (other / "chapter.txt").write_text("mine")
    (target.parent / "writing-00000000").mkdir()  # killed before it locked
    with files.replacing(target) as unfinished:
        unfinished.write_text("alive")
        files.sweep(target.parent)
    assert target.read_text() == "alive"
    assert sorted(target.parent.iterdir()) == [target, theirs, other]
    assert (other / "chapter.txt").exists()
    assert (theirs / "lock").exists()


def test_a_sweep_between_a_folder_and_its_lock_does_not_stop_the_writer(target, monkeypatch):
    locked, swept = files.locked, []

    def sweep_first(file):
        if not swept:
            swept.append(file)
            monkeypatch.setattr(files, "locked", locked)
            files.sweep(target.parent)
        return locked(file)

    monkeypatch.setattr(files, "locked", sweep_first)
    files.write_text(target, "text")
    assert swept
    assert list(target.parent.iterdir()) == [target]


def test_one_process_holds_a_lock(tmp_path):
    file = tmp_path / "lock"
    with files.locked(file):
        with (
            pytest.raises(files.InUseError, match=rf"^process {os.getpid()} on "),
            files.locked(file),
        ):
            pass
        assert file.exists()
    assert not file.exists()
    file.write_text("mine")
    with pytest.raises(ValueError, match=r"no lock of this program: .*'mine'\. Rename it"):
        files.locked(file).__enter__()
    assert file.read_text() == "mine"


def test_a_lock_that_is_removed_while_another_opens_it_is_taken_anew(tmp_path, monkeypatch):
    file, lock, opened = tmp_path / "lock", files._lock, []

    def removed_first(stream):
        if not opened:
            file.unlink()
        opened.append(stream)
        lock(stream)

    monkeypatch.setattr(files, "_lock", removed_first)
    with files.locked(file) as held:
        assert held
        assert len(opened) == 2
        assert file.exists()


def test_a_system_without_fcntl_locks_a_byte_after_the_text(tmp_path, monkeypatch):
    """As Windows does, which refuses to read a locked byte and to remove an open file."""
    taken = []

    def locking(descriptor, mode, count):
        assert (mode, count) == (2, 1)
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        if taken:
            raise PermissionError(13, "Permission denied")
        taken.append(at)

    monkeypatch.setattr(files, "fcntl", None)
    fake = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    with (
        files.locked(tmp_path / "lock"),
        pytest.raises(files.InUseError, match=rf"^process {os.getpid()} on "),
        files.locked(tmp_path / "lock"),
    ):
        pass
    assert taken[0] > files._MAX_OWNER


def test_the_packages_are_imported_without_fcntl():
    code = (
        "import pathlib, sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'fcntl': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "import importlib\n"
        "for top in ('zoo', 'recipes', 'exports'):\n"
        "    for file in sorted(pathlib.Path(top).rglob('*.py')):\n"
        "        if file.stem not in ('__init__', '__main__'):\n"
        "            importlib.import_module('.'.join(file.with_suffix('').parts))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr


def test_a_row_is_added_to_a_file_that_is_there_only(target):
    with pytest.raises(FileNotFoundError):
        files.append_text(target, "row\n")
    target.write_bytes(b"head\n")
    files.append_text(target, "row\n")
    assert target.read_bytes() == b"head\nrow\n"


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
    assert done == ["target.txt", "rename", target.parent.name]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_lock(make, tmp_path):
    file = tmp_path / "lock"
    make(file)
    message = "no lock of this program: it is no file. Rename it, or choose another folder."
    with pytest.raises(ValueError, match=f"^{file} is there and is {re.escape(message)}$"):
        files.locked(file).__enter__()
    assert file.exists()
