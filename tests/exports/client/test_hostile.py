"""What a broken or hostile server says is refused: in time, within memory, on one clean line."""

import base64
import io
import itertools
import json
import pathlib
import re
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from exports import protobuf
from exports.client import ServerError, connected, errors
from tests.fuzz import wire
from tests.support import serving_double as double
from tests.support.serving_faults import http_answer, one_that_says

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FOR_EVER = itertools.repeat(b" ")


@pytest.fixture
def refused(said, image, tmp_path):
    """Asks a server, which must be refused in time on one clean line; returns the line."""

    def ask(url: str, *options: object) -> str:
        out, began = tmp_path / "out", time.monotonic()
        status, printed = said(
            *(image, "--url", url, "--model", "unet", "--out", out, "--timeout", 2, *options)
        )
        assert time.monotonic() - began < 4
        assert status == 1
        assert printed.startswith("zoo ask: ")
        assert printed.count("\n") == 1
        assert printed[:-1].isprintable()
        assert len(printed) < 1000
        assert not out.exists()
        return printed

    return ask


@pytest.mark.parametrize(
    "said_first",
    [
        HEAD + b"Content-Length: 10000000\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        HEAD + b"\r\n{",  # until the connection ends
        HEAD + b"X-Slow: ",
        b"HTTP/1.1",
    ],
)
def test_an_answer_in_drops_is_given_up_in_time(said_first, refused):
    with one_that_says(said_first, then=FOR_EVER, pause=0.1) as place:
        printed = refused(f"http://{place}")
    assert "did not answer within 2 s. Pass a longer --timeout, or smaller images" in printed


def test_an_answer_in_drops_by_grpc_is_given_up_in_time(refused):
    settings = b"\0\0\0\4\0\0\0\0\0"
    with one_that_says(settings, then=itertools.repeat(b"\0"), pause=0.1) as place:
        assert "did not answer within 2 s." in refused(f"grpc://{place}")


def test_one_that_never_comes_to_the_answer_is_given_up_in_time(refused):
    more = itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    with one_that_says(b"HTTP/1.1 100 Continue\r\n\r\n", then=more) as place:
        assert "did not answer within 2 s." in refused(f"http://{place}")


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"Content-Length: 3000000000\r\n\r\n", b" " * 100_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"ffff\r\n" + b" " * 0xFFFF + b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n", b" " * 100_000),
        (b"\r\n", b" " * 100_000),
    ],
)
def test_an_answer_that_is_too_large_is_not_read(head, rest, refused):
    with one_that_says(HEAD + head, then=itertools.repeat(rest)) as place:
        text = f"has 67,108,864 bytes at most; the server at http://{place} sends more. Ask an"
        assert text in refused(f"http://{place}")


def test_a_message_that_is_too_large_is_not_read(served, monkeypatch, refused):
    monkeypatch.setattr(errors, "MAX_ANSWER", 1_000_000)  # below gRPC's own limit
    monkeypatch.setattr(double, "write_answer", lambda outputs: bytes(1_000_001))
    monkeypatch.setattr(served, "predict", lambda *asked: {})  # its first answer takes long
    with double.grpc_server(served) as url:
        assert "has 1,000,000 bytes at most; the server at grpc://" in refused(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 50_000_000,
        b'{"a":' * 10_000_000,
        b'{"predictions": [' + b"[]," * 15_000_000 + b"1]}",
        b'{"predictions": [' + b"9" * 50_000_000 + b"]}",
        b'{"predictions": [' + b"0." + b"9" * 50_000_000 + b"]}",
        b'{"predictions": [{"valid": 0.'
        + b"9" * 60_000_000
        + b', "mask_png_bytes": {"b64": ""}}]}',
        b'{"predictions": [{"valid": 1, "mask_png_bytes": {"b64": "' + b"\xff" * 99 + b'"}}]}',
        b'{"predictions": [{"valid": "yes", "mask_png_bytes": {"b64": ""}}]}',
        b'{"predictions": [{"valid": [1, 1], "mask_png_bytes": {"b64": ""}}]}',
    ],
)
def test_json_that_costs_is_refused(answer, refused):
    with one_that_says(http_answer("200 OK", answer)) as place:
        assert "An export of this zoo answers mask_png for one" in refused(f"http://{place}")


def output(name: bytes, tensor: bytes) -> bytes:
    return wire.field(1, wire.field(1, name) + wire.field(2, tensor))


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 20_000_000,
        wire.field(1, b"\xff" * 20_000_000),
        b"\x08\x01" * 10_000_000,  # numbers without an end
        output(b"valid", b"\x08\x01" * 10_000_000),
        output(b"valid", wire.field(7, b"\x01" * 20_000_000)),
        output(b"valid", wire.field(4, b"\x01" * 20_000_000)),
        wire.field(1, 3),  # numbers where messages are meant
        wire.field(1, wire.field(1, 3)),
        wire.field(1, wire.field(1, b"valid") + wire.field(2, 3)),
        wire.field(1, wire.field(1, b"\xff") + wire.field(2, b"")),
        output(b"valid", wire.field(7, 2)) + output(b"mask_png_bytes", wire.field(8, b"")),
        output(b"valid", wire.field(7, 1)) + output(b"mask_png_bytes", wire.field(8, 1)),
    ],
)
def test_a_message_that_costs_is_refused(answer, served, monkeypatch, refused):
    monkeypatch.setattr(double, "write_answer", lambda outputs: answer)
    monkeypatch.setattr(served, "predict", lambda *asked: {})
    with double.grpc_server(served) as url:
        assert "An export of this zoo answers mask_png for one" in refused(url)


def test_a_message_within_its_fields_is_read():
    message = wire.field(1, 3) * 4
    assert list(protobuf.fields(message, most=4)) == [(1, 3)] * 4
    with pytest.raises(ValueError, match="has at most 3 fields; this one of 8 bytes has more"):
        list(protobuf.fields(message, most=3))


def mask_answer(content: bytes) -> bytes:
    row = {"mask_png_bytes": {"b64": base64.b64encode(content).decode()}, "valid": 1}
    return http_answer("200 OK", json.dumps({"predictions": [row]}).encode())


def mask(picture: Image.Image, form: str = "PNG") -> bytes:
    """An answer with this mask."""
    content = io.BytesIO()
    picture.save(content, form)
    return mask_answer(content.getvalue())


def black_png(side: int) -> bytes:
    """A PNG that is grey and black, made without its pixels."""
    pack = zlib.compressobj(1)
    rows = [pack.compress(bytes(side + 1)) for _ in range(side)]
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0),
        b"IDAT": b"".join([*rows, pack.flush()]),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


@pytest.mark.parametrize("side", [5000, 20_000])
def test_a_mask_of_another_size_is_refused_before_it_is_decoded(side, image, refused):
    content = black_png(side)
    with one_that_says(mask_answer(content)) as place:
        tracemalloc.start()
        printed = refused(f"http://{place}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert f"A mask is a grey PNG of the size of its image; that of {image} is not (" in printed
    assert peak < side * side / 5


@pytest.mark.parametrize(("mode", "form"), [("L", "GIF"), ("RGB", "PNG"), ("L", "EPS")])
def test_a_mask_in_another_format_is_refused(mode, form, image, refused, monkeypatch):
    def started(*arguments: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.check_call", started)
    monkeypatch.setattr("subprocess.Popen", started)
    with Image.open(image) as asked, one_that_says(mask(Image.new(mode, asked.size), form)) as url:
        assert "A mask is a grey PNG of the size of its image; that of" in refused(f"http://{url}")


@pytest.mark.parametrize("number", [4, 255])
@pytest.mark.parametrize("server", ["rest", "grpc_server"])
def test_a_mask_of_classes_that_there_are_not_is_refused(
    number, server, named, image, monkeypatch, refused
):
    content, honest = io.BytesIO(), named.predict
    with Image.open(image) as asked:
        Image.new("L", asked.size, number).save(content, "PNG")

    def predict(model, signature, inputs):
        if signature == "class_names":
            return honest(model, signature, inputs)
        masks = double.strings([content.getvalue()])
        return {"mask_png_bytes": masks, "valid": np.ones(1, np.uint8)}

    monkeypatch.setattr(named, "predict", predict)
    with getattr(double, server)(named) as url:
        printed = refused(url)
    assert f"one of the server holds {number}, about which it says: " in printed
    assert "A class number is from 0 to 3 here" in printed


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P", "300 M"])
@pytest.mark.parametrize("scheme", ["http", "file", "ftp"])
def test_an_image_is_sent_on_to_nobody(status, scheme, refused):
    with one_that_says(mask(Image.new("L", (1, 1)))) as other:
        address = f"{scheme}://{other}/x"
        with one_that_says(http_answer(status, b"", f"Location: {address}")) as place:
            printed = refused(f"http://{place}")
    text = f"the one at http://{place} sends on to '{address}'. Pass the address of that one as"
    assert text in printed


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "304 Same", "300 M", "204 No", "207 X"]
)
def test_a_status_that_leads_nowhere_is_explained(status, refused):
    with one_that_says(http_answer(status, b"")) as place:
        printed = refused(f"http://{place}")
    text = (
        f"what answers at http://{place} said {status[:3]}. Pass the --url of TensorFlow Serving."
    )
    assert text in printed


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://zoo.invalid/v1/models/unet:predict", "https://zoo.invalid"),
        ("//zoo.invalid:8501/v1/models/unet:predict", "http://zoo.invalid:8501"),
        ("http://[", "http://["),
    ],
)
def test_where_a_server_sends_on_to_can_be_passed_on(location, url, refused):
    with one_that_says(http_answer("301 Moved", b"", f"Location: {location}")) as place:
        printed = refused(f"http://{place}")
    assert f"sends on to '{url}'. Pass the address of that one as --url" in printed
    with one_that_says(http_answer("301 Moved", b"", "Location: /a")) as place:
        assert f"sends on to 'http://{place}/a'. Pass" in refused(f"http://{place}")


ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\b\u202e" + "x" * 100_000


@pytest.mark.parametrize(
    "answer",
    [
        http_answer("400 No", json.dumps({"error": ESCAPES}).encode()),
        http_answer("400 No", ESCAPES.encode()),
        http_answer("404 No", json.dumps({"error": [ESCAPES] * 9}).encode()),
        http_answer("503 No", ESCAPES.encode(), "Retry-After: 999999999999999999999"),
        http_answer("504 No", json.dumps({"error": "\n" * 999 + ESCAPES}).encode()),
        http_answer("200 OK", ESCAPES.encode()),
        b"HTTP/1.1 302 No\r\nLocation: " + ESCAPES[:5000].encode() + b"\r\n\r\n",
        ESCAPES[:9].encode() * 6000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_nothing_that_a_server_says_takes_over_the_terminal(answer, refused):
    with one_that_says(answer) as place:
        refused(f"http://{place}", "--retries", 0)  # looks at every character


def test_nothing_that_a_grpc_server_says_takes_over_the_terminal(served, monkeypatch, refused):
    def predict(*asked):
        raise double.RefusedError("PERMISSION_DENIED", ESCAPES[:3000])

    monkeypatch.setattr(served, "predict", predict)
    with double.grpc_server(served) as url:
        assert "with PERMISSION_DENIED: \\x1b[2J" in refused(url)


@pytest.mark.parametrize("server", ["rest", "grpc_server"])
@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_server_that_does_not_encrypt_is_told_on_one_line(
    server, scheme, served, image, tmp_path
):
    """GRPC has a log of its own, on the terminal."""
    with getattr(double, server)(served) as url:
        place = url.partition("//")[2]
        url = f"{scheme}://{place}"
        asked = [image, "--url", url, "--model", "unet", "--out", tmp_path / "out"]
        run = subprocess.run(
            [sys.executable, "-m", "zoo", "ask", *map(str, asked)],
            cwd=pathlib.Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr.startswith(f"zoo ask: The server at {url} does not answer (")
    text = f"{scheme}:// encrypts, and what answers there does not. Pass http://{place} if that is"
    assert f"{text} the port of REST, or grpc://{place} if it is that of gRPC." in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_grpc_port_that_is_asked_by_rest_is_explained(served, refused):
    with double.grpc_server(served) as url:
        place = url.removeprefix("grpc://")
        printed = refused(f"http://{place}")
    text = f"http:// asks by REST, which what answers at http://{place} does not speak. Pass {url} "
    assert text + "if that is the port of gRPC; the port of REST is 8501 unless" in printed


def test_a_rest_port_that_is_asked_by_grpc_is_explained(served, refused):
    with double.rest(served) as url:
        place = url.removeprefix("http://")
        printed = refused(f"grpc://{place}")
    text = f"grpc:// asks by gRPC, which what answers at grpc://{place} does not speak. Pass {url} "
    assert text + "if that is the port of REST; the port of gRPC is 8500 unless" in printed


@pytest.mark.parametrize("server", ["rest", "grpc_server"])
def test_a_time_limit_of_the_server_is_told_as_its_own(server, served, monkeypatch, refused):
    def predict(*asked):
        raise double.RefusedError("DEADLINE_EXCEEDED", "it took too long")

    monkeypatch.setattr(served, "predict", predict)
    with getattr(double, server)(served) as url:
        printed = refused(url)
    text = f"{url} gave up at a time limit of its own (it took too long), which no"
    assert text + " --timeout changes. Send smaller images" in printed


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "does not answer ("),
        (b"hello\r\n", "http:// asks by REST, which what answers at http://PLACE does not speak"),
        (HEAD + b"Content-Length: 99\r\n\r\n{}", "does not answer (IncompleteRead(2 bytes"),
        (http_answer("500 Error", b"<html>oh"), "with status 500: b'<html>oh'. The model must be"),
        (http_answer("401 No", b""), "with status 401: b''. Pass what authorizes you as"),
        (http_answer("413 No", b"big"), "with status 413: b'big'. Send a smaller image, or raise"),
        (http_answer("404 Not Found", b"[]"), "has none with the name 'unet' (b'[]'). Pass"),
        (http_answer("503 Busy", b'{"error": "full"}'), "no further request now (full). Ask again"),
        (http_answer("200 OK", b"welcome"), "'unet' at http://PLACE answered b'welcome'. Ask an"),
        (http_answer("200 OK", b'{"predictions": [3]}'), "answered b'{\"predictions\": [3]}'."),
        (http_answer("200 OK", b'{"predictions": []}'), "answered b'{\"predictions\": []}'."),
    ],
)
def test_a_server_that_is_another(answer, text):
    with (
        one_that_says(answer) as place,
        connected(f"http://{place}", "unet", retries=0) as server,
        pytest.raises(ServerError, match=re.escape(text.replace("PLACE", place))),
    ):
        server.mask_png(b"image")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_says_nothing(scheme):
    text = r" did not answer within 0\.3 s\. Pass a longer --timeout, or smaller images"
    with (
        one_that_says() as place,
        connected(f"{scheme}://{place}", "unet", timeout=0.3) as server,
        pytest.raises(ServerError, match=text),
    ):
        server.mask_png(b"")
