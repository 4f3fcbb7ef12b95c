"""Fetching: the right file or none, from servers that err, lie, stall and break off."""

import contextlib
import errno
import hashlib
import http.server
import io
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from zoo.weights import catalog, downloading, fetching
from zoo.weights.fetching import FetchError, cache_folder, cached, fetch

CONTENT = b"\x0a\x05fcn8s" + random.Random(1).randbytes(200_000)
OTHER = b"\x0a\x05fcn8s" + random.Random(2).randbytes(200_000)
NAME, UNKNOWN, ARCHIVE, MEMBER = (
    "known.caffemodel",
    "unknown.caffemodel",
    "a.tar.gz",
    "m.caffemodel",
)
QUICK = 0.6  # seconds without a byte after which a test gives its server up
ROOT = pathlib.Path(__file__).parents[3]


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PACKED = archive(("../../read.me", b"x"), (f"../../release/{MEMBER}", CONTENT))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        with contextlib.suppress(ConnectionError):
            self.server.answer(self)
        self.close_connection = True

    def log_message(self, *_):
        pass

    def begin(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


def whole(content=CONTENT, sent=None, declared=None, **headers):
    """Answers with a file, of which `sent` is sent and `declared` said to be the length."""

    def answer(handler):
        handler.begin(Content_Length=len(content) if declared is None else declared, **headers)
        handler.wfile.write(content if sent is None else sent)

    return answer


def ranged(content=CONTENT, first=None, tag='"1"', overlook=False, dated=False):
    """Answers as a server that knows Range and If-Range (which it can `overlook`). The first
    answer breaks off after `first` bytes.
    """
    name = "Last_Modified" if dated else "ETag"

    def answer(handler):
        asked, start = handler.headers["Range"], 0
        if asked and (overlook or handler.headers["If-Range"] == tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            length = len(content) - start
            handler.begin(206, Content_Length=length, Content_Range=span, **{name: tag})
        else:
            handler.begin(Content_Length=len(content), **{name: tag})
        end = first if first and len(handler.server.asked) == 1 else len(content)
        handler.wfile.write(content[start:end])

    return answer


def in_turn(*answers):
    """Another answer each time; the last one from then on."""

    def answer(handler):
        answers[min(len(handler.server.asked), len(answers)) - 1](handler)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def raw(*pieces):
    return lambda handler: [handler.wfile.write(piece) for piece in pieces]


def many_chunks(handler):
    for _ in range(5000):
        handler.wfile.write(b"400\r\n" + bytes(1024) + b"\r\n")


def status(number, **headers):
    return lambda handler: handler.begin(number, Content_Length=0, **headers)


@pytest.fixture
def server():
    """A server on this machine; `answer` is what it does, `asked` what it was asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.asked, server.answer, server.over = [], whole(), threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def record(file, address, content=None, algorithm="sha256", member=None):
    known = None
    if content is not None:
        digest = hashlib.new(algorithm, content).hexdigest()
        known = catalog.Hash(algorithm, digest, "the authors")
    return catalog.Record(file, None, "voc", 21, address, "free", member=member, hash=known)


@pytest.fixture
def folder(tmp_path, monkeypatch, server):
    """The cache folder, and a catalog of which the server has the files."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    published = (
        record(NAME, f"{server.url}/{NAME}", CONTENT, "sha1"),
        record(UNKNOWN, f"{server.url}/{UNKNOWN}"),
        record(ARCHIVE, f"{server.url}/{ARCHIVE}", PACKED, member=MEMBER),
    )
    monkeypatch.setattr(catalog, "RECORDS", published)
    return tmp_path / "cache"


def files(folder):
    return sorted(x.name for x in folder.iterdir()) if folder.exists() else []


def refused(name=NAME, timeout=20.0, **options) -> str:
    """What is said of a file that is not fetched; none is put in its place."""
    with pytest.raises(FetchError) as caught:
        fetch(name, timeout=timeout, **options)
    assert not (cache_folder() / name).exists()
    said = str(caught.value)
    assert said.isprintable()
    return said


# The cache folder


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.cache/segmentation-zoo"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/segmentation-zoo"),
        ("linux", {"ZOO_HOME": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
        ("linux", {"ZOO_HOME": "~/mine"}, "home/mine"),
        ("linux", {"ZOO_HOME": ""}, "home/.cache/segmentation-zoo"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "home/Library/Caches/segmentation-zoo"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/segmentation-zoo"),
        ("win32", {}, "home/AppData/Local/segmentation-zoo"),
    ],
)
def test_the_cache_folder(platform, variables, expected, tmp_path, monkeypatch):
    for name in ("ZOO_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / expected
    assert dict(os.environ) == before


def test_what_is_cached(folder):
    assert cached(NAME) is None
    assert not folder.exists()
    fetch(NAME)
    assert cached(NAME) == folder / NAME
    assert cached(MEMBER) is None
    assert cached("lock") is None  # no weights file of the catalog
    assert cached(f"../cache/{NAME}") is None


# A file that comes


def test_a_file_comes_and_is_not_fetched_again(folder, server):
    told = []
    assert fetch(NAME, progress=lambda *x: told.append(x)) == folder / NAME
    assert (folder / NAME).read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [x for x, _ in told] == sorted(x for x, _ in told)
    assert fetch(NAME) == folder / NAME
    assert len(server.asked) == 1
    assert files(folder) == [NAME]


def test_another_folder_and_another_address(folder, server, tmp_path):
    other = tmp_path / "some" / "where"
    assert fetch(NAME, folder=other, address=f"{server.url}/mirror") == other / NAME
    assert server.asked[0][0] == "/mirror"
    assert not folder.exists()


def test_chunks_have_no_length(folder, server):
    chunks = [b"%x\r\n%b\r\n" % (len(x), x) for x in (CONTENT[:1000], CONTENT[1000:], b"")]
    server.answer, told = raw(CHUNKS, *chunks), []
    fetch(NAME, progress=lambda *x: told.append(x))
    assert (folder / NAME).read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), None)


def test_an_unknown_name_gets_near_matches(folder, server):
    said = refused("knwon.caffemodel")
    assert (
        f"by its name in the catalog; received 'knwon.caffemodel'. Did you mean {NAME} or " in said
    )
    said = refused(MEMBER)  # of the archive
    assert f"Did you mean {ARCHIVE} or " in said
    assert said.endswith("zoo weights lists the files.")
    assert "\\x1b" in refused("\x1b[31m")
    assert not server.asked
    assert not folder.exists()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(timeout, folder):
    with pytest.raises(FetchError, match=f"above 0 .*; received {timeout:g}. Pass a number"):
        fetch(NAME, timeout=timeout)


def test_a_proxy_is_asked_as_urllib_does(folder, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    fetch(NAME, address="http://far.invalid/file")
    assert server.asked[0][0] == "http://far.invalid/file"


# Hashes


def test_another_file_is_not_put_in_place(folder, server):
    server.answer = ranged(OTHER)
    said = refused()
    assert f"must have the sha1 {hashlib.sha1(CONTENT).hexdigest()} (the authors); " in said
    assert f"has {hashlib.sha1(OTHER).hexdigest()}. It was removed. Run the same" in said
    assert files(folder) == []
    server.answer = whole()
    assert fetch(NAME).read_bytes() == CONTENT


def test_without_a_hash_nothing_is_asked(folder, server):
    said = refused(UNKNOWN)
    assert "A file is fetched if its hash is known; that of unknown.caffemodel is not." in said
    assert f"If you trust {server.url}/{UNKNOWN}, pass --unverified" in said
    assert not server.asked
    assert not folder.exists()


def test_an_unverified_file_is_held_to_its_first_hash(folder, server):
    fetch(UNKNOWN, unverified=True)
    noted = {UNKNOWN: hashlib.sha256(CONTENT).hexdigest()}
    assert json.loads((folder / "hashes.json").read_bytes()) == noted
    (folder / UNKNOWN).unlink()
    server.answer = whole(OTHER)
    for unverified in (False, True):
        said = refused(UNKNOWN, unverified=unverified)
        assert f"(recorded in {folder / 'hashes.json'}); " in said
        assert f"remove the line of {UNKNOWN} in hashes.json" in said
    assert json.loads((folder / "hashes.json").read_bytes()) == noted
    (folder / "hashes.json").write_text("{}")  # as it says
    assert fetch(UNKNOWN, unverified=True).read_bytes() == OTHER
    (folder / UNKNOWN).unlink()
    assert fetch(UNKNOWN).read_bytes() == OTHER  # it is known now


def test_unverified_does_not_overrule_a_known_hash(folder, server):
    server.answer = whole(OTHER)
    assert "the authors" in refused(unverified=True)
    assert not (folder / "hashes.json").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"a": "b"}', "\xff"])
def test_other_hashes_json_is_refused_and_kept(content, folder, server):
    folder.mkdir()
    (folder / "hashes.json").write_text(content, encoding="latin-1")
    assert "holds something else. Repair it, or move it away" in refused(UNKNOWN, unverified=True)
    assert (folder / "hashes.json").read_text(encoding="latin-1") == content
    assert not server.asked


def test_a_file_put_there_by_hand_is_checked(folder, server):
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    assert fetch(NAME) == folder / NAME
    (folder / NAME).write_bytes(OTHER)
    with pytest.raises(FetchError, match="Move it away and run the same command again"):
        fetch(NAME)
    assert (folder / NAME).read_bytes() == OTHER
    (folder / UNKNOWN).write_bytes(OTHER)
    with pytest.raises(FetchError, match="is not"):
        fetch(UNKNOWN)
    fetch(UNKNOWN, unverified=True)
    (folder / UNKNOWN).write_bytes(CONTENT)
    with pytest.raises(FetchError, match=r"recorded in .* Move it away"):
        fetch(UNKNOWN, unverified=True)
    assert not server.asked


# Going on


@pytest.mark.parametrize("dated", [False, True])
def test_a_download_that_broke_off_goes_on(dated, folder, server):
    tag = "Wed, 21 Oct 2015 07:28:00 GMT" if dated else '"1"'
    server.answer = ranged(first=150_000, dated=dated, tag=tag)
    said = refused()
    assert f"broke off: '150,000 of {len(CONTENT):,} bytes arrived'" in said
    assert said.endswith("Run the same command again: it resumes at byte 150,000.")
    told = []
    fetch(NAME, progress=lambda *x: told.append(x))
    assert (folder / NAME).read_bytes() == CONTENT
    assert server.asked[1][1]["Range"] == "bytes=150000-"
    assert server.asked[1][1]["If-Range"] == tag
    assert told[0] == (150_000, len(CONTENT))
    assert files(folder) == [NAME]


def test_a_part_that_was_whole_is_not_asked_for_again(folder, server, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    server.answer = ranged()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda *_: None)
        patch.setattr(fetching, "_check", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(NAME)
    assert files(folder) == [f"{NAME}.part", f"{NAME}.part.json"]
    assert fetch(NAME).read_bytes() == CONTENT
    assert len(server.asked) == 1


def start_again(server, second):
    """Breaks off with a part of CONTENT, then answers with `second`."""
    server.answer = in_turn(ranged(first=150_000), second)
    refused()


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(whole(), id="it ignores Range"),
        pytest.param(in_turn(status(200), status(416), whole()), id="it answers 416"),
        pytest.param(in_turn(status(200), status(206), whole()), id="no Content-Range"),
    ],
)
def test_a_server_that_cannot_go_on_begins_anew(second, folder, server):
    start_again(server, second)
    fetch(NAME)
    assert (folder / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("overlook", [False, True])
def test_parts_of_two_files_are_never_joined(overlook, folder, server):
    """Without a known hash nobody would notice."""
    server.answer = in_turn(
        ranged(OTHER, first=150_000), ranged(CONTENT, tag='"2"', overlook=overlook)
    )
    refused(UNKNOWN, unverified=True)
    assert fetch(UNKNOWN, unverified=True).read_bytes() == CONTENT
    assert server.asked[1][1]["If-Range"] == '"1"'


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"Content_Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}, id="place"),
        pytest.param(
            {"Content_Range": f"bytes 150000-{len(CONTENT)}/{len(CONTENT) + 1}"}, id="size"
        ),
        pytest.param({"ETag": 'W/"1"'}, id="weak"),
        pytest.param({"ETag": ""}, id="no tag"),
    ],
)
def test_a_rest_of_another_place_is_not_taken(change, folder, server):
    right = {
        "ETag": '"1"',
        "Content_Range": f"bytes 150000-{len(CONTENT) - 1}/{len(CONTENT)}",
        "Content_Length": len(CONTENT) - 150_000,
    }

    def rest(handler):
        handler.begin(206, **right | change)
        handler.wfile.write(OTHER[150_000:])

    server.answer = in_turn(ranged(first=150_000), rest, whole())
    refused(UNKNOWN, unverified=True)
    assert fetch(UNKNOWN, unverified=True).read_bytes() == CONTENT
    assert len(server.asked) == 3


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"1"'}])
def test_without_a_strong_mark_a_download_begins_anew(headers, folder, server):
    server.answer = in_turn(whole(sent=CONTENT[:1000], **headers), whole(**headers))
    said = refused()
    assert said.endswith("it starts again, because the server cannot resume it.")
    fetch(NAME)
    assert (folder / NAME).read_bytes() == CONTENT
    assert "Range" not in server.asked[1][1]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"total": 1}'])
def test_a_damaged_note_on_a_part_begins_anew(content, folder, server):
    server.answer = ranged(first=150_000)
    refused()
    (folder / f"{NAME}.part.json").write_text(content)
    assert fetch(NAME).read_bytes() == CONTENT
    assert "Range" not in server.asked[1][1]


def test_a_mark_that_cannot_be_sent_back_is_none(folder, server):
    tag = b'ETag: "a\r\n b"\r\n'
    server.answer = raw(HEAD, tag, b"Content-Length: %d\r\n\r\n" % len(CONTENT), CONTENT[:1000])
    assert "it starts again" in refused()
    server.answer = whole()
    assert fetch(NAME)


def test_another_address_begins_anew(folder, server):
    server.answer = ranged(first=150_000)
    refused()
    fetch(NAME, address=f"{server.url}/mirror")
    assert "Range" not in server.asked[1][1]


@pytest.mark.parametrize(
    "second",
    [status(500), status(404), whole(b"Please log in", Content_Type="text/html")],
    ids=["500", "404", "a login page"],
)
def test_a_failing_server_costs_no_part(second, folder, server):
    start_again(server, second)
    refused()
    server.answer = ranged()
    told = []
    fetch(NAME, progress=lambda *x: told.append(x))
    assert told[0][0] == 150_000


# Servers that err, lie, stall


@pytest.mark.parametrize("number", [404, 500, 416, 204, 206, 304])
def test_another_status_is_refused(number, folder, server):
    server.answer = status(number)
    said = refused()
    assert (
        f"A server must answer with status 200; that of {server.url}/{NAME} answered {number}"
        in said
    )
    assert (
        f"You can also put a copy from elsewhere at {folder / NAME}: it is checked there." in said
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (CONTENT, "text/html; charset=utf-8"),
        (b"<!DOCTYPE html><p>Moved", "application/octet-stream"),
        (b"\xef\xbb\xbf\r\n <HTML>", "text/plain"),
        (b"<?xml version='1.0'?><Error/>", "application/xml"),
    ],
)
def test_a_web_page_is_refused(content, kind, folder, server):
    server.answer = whole(content, Content_Type=kind)
    said = refused(UNKNOWN, unverified=True)
    assert f"not a web page; {server.url}/{UNKNOWN} answered with one. Open the address" in said
    assert files(folder) == []


def test_a_name_of_sixty_letters_is_no_page(folder, server):
    """Its length is the character <, after a line feed that is the tag of the name."""
    server.answer = whole(b"\x0a\x3c" + b"n" * 60)
    assert fetch(UNKNOWN, unverified=True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            whole(declared=len(CONTENT) + 9),
            f"'{len(CONTENT):,} of {len(CONTENT) + 9:,} bytes arrived'",
        ),
        (whole(sent=b""), f"'0 of {len(CONTENT):,} bytes arrived'"),
        (whole(b""), "'0 of 1 bytes arrived'"),
        (whole(declared=len(CONTENT) - 9), f"has {hashlib.sha1(CONTENT[:-9]).hexdigest()}"),
        (whole(declared="-9"), "sent Content-Length '-9'"),
        (whole(declared="x"), "sent Content-Length 'x'"),
        (raw(HEAD, "Content-Length: ٩\r\n\r\n".encode(), b"123456789"), "sent Content-Length"),
        (raw(HEAD, b"\r\n", CONTENT), "or send the file in chunks; that of"),
        (whole(declared=2_000_000_001), "received 2,000,000,001."),
    ],
)
def test_a_wrong_length_is_noticed(answer, said, folder, server):
    server.answer = answer
    assert said in refused()


def test_more_than_the_largest_file_is_not_taken(folder, server, monkeypatch):
    monkeypatch.setattr(downloading, "MAX_BYTES", 100_000)
    assert (
        "at most 100,000 bytes, and as many as its server announces; received 200,007." in refused()
    )
    server.answer = lambda handler: (raw(CHUNKS)(handler), many_chunks(handler))
    assert "received more than 1" in refused()
    assert files(folder) == []


def test_a_rest_that_is_too_long_is_not_taken(folder, server):
    def rest(handler):
        span = f"bytes 150000-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.begin(206, ETag='"1"', Content_Range=span, Transfer_Encoding="chunked")
        many_chunks(handler)

    start_again(server, rest)
    assert "received more than" in refused()
    assert files(folder) == []


def drip(*start):
    """A byte now and then, for ten seconds; after what is sent at once."""

    def answer(handler):
        for content in start:
            handler.wfile.write(content)
        begun = time.monotonic()
        while time.monotonic() - begun < 10 and not handler.server.over.wait(QUICK / 8):
            handler.wfile.write(b"0")

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(lambda x: x.server.over.wait(5), "did not: 'no byte arrived", id="no head"),
        pytest.param(
            lambda x: (whole(sent=b"0")(x), x.server.over.wait(5)),
            f"broke off: 'no byte arrived for {QUICK:g} seconds'",
            id="no body",
        ),
        pytest.param(drip(HEAD, b"X: "), "did not: 'no byte arrived", id="dripped head"),
        pytest.param(
            drip(HEAD, b"Content-Length: 999999\r\n\r\n"),
            "bytes per second arrived; at least 1000 are required'",
            id="dripped body",
        ),
        pytest.param(
            drip(HEAD, b"Content-Length: 999999999\r\n\r\n", bytes(1_000_000)),
            "bytes per second arrived; at least 1000 are required'",
            id="dripped rest",
        ),
        pytest.param(
            drip(CHUNKS, b"1\r\n0\r\n0\r\nX: "),
            "broke off: 'no byte arrived",
            id="dripped trailer",
        ),
    ],
)
def test_a_slow_server_is_given_up(answer, said, folder, server):
    server.answer = answer
    begun = time.monotonic()
    assert said in refused(timeout=QUICK)
    assert time.monotonic() - begun < 8


def reset(handler):
    whole(sent=CONTENT[:1000])(handler)
    option = (1).to_bytes(4, sys.byteorder) + bytes(4)  # no grace: what is open is reset
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    handler.wfile.flush()
    time.sleep(0.05)
    os.close(handler.connection.detach())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reset, "broke off: "),
        (lambda handler: None, "did not: "),
        (raw(b"\x1b[2J\x07\r\n\r\n"), "'\\x1b[2J\\x07"),
        (raw(HEAD, b"X: 1\r\n" * 200), "more than 100 headers"),
        (raw(CHUNKS, b"5\r\nab"), "broke off: "),
        (raw(CHUNKS, b"no\r\n"), "broke off: "),
    ],
    ids=["reset", "nothing", "no HTTP", "headers", "half a chunk", "no chunk"],
)
def test_a_broken_answer_is_an_error(answer, said, folder, server):
    server.answer = answer
    assert said in refused()


def test_no_server_is_an_error(folder):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        said = refused(address=address)
    assert f"the server of {address} did not: '" in said
    assert "Connection refused" in said
    assert (
        "Check the network, or try again later. You can also put a copy from elsewhere at" in said
    )


def test_the_certificate_of_a_server_is_checked(folder, server):
    said = refused(address=server.url.replace("http:", "https:"))
    assert "SSL" in said


def test_what_a_server_says_is_escaped_and_cut(folder, server):
    server.answer = raw(b"HTTP/1.1 418 \x1b[31m", b"x" * 500, b"\r\nContent-Length: 0\r\n\r\n")
    said = refused()
    assert "\\x1b[31m" in said
    assert "x" * 101 not in said


# Redirects


def test_a_redirect_is_followed(folder, server):
    other = server.url.removeprefix("http:") + "/c"
    server.answer = in_turn(
        status(302, Location="/other place?a=b"), status(308, Location=other), whole()
    )
    fetch(NAME)
    assert [path for path, _ in server.asked] == [f"/{NAME}", "/other%20place?a=b", "/c"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_leads_to_the_web(location, folder, server):
    server.answer = status(301, Location=location)
    said = refused()
    assert "by http:// or https://, after a redirect too" in said
    assert f"{server.url}/{NAME} led to '{location}'. Give another address." in said
    assert len(server.asked) == 1


def test_an_address_is_of_the_web(folder, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert "by http:// or https://" in refused(address=(tmp_path / "file").as_uri())


def test_a_redirect_to_itself_ends(folder, server):
    server.answer = status(302, Location=f"/{NAME}")
    assert f"At most 5 redirects are followed; {server.url}/{NAME} led on to" in refused()
    assert len(server.asked) == 6


def test_a_redirect_to_no_address_is_an_error(folder, server):
    server.answer = status(302, Location="http://[")
    assert "did not: 'Invalid IPv6 URL'" in refused()


def test_the_body_of_a_redirect_is_not_read(folder, server):
    slow = drip(b"HTTP/1.1 302 OK\r\nLocation: /x\r\nContent-Length: 999\r\n\r\n")
    server.answer = in_turn(slow, whole())
    assert fetch(NAME, timeout=5)


# Disks and processes


@pytest.mark.parametrize("written", [0, 100_000])
def test_a_full_disk_harms_nothing(written, folder, server, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            room = written - self.tell()
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(bytes(data)[:room])

    def opened(file, mode="r", **options):
        if mode != "ab" or not str(file).endswith(".part"):
            return open(file, mode, **options)
        return io.BufferedWriter(Full(file, "ab"))

    server.answer = ranged()
    with monkeypatch.context() as patch:
        patch.setattr(downloading, "open", opened, raising=False)
        said = refused()
    assert "No space left on device" in said
    assert f"Make room in {folder}, then run the same command again: it resumes at byte" in said
    told = []
    assert fetch(NAME, progress=lambda *x: told.append(x)).read_bytes() == CONTENT
    assert told[0][0] == written


def test_a_folder_that_cannot_be_written_is_an_error(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    with pytest.raises(FetchError, match="another folder in ZOO_HOME; then run the") as caught:
        fetch(NAME)
    assert "the system says: [Errno 20] Not a directory" in str(caught.value)
    assert folder.read_text() == "a file"


def test_a_part_that_no_download_wrote_is_left_alone(folder, server):
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{NAME}.part"
    part.write_bytes(b"of a browser")
    with pytest.raises(FetchError, match=rf"{part} first; that file is there, .* Move it away and"):
        fetch(NAME)
    assert part.read_bytes() == b"of a browser"
    part.rename(folder / "away")
    assert fetch(NAME).read_bytes() == CONTENT


def test_one_process_at_a_time_fetches(folder, server):
    ready, go_on = threading.Event(), threading.Event()

    def slow(handler):
        whole(sent=CONTENT[:1000])(handler)
        ready.set()
        go_on.wait(10)
        handler.wfile.write(CONTENT[1000:])

    server.answer = slow
    thread = threading.Thread(target=fetch, args=(NAME,))
    thread.start()
    assert ready.wait(10)
    said = refused()
    owner = f"process {os.getpid()} on "
    assert f"One process at a time fetches into a folder; {owner}" in said
    assert f" is fetching into {folder}. Wait until it ends" in said
    go_on.set()
    thread.join()
    assert fetch(NAME).read_bytes() == CONTENT
    with fetching._only_process(folder):
        assert fetch(NAME)  # what is there and known is only read
    assert len(server.asked) == 1


# Runs as a process of its own: TensorFlow, which the packages import, takes seconds.
CHILD = """
import sys, types
for name in ("zoo", "zoo.weights"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [name.replace(".", "/")]
from zoo.weights import catalog, fetching
heavy = {"tensorflow", "keras", "numpy"} & set(sys.modules)
assert not heavy, heavy
address, digest = sys.argv[1:]
known = {"hash": catalog.Hash("sha1", digest, "the authors")}
catalog.RECORDS = (catalog.Record("known.caffemodel", None, "voc", 21, address, "free", **known),)
fetching.fetch("known.caffemodel")
"""


def child(server):
    command = [
        sys.executable,
        "-c",
        CHILD,
        f"{server.url}/{NAME}",
        hashlib.sha1(CONTENT).hexdigest(),
    ]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_leaves_a_part_that_goes_on(folder, server):
    stalled = threading.Event()

    def stall(handler):
        ranged(first=150_000)(handler)
        stalled.set()
        handler.server.over.wait(10)

    server.answer = in_turn(stall, ranged())
    process = child(server)
    assert stalled.wait(30)
    part = folder / f"{NAME}.part"
    while not part.exists() or not part.stat().st_size:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = part.stat().st_size
    told = []
    assert fetch(NAME, progress=lambda *x: told.append(x)).read_bytes() == CONTENT
    assert told[0][0] == kept > 0


def test_processes_that_fetch_at_once_put_the_right_file(folder, server):
    processes = [child(server) for _ in range(3)]
    said = [process.communicate()[1] for process in processes]
    assert any(process.returncode == 0 for process in processes)
    for process, errors in zip(processes, said, strict=True):
        assert process.returncode == 0 or "One process at a time fetches into a folder" in errors
    assert (folder / NAME).read_bytes() == CONTENT
    assert files(folder) == [NAME]


# Archives


def test_of_an_archive_the_weights_are_unpacked(folder, server):
    server.answer = whole(PACKED)
    assert fetch(ARCHIVE) == folder / MEMBER == cached(MEMBER)
    assert (folder / MEMBER).read_bytes() == CONTENT
    assert files(folder) == sorted([ARCHIVE, MEMBER])
    assert files(folder.parent) == ["cache"]
    (folder / MEMBER).unlink()
    assert fetch(ARCHIVE).read_bytes() == CONTENT
    assert len(server.asked) == 1
    (folder / MEMBER).write_bytes(OTHER)
    with pytest.raises(
        FetchError, match=f"must be the {MEMBER} of {ARCHIVE}; it holds something else"
    ):
        fetch(ARCHIVE)
    assert (folder / MEMBER).read_bytes() == OTHER
    assert files(folder) == sorted([ARCHIVE, MEMBER])


def link(name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive(("read.me", b"x")), "must hold m.caffemodel; "),
        (link(MEMBER), "must hold m.caffemodel; "),
        (archive((MEMBER, bytes(300_000))), "unpacked up to 250,000 bytes"),
        (archive(("big", bytes(200_000)), (MEMBER, bytes(60_000))), "unpacked up to 250,000 bytes"),
        (b"no archive", "is not, or is damaged"),
        (archive((MEMBER, CONTENT))[:-50_000], "is not, or is damaged"),
        (archive(("a", CONTENT), (MEMBER, b"1"))[:-50_000], "is not, or is damaged"),
    ],
    ids=["other", "link", "large", "much", "none", "cut", "cut before"],
)
def test_another_archive_is_not_unpacked(content, said, folder, server, monkeypatch):
    unknown = record(ARCHIVE, f"{server.url}/{ARCHIVE}", member=MEMBER)
    monkeypatch.setattr(catalog, "RECORDS", (unknown,))
    monkeypatch.setattr(fetching, "MAX_BYTES", 250_000)
    server.answer = whole(content)
    with pytest.raises(FetchError, match=said):
        fetch(ARCHIVE, unverified=True)
    assert files(folder) == sorted([ARCHIVE, "hashes.json"])
