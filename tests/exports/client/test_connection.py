"""How a server is asked: where, which version, with what, how often, how long."""

import pathlib
import re
import socket
import ssl
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from exports.client import RefusedError, ServerError, connected, errors, messages
from exports.client.server import Server
from tests.support import serving_double as double
from tests.support.serving_faults import http_answer, one_that_says

PEM = pathlib.Path(double.__file__).with_name("localhost.pem")
"""A certificate for localhost, which signs itself, and its key: for tests only."""

SERVERS = pytest.mark.parametrize("server", ["rest", "grpc_server"])


@pytest.fixture
def image_bytes(image) -> bytes:
    return image.read_bytes()


@pytest.mark.parametrize(
    "url",
    [
        *(
            "localhost:8501",
            "ftp://localhost",
            "http://",
            "grpc:///",
            "",
            "http://a:b",
            "file:///x",
        ),
        *(
            "http://a:99999",
            "http://a:0",
            "http://[::1",
            "http://a b",
            "http://a/?x",
            "http://a/#x",
        ),
        *("grpc://a/b", "http://a..b", "http://ä", "http://a\nb", "https:///x", "http://:8501"),
    ],
)
def test_a_url_that_is_none(url):
    text = "grpc:// or grpcs://, its host and its port; received " + repr(url) + ". Pass, for"
    with pytest.raises(ValueError, match=re.escape(text)), connected(url, "unet"):
        pass


def test_a_password_in_a_url_is_not_shown():
    text = r"received 'http://…@localhost:8501'\. Pass, .* and what authorizes you as a --header"
    url = "http://me:secret@localhost:8501"
    with pytest.raises(ValueError, match=text) as raised, connected(url, "unet"):
        pass
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), 1e9])
def test_a_timeout_that_is_none(timeout):
    with (
        pytest.raises(ValueError, match=r"seconds above 0, .* received .* Pass --timeout 60"),
        connected("http://localhost:1", "unet", timeout=timeout),
    ):
        pass


@pytest.mark.parametrize("retries", [-1, 1.5, True])
def test_retries_that_are_none(retries):
    with (
        pytest.raises(ValueError, match=r"whole number from 0; received .* Pass --retries 3"),
        connected("http://localhost:1", "unet", retries=retries),
    ):
        pass


def test_without_grpc_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    text = "needs gRPC, which is not installed. Install it: pip install grpcio. Or ask by http"
    with pytest.raises(ImportError, match=text), connected("grpc://localhost:1", "unet"):
        pass


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_is_away_is_told_at_once(scheme, image, tmp_path, said):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{free.getsockname()[1]}"
        began = time.monotonic()
        status, printed = said(image, "--url", url, "--model", "unet", "--out", tmp_path / "out")
    assert time.monotonic() - began < 1
    assert status == 1
    assert f"zoo ask: The server at {url} does not answer (" in printed
    assert "onnection refused" in printed
    assert "Start it, or pass another --url; REST is at port 8501 and gRPC at 8500" in printed
    assert not (tmp_path / "out").exists()


class Turning:
    """A served model that turns away the first questions with these codes."""

    def __init__(self, served, monkeypatch, *codes: str) -> None:
        self.asked: list[float] = []
        honest = served.predict

        def predict(*asked):
            self.asked.append(time.monotonic())
            if len(self.asked) <= len(codes):
                raise double.RefusedError(codes[len(self.asked) - 1], "come back")
            return honest(*asked)

        monkeypatch.setattr(served, "predict", predict)


@SERVERS
def test_a_busy_server_is_asked_again_after_longer_pauses(server, served, monkeypatch, image_bytes):
    turning = Turning(served, monkeypatch, "UNAVAILABLE", "RESOURCE_EXHAUSTED")
    with getattr(double, server)(served) as url, connected(url, "unet") as asked:
        assert asked.mask_png(image_bytes)
    first, second = np.diff(turning.asked)
    assert first >= 0.25
    assert second >= 0.5
    assert first + second < 4


@SERVERS
def test_a_busy_server_is_not_asked_for_ever(server, served, monkeypatch, image, tmp_path, said):
    turning = Turning(served, monkeypatch, *["RESOURCE_EXHAUSTED"] * 9)
    with getattr(double, server)(served) as url:
        status, printed = said(
            *(image, "--url", url, "--model", "unet", "--out", tmp_path, "--retries", 1)
        )
    assert (status, len(turning.asked)) == (1, 2)
    text = f"{url} takes no further request now (come back). Ask again later, pass more --retries"
    assert text in printed


@SERVERS
def test_retries_end_with_the_time(server, served, monkeypatch):
    turning = Turning(served, monkeypatch, *["UNAVAILABLE"] * 9)
    began = time.monotonic()
    with (
        getattr(double, server)(served) as url,
        connected(url, "unet", timeout=1, retries=99) as asked,
        pytest.raises(ServerError, match="takes no further request now"),
    ):
        asked.mask_png(b"")
    assert time.monotonic() - began < 2
    assert 2 <= len(turning.asked) <= 4


@SERVERS
@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "UNKNOWN"])
def test_what_would_be_refused_again_is_not_asked_again(server, code, served, monkeypatch):
    turning = Turning(served, monkeypatch, *[code] * 9)
    with (
        getattr(double, server)(served) as url,
        connected(url, "unet") as asked,
        pytest.raises(ServerError),
    ):
        asked.mask_png(b"")
    assert len(turning.asked) == 1


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [("1", 1, 3), ("0", 0.25, 1), ("soon", 0.25, 1), ("-5", 0.25, 1), ("99999", 0, 0.25)],
)
def test_the_server_says_when_to_come_back_within_the_time(wish, least, most):
    began = time.monotonic()
    with (
        one_that_says(http_answer("503 Busy", b"", f"Retry-After: {wish}")) as place,
        connected(f"http://{place}", "unet", timeout=5, retries=1) as server,
        pytest.raises(ServerError, match="takes no further request now"),
    ):
        server.mask_png(b"")
    assert least <= time.monotonic() - began <= most


@pytest.mark.parametrize(
    ("wish", "timeout", "retries", "text"),
    [
        ("7", 5, 3, ", 7 s by its Retry-After, goes beyond --timeout 5. Ask again later, or pass a "
         "longer --timeout."),
        ("7", 5, 0, "goes beyond --timeout 5. Ask again later, or pass a longer --timeout and more "
         "--retries."),
        ("99999", 5, 3, ", 99,999 s by its Retry-After, goes beyond --timeout 5. Ask again then."),
        ("0", 0.2, 3, "the pause before the next try goes beyond --timeout 0.2. Ask again later"),
    ],
)  # fmt: skip
def test_a_pause_beyond_the_time_is_told(wish, timeout, retries, text):
    with (
        one_that_says(http_answer("503 Busy", b"", f"Retry-After: {wish}")) as place,
        connected(f"http://{place}", "unet", timeout=timeout, retries=retries) as server,
        pytest.raises(ServerError, match=re.escape(text)),
    ):
        server.mask_png(b"")


@SERVERS
def test_a_version_or_a_label_is_chosen(server, served, image_bytes):
    with getattr(double, server)(served) as url:
        for options in ({"version": double.VERSION}, {"label": double.LABEL}):
            with connected(url, "unet", **options) as asked:
                assert asked.mask_png(image_bytes)
        text = r"none with the name 'unet' and the version 8 \(.*\)\. Pass another --model or --ver"
        with connected(url, "unet", version=8) as asked, pytest.raises(ServerError, match=text):
            asked.mask_png(image_bytes)
        text = r"label: new\. Pass a --label that the server's models\.config gives to a version"
        with connected(url, "unet", label="new") as asked, pytest.raises(RefusedError, match=text):
            asked.mask_png(image_bytes)
    for version in (-1, 2**63):
        text = rf"a whole number from 0 to {2**63 - 1}; received {version}\. Pass one that"
        with pytest.raises(ValueError, match=text), connected(url, "unet", version=version):
            pass
    text = "by its number or by its label; received the number 1 and the label 'a'. Pass one of"
    with pytest.raises(ValueError, match=text), connected(url, "unet", version=1, label="a"):
        pass


@SERVERS
def test_the_command_chooses_too(server, served, image, tmp_path, said):
    with getattr(double, server)(served) as url:
        asked = [image, "--url", url, "--model", "unet", "--out"]
        assert said(*asked, tmp_path / "a", "--version", double.VERSION)[0] == 0
        assert said(*asked, tmp_path / "b", "--label", double.LABEL)[0] == 0
        status, printed = said(*asked, tmp_path / "c", "--version", 1, "--label", "stable")
    assert status == 2
    assert printed.count("\n") == 2
    assert "not allowed with argument" in printed


@SERVERS
def test_headers_are_sent_and_never_shown(server, served, image, tmp_path, said):
    with getattr(double, server)(served) as url:
        asked = [image, "--url", url, "--model", "unet", "--out", tmp_path / "out"]
        headers = ["--header", "Authorization: Bearer top-secret", "--header", "X-Team:eyes"]
        assert said(*asked, *headers)[0] == 0
        assert ("authorization", "Bearer top-secret") in served.headers
        assert ("x-team", "eyes") in served.headers
        made = Server(url, "unet", headers={"Authorization": "top-secret"})
    assert "top-secret" not in repr(made)


@pytest.mark.parametrize(
    "header",
    [
        *("top-secret", ":top-secret", "a b:top-secret", "Content-Length:top-secret"),
        *("Host:top-secret", "grpc-timeout:top-secret", "x-bin:top-secret", "x:ä"),
        "x:top\r\nY:-secret",
    ],
)
def test_a_header_that_is_none_is_refused_and_not_shown(header, image, tmp_path, said):
    status, printed = said(image, "--model", "unet", "--out", tmp_path / "out", "--header", header)
    assert status == 2
    assert "secret" not in printed
    assert "takes a name, a colon and a value" in printed or "A header has a name of" in printed


def encrypted(server: str, served):
    """The stand-in with the certificate of `PEM`."""
    if server == "rest":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(PEM)
        return double.rest(served, context)
    import grpc

    certificate, _, key = PEM.read_bytes().partition(b"-----END CERTIFICATE-----\n")
    pair = (key, certificate + b"-----END CERTIFICATE-----\n")
    return double.grpc_server(served, grpc.ssl_server_credentials([pair]))


@SERVERS
def test_an_encrypted_connection_trusts_whom_it_is_told_to(
    server, served, image, tmp_path, said, monkeypatch
):
    with encrypted(server, served) as url:
        asked = [image, "--url", url, "--model", "unet", "--out", tmp_path / "out"]
        status, printed = said(*asked)
        assert status == 1
        assert f"zoo ask: The server at {url} does not answer (" in printed
        assert "Pass a PEM file with the certificate of who signed the server's as --ca." in printed
        assert printed.count("\n") == 1
        assert said(*asked, "--ca", PEM)[0] == 0
        if server == "rest":
            with (
                connected(url.replace("https", "grpcs"), "unet", ca=PEM) as other,
                pytest.raises(ServerError, match=f"Pass {url} if that is the port of REST"),
            ):
                other.mask_png(b"")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] IP address mismatch, certificate is not", "with a host"),
        ("verification check failed: Hostname Verification Check failed.", "with a host that the"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "that is valid today."),
        ("CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate", "server's as --ca."),
        (
            "CERTIFICATE_VERIFY_FAILED: self signed certificate",
            "of who signed the server's as --ca",
        ),
        ("Connection reset by peer", "a server that encrypts is asked by https:// or grpcs://."),
    ],
)
def test_each_fault_of_a_certificate_has_its_remedy(said, remedy):
    assert remedy in str(errors.away(HERE, said))


def test_certificates_that_are_none_are_refused(image, tmp_path, said):
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(b"\xff" * 99)
    asked = [image, "--model", "unet", "--out", tmp_path / "out", "--url"]
    status, printed = said(*asked, "https://localhost", "--ca", wrong)
    assert status == 2
    assert "A --ca is a PEM file with the certificates of who signed the server's;" in printed
    status, printed = said(*asked, "grpc://localhost", "--ca", PEM)
    assert status == 2
    assert "received 'grpc://localhost' and a --ca. Pass such a --url, or no --ca." in printed
    status, printed = said(*asked, "grpcs://localhost", "--ca", tmp_path / "none.pem")
    assert status == 2
    text = f"to trust; {tmp_path / 'none.pem'} cannot be read (No such file or directory). Pass "
    assert text in printed


def test_a_proxy_of_the_environment_is_asked(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with one_that_says(http_answer("404 No", b'{"error": "it is the proxy"}')) as place:
        monkeypatch.setenv("http_proxy", f"http://{place}")
        with (
            connected("http://zoo.invalid:8501", "unet") as server,
            pytest.raises(ServerError, match="it is the proxy"),
        ):
            server.mask_png(b"")


# Written by tensorflow-serving-api 2.21: a PredictRequest and a PredictResponse.
QUESTION = (
    "0a100a04756e65741a086d61736b5f706e67121c0a0b696d6167655f6279746573"
    "120d08071204120208014203ffd800"
)
ANSWER = (
    "0a200a0e6d61736b5f706e675f6279746573120e0807120412020801420489504e47"
    "0a140a0576616c6964120b08041204120208013a010112140a04756e6574120208031a086d61736b5f706e67"
)
HERE = Server("grpc://localhost:8500", "unet")


def test_the_messages_are_those_of_tensorflow_serving():
    asked = messages.question(HERE, "mask_png", "image_bytes", b"\xff\xd8\0")
    assert asked.hex() == QUESTION
    answer = messages.outputs(bytes.fromhex(ANSWER))
    assert answer == {"mask_png_bytes": b"\x89PNG", "valid": [1]}
    # The same numbers, sent as one string of bytes.
    packed = bytes.fromhex(ANSWER.replace("3a0101", "220101"))
    assert messages.outputs(packed)["valid"] == [1]


def test_numbers_are_asked_and_answered_as_tensorflow_has_them():
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    for number in (0, 1, 127, 128, 255):
        content = messages.question(HERE, "class_names", "index", number)
        request = predict.PredictRequest.FromString(content)
        assert request.model_spec.signature_name == "class_names"
        array = tf.make_ndarray(request.inputs["index"])
        assert (array.dtype, array.tolist()) == (np.int32, [number])
    for version, label in ((300, None), (None, "stable")):
        server = Server(HERE.url, "unet", version, label)
        content = messages.question(server, "class_names", "index", 1)
        spec = predict.PredictRequest.FromString(content).model_spec
        assert (spec.version.value, spec.version_label) == (version or 0, label or "")
    colour = np.array([[0, 130, 255]], np.uint8)
    response = predict.PredictResponse()
    response.outputs["colour"].CopyFrom(tf.make_tensor_proto(colour))
    assert messages.outputs(response.SerializeToString()) == {"colour": [0, 130, 255]}
    response.outputs["colour"].tensor_content = b""
    response.outputs["colour"].int_val[:] = [0, 130, 255]
    assert messages.outputs(response.SerializeToString()) == {"colour": [0, 130, 255]}
