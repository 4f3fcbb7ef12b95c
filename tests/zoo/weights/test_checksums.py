"""The `.sha256` beside a file: every form that tools write, and nothing that costs time."""

import os
import time

import pytest

import zoo
from zoo.weights import checksums

NAME = "net.weights.h5"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(b"numbers")
    return path


def write(file, content):
    record = checksums.record_of(file)
    record.write_bytes(content if isinstance(content, bytes) else content.encode())
    return record


FORMS = {
    "sha256sum": "{0}  {1}\n",
    "sha256sum --binary": "{0} *{1}\n",
    "sha256sum --tag": "SHA256 ({1}) = {0}\n",
    "openssl": "SHA2-256({1})= {0}\n",
    "old openssl": "SHA256({1})= {0}\n",
    "a path": "{0}  ./runs/mine/{1}\n",
    "a path of Windows": "{0} *C:\\runs\\{1}\r\n",
    "the hash alone": "{0}",
    "two files": "{2}  other.h5\n\n{0}  {1}\n",
    "a comment": "# of version 3\n{0}  {1}\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [str.lower, str.upper])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_is_read(form, case, encoding, file):
    digest, other = checksums.sha256(file), "0" * 64
    write(file, FORMS[form].format(case(digest), NAME, other).encode(encoding))
    assert zoo.weights.is_whole(file) is True
    write(file, FORMS[form].format(case(other), NAME, digest).encode(encoding))
    assert zoo.weights.is_whole(file) is False
    with pytest.raises(ValueError, match=r"is not the file that .*sha256 was written for"):
        checksums.check(file)


def test_the_advice_works(file):
    """`sha256sum NAME > NAME.sha256`, where there is such a command."""
    record = write(file, "nothing")
    with pytest.raises(ValueError, match=r"with sha256sum (\S+) > (\S+), or remove it") as error:
        checksums.check(file)
    command = str(error.value).partition("again with ")[2].partition(", or")[0]
    assert os.system(f"cd {file.parent} && {command}") == 0
    checksums.check(file)
    record.unlink()
    assert zoo.weights.is_whole(file) is None


def large(record):
    with open(record, "wb") as stream:
        stream.truncate(4 << 30)


UNUSABLE = {
    "a folder": (lambda record: record.mkdir(), "a folder or no regular file"),
    "a pipe": (os.mkfifo, "a folder or no regular file"),
    "a file of 4 GB": (large, "more than 65,536 bytes"),
    "nothing": (lambda record: record.touch(), "holds no line such as the 64 digits"),
    "a broken link": (lambda record: record.symlink_to("none"), "No such file"),
    "bytes": (lambda record: record.write_bytes(bytes(range(256))), "holds no line"),
    "another file": (
        lambda record: record.write_text(f"{checksums.sha256(record.parent / NAME)}  other.h5"),
        "written for 'other.h5'",
    ),
    "a short hash": (lambda record: record.write_text("a" * 63), "holds no line"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_is_no_hash_of_the_file_is_an_error_in_little_time(case, file):
    make, reason = UNUSABLE[case]
    make(checksums.record_of(file))
    started = time.monotonic()
    with pytest.raises(ValueError, match=rf"sha256 is not the SHA-256 of {NAME}: .*{reason}"):
        checksums.check(file)
    assert zoo.weights.is_whole(file) is False
    assert time.monotonic() - started < 5


def test_a_pipe_in_the_place_of_the_weights_is_not_read(tmp_path):
    path = tmp_path / NAME
    os.mkfifo(path)
    write(path, "a" * 64)
    assert zoo.weights.is_whole(path) is False
