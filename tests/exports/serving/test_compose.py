"""The set for TensorFlow Serving: its files agree with each other, the client and the exports."""

import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from exports.command import ask as main
from exports.graph import HEADS, SERVING_DEFAULT
from exports.serving import warmup
from tests.support import serving_double as double
from tests.support.serving_faults import http_answer, one_that_says

ROOT = pathlib.Path(__file__).parents[3]
SET = ROOT / "exports" / "serving" / "compose"
FILES = {path.name: path.read_text(encoding="utf-8") for path in SET.iterdir()}
COMPOSE = FILES["docker-compose.yml"]


def test_the_server_is_told_of_the_files_that_are_there():
    named = re.findall(r"--\w+=/config/(\S+)", COMPOSE)
    assert sorted(named) == ["models.config", "monitoring.config"]
    assert re.findall(r"- \./(\S+?):", COMPOSE) == ["prometheus.yml"]
    assert set(FILES) == {"docker-compose.yml", "prometheus.yml", *named}
    assert "- .:/config:ro" in COMPOSE


def test_models_are_where_the_exports_are_mounted():
    (mounted,) = re.findall(r"- \$\{SERVED:\?[^}]+\}:(/\w+):ro", COMPOSE)
    blocks = re.findall(r'config \{\s+name: "(\w+)"\s+base_path: "(\S+)"', FILES["models.config"])
    assert blocks
    assert all(path == f"{mounted}/{name}" for name, path in blocks)


def test_prometheus_reads_the_metrics_where_they_are():
    (path,) = re.findall(r'path: "(\S+)"', FILES["monitoring.config"])
    assert f"metrics_path: {path}\n" in FILES["prometheus.yml"]
    (host, port) = re.search(r'targets: \["(\w+):(\d+)"\]', FILES["prometheus.yml"]).groups()
    assert f"\n  {host}:\n    image: tensorflow/serving:" in COMPOSE
    assert f"- 127.0.0.1:{port}:{port}" in COMPOSE


def test_the_client_asks_at_the_ports_that_are_open(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for scheme, port in re.findall(r"(http|grpc)://HOST:(\d+)", said):
        assert f"- 127.0.0.1:{port}:{port} # {'REST' if scheme == 'http' else 'gRPC'}" in COMPOSE
    assert said.count("HOST:") == 2


def test_every_port_is_open_on_this_machine_only():
    ports = re.findall(r"^      - (\S*:\d+)(?: |$)", COMPOSE, re.MULTILINE)
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_parameters_of_batches_that_a_version_carries_are_read(tmp_path):
    """The server ignores the file unless it has both flags."""
    warmup.write_batching(tmp_path, 4)
    said = (tmp_path / warmup.BATCHING).read_text()
    flags = re.findall(r"--enable\w+", said)
    assert len(flags) == 2
    assert all(f"- {flag}\n" in COMPOSE for flag in flags)


def test_the_document_names_what_is_there():
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / "docs" / link).exists(), link
    for name in re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE):
        assert name in {*FILES, SERVING_DEFAULT, HEADS}  # files of the set, or signatures
    for module in re.findall(r"python -m ((?:exports|tests|benchmarks)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    for file in (warmup.WARM_UP, warmup.BATCHING):
        assert f"`{file}`" in text


def healthy(place: str) -> bool:
    """What the health check of the set says of a server."""
    (command,) = re.findall(r"- bash\n +- -c\n +- >-\n((?: {10}.*\n)+)", COMPOSE)
    command = " ".join(line.strip() for line in command.splitlines())
    host, _, port = place.partition(":")
    assert command.count("/127.0.0.1/8501") == 1
    command = command.replace("/127.0.0.1/8501", f"/{host}/{port}")
    run = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=20)
    return run.returncode == 0


def state(name: str) -> bytes:
    status = [{"version": "1", "state": name, "status": {"error_code": "OK"}}]
    return http_answer("200 OK", json.dumps({"model_version_status": status}, indent=1).encode())


def test_the_server_is_healthy_when_its_model_is_available():
    with one_that_says(state("AVAILABLE")) as place:
        assert healthy(place)
    for answer in (state("LOADING"), state("UNAVAILABLE"), http_answer("404 No", b"{}")):
        with one_that_says(answer) as place:
            assert not healthy(place)
    assert not healthy(place)  # it has ended


def test_the_health_check_asks_for_a_model_that_is_served():
    (asked,) = re.findall(r"GET /v1/models/(\w+) HTTP", COMPOSE)
    assert f'name: "{asked}"' in FILES["models.config"]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_curl_of_the_document_sends_a_large_photograph(unet_files, tmp_path):
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"```sh\n(\{\n.*?--data @-)\n```", text, re.DOTALL)
    photograph = tmp_path / "photograph.jpg"
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    # Some cameras write a preview behind the picture.
    small.save(photograph)
    photograph.write_bytes(photograph.read_bytes() + rng.bytes(3_000_000))
    with double.served(unet_files["saved_model"], "unet") as model, double.rest(model) as url:
        run = subprocess.run(
            ["bash", "-c", command.replace("http://localhost:8501", url)],
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
    (answer,) = json.loads(run.stdout)["predictions"]
    assert answer["valid"] == 1
