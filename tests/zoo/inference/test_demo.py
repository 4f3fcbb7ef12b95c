"""`zoo demo` as its users have it: a process, asked over HTTP and by a browser."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid

import numpy as np
import pytest
from PIL import Image

import zoo
import zoo.__main__
from tests.support import chromium
from tests.support.toys import build_toy, toy_images
from zoo.inference.scorers import scorer

NAMES = ("background", "*circle*", "square", "triangle")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    net = build_toy("unet")
    net.spec = net.spec.replace(class_names=NAMES, background=0)
    file = tmp_path_factory.mktemp("weights") / "toy.weights.h5"
    zoo.weights.save(net, file)
    return file


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    file = tmp_path_factory.mktemp("image") / "image.png"
    Image.fromarray(toy_images("unet", 1)[0].astype("uint8")).save(file)
    return file


@pytest.fixture(scope="module")
def address(weights, tmp_path_factory):
    """Where the page is. At the end it is stopped as by Ctrl-C, and has left nothing."""
    folder = tmp_path_factory.mktemp("temporary")
    # A test run in the background ignores Ctrl-C, and so would what it starts.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from zoo.__main__ import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "demo", str(weights)]
    environment = os.environ | {"TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": "-1"}
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=output, text=True
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            found = re.fullmatch(
                rf"{weights} answers at (http://127\.0\.0\.1:\d+/); Ctrl-C stops it\n", line
            )
            output.seek(0)
            assert found, (line, output.read())
            assert list(folder.glob("zoo-demo-*"))
            yield found[1]
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 128 + signal.SIGINT
            output.seek(0)
            assert output.read().endswith("zoo demo: stopped\n")
            assert not list(folder.glob("zoo-demo-*"))
        finally:
            process.kill()


def ask(address, path, body=None, kind="application/json"):
    request = urllib.request.Request(address + path, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def upload(address, name, content):
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
    kind = f"multipart/form-data; boundary={mark}"
    return json.loads(ask(address, "gradio_api/upload", body, kind))[0]


def answered(address, path, *options):
    """What the page is sent when an uploaded file is answered: of a queue, as events."""
    config = json.loads(ask(address, "config"))
    number = next(one["id"] for one in config["dependencies"] if len(one["inputs"]) == 4)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    session = uuid.uuid4().hex
    body = {"data": [file, *options], "fn_index": number, "session_hash": session}
    ask(address, "gradio_api/queue/join", json.dumps(body).encode())
    events = ask(address, f"gradio_api/queue/data?session_hash={session}")
    found = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    return next(one for one in found if one["msg"] == "process_completed")


def test_the_page_is_that_of_the_model_and_needs_no_network(address):
    html, config = ask(address, ""), json.loads(ask(address, "config"))
    assert config["title"] == "toy.weights.h5: unet"
    assert "toy.weights.h5: unet" in html
    assert config["analytics_enabled"] is False
    assert "googleapis" not in html + json.dumps(config) + ask(address, "theme.css")


def test_only_this_machine_sees_the_page(address):
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.socket() as other:  # a listener at all addresses would have taken this one
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.2", port))


def test_an_image_is_answered_over_http(address, weights, image):
    path = upload(address, "image.png", image.read_bytes())
    found = answered(address, path, "auto", "none", False)
    assert found["success"], found
    _, choices, told = found["output"]["data"]
    pixels = np.asarray(Image.open(image))
    class_map = scorer(weights)(pixels).argmax(-1)
    shares = np.bincount(class_map.ravel(), minlength=4) / class_map.size
    assert told.startswith("33 × 50 pixels, answered in ")
    assert told.endswith(f"; {shares[0]:.1%} background")
    assert {tuple(one) for one in choices["choices"]} == {
        (f"{NAMES[number]}  {shares[number]:.1%}", number) for number in (1, 2, 3)
    }


def test_what_is_no_image_is_told_by_its_name(address):
    found = answered(address, upload(address, "bad.png", b"no image"), "auto", "none", False)
    assert found["success"] is False
    assert found["output"]["error"].startswith("bad.png: cannot be read as an image (it is none")


def test_other_files_and_other_options_are_not_asked_about(address, image, weights):
    path = upload(address, "image.png", image.read_bytes())
    for wrong in (
        answered(address, str(weights), "auto", "none", False),
        answered(address, path, 7, "none", False),
        answered(address, path, "auto", "thousand", False),
    ):
        assert wrong["success"] is False


def test_a_file_that_is_too_large_is_refused(address):
    with pytest.raises(urllib.error.HTTPError) as refused:
        upload(address, "large.png", bytes(65 * 2**20))
    refused.value.close()
    assert refused.value.code == 413


@pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed: apt chromium")
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_a_browser_shows_the_answer_and_its_errors(address, image, size, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    with chromium.opened(address, tmp_path / "profile") as tab:
        tab.size(*size)
        tab.wait("!!document.querySelector('input[type=file]')")
        assert "background, *circle*, square, triangle" in tab.text()
        tab.choose(image)
        tab.wait("document.body.innerText.includes('answered in')")
        shown = "document.querySelector('.image-container img, .image-frame img')"
        first = tab.wait(f"{shown} && {shown}.complete && {shown}.src")
        sides = tab.evaluate(f"[{shown}.naturalWidth, {shown}.naturalHeight]")
        assert sides[0] == 50 * 7  # as zoo.pictures.overlay enlarges it
        assert sides[1] > 33 * 7  # with its legend
        tab.evaluate(
            "[...document.querySelectorAll('label')].find(x => x.innerText.startsWith('square'))"
            ".querySelector('input').click()"
        )
        tab.wait(f"{shown}.src != {json.dumps(first)}")
        width = "document.documentElement.scrollWidth"
        assert tab.evaluate(width) <= size[0]  # nothing is cut at the right
        tab.evaluate("document.querySelector('[aria-label=Clear]').click()")
        tab.wait("!document.body.innerText.includes('answered in')")
        tab.choose(bad)
        tab.wait("document.body.innerText.includes('bad.png: cannot be read as an image')")
        elsewhere = [x for x in tab.requested if not x.startswith((address, "data:", "blob:"))]
        assert elsewhere == []


def test_what_cannot_be_served_is_told(weights, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert zoo.__main__.main(["demo", str(weights), "--port", port]) == 2
    text = f"zoo demo: The page cannot listen at 127.0.0.1, port {port} (Address already in use). "
    assert text + "Pass another --port, or --host with" in capsys.readouterr().err
    assert zoo.__main__.main(["demo", str(weights), "--host", "192.0.2.1"]) == 2
    assert "The page cannot listen at 192.0.2.1, port any (" in capsys.readouterr().err
    assert zoo.__main__.main(["demo", str(weights), "--port", "70000"]) == 2
    assert "takes a port up to 65535; received 70000" in capsys.readouterr().err
    assert zoo.__main__.main(["demo", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
