"""The benchmark on a GPU: its code on the CPU, with toys, and what it says without a GPU."""

import os
import subprocess
import sys

import pytest

from benchmarks import engine_files, gpu, kept, random_nets
from benchmarks.engine_files import Task

TOY = Task("unet", 100, 2, narrow=True)


def written(folder, monkeypatch):
    options = {"classes": 3, "filters": 2}  # of the paper's depth, as the peer has it
    monkeypatch.setitem(random_nets.NARROW, "unet", options)
    engine_files.WRITERS["weights"](TOY, folder)


def check(found):
    assert found["difference"] < 1e-4
    assert found["same"] > 0.999
    assert (len(found["inference"]), len(found["training"])) == (gpu.TURNS, gpu.TURNS)
    assert found["peak"] > 20e6


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(gpu, "TURNS", 2)
    monkeypatch.setattr(gpu, "BEFORE", 1)


def test_keras_infers_and_trains(few, tmp_path, monkeypatch):
    """On the backend of the tests; where JAX is chosen its peak is asked for."""
    written(tmp_path, monkeypatch)
    monkeypatch.setattr(gpu, "_peak_of_jax", lambda: None)
    check(gpu.measured("zoo, Keras with JAX", TOY, tmp_path))


def test_plain_pytorch_infers_and_trains(few, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    written(tmp_path, monkeypatch)
    check(gpu.measured("PyTorch", TOY, tmp_path))


def test_jax_says_its_peak():
    pytest.importorskip("jax")
    assert gpu._peak_of_jax() is None  # it does not say on a CPU


def test_it_runs_without_tensorflow():
    """A contestant is imported where only Keras, NumPy and Pillow are installed."""
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'matplotlib', 'torch'):\n"
        "    sys.modules[name] = None\n"
        "import benchmarks.gpu, benchmarks.engines, benchmarks.random_nets, benchmarks.__main__\n"
        "import exports.images\n"
    )
    environment = dict(os.environ) | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_without_a_gpu_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "gpu", str)
    with pytest.raises(kept.UnableError, match="Run it where they do, or try it out with --narrow"):
        gpu.run(tmp_path)


def test_a_process_that_fails_is_a_reason(tmp_path):
    found = gpu.in_a_process("zoo, Keras with JAX", TOY, tmp_path)
    assert "No such file" in found["reason"]


def test_the_section_has_ratios(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "gpu", lambda: "A GPU")
    monkeypatch.setattr(gpu, "NETS", {"unet": 8})
    asked = []

    def in_a_process(name, task, folder):
        asked.append((name, task.batch))
        if name == "zoo, Keras with JAX":
            return {"reason": "out of memory"}
        seconds = 0.2 if name == "PyTorch" else 0.1
        times = {"inference": [seconds] * 3, "training": [4 * seconds] * 3}
        return times | {"peak": 5e9, "difference": 1e-3, "same": 0.999}

    monkeypatch.setattr(gpu, "in_a_process", in_a_process)
    monkeypatch.setattr(engine_files, "write", lambda *_: None)
    every = gpu.run(tmp_path, nets=["unet"])
    assert asked == [(name, batch) for batch in gpu.BATCHES for name in gpu.CONTESTANTS]
    assert gpu.complete(every)
    gpu.run(tmp_path, nets=["unet"])
    assert len(asked) == 6
    text = gpu.section(every, tmp_path)
    key = "unet, 8 × 8, batch 1"
    row = "0.50 | 100.0 | 0.50 | 400.0 | 5.00 | 1e-03, 99.90% |"
    assert f"| {key} | zoo, Keras with PyTorch | {row}" in text
    assert f"- zoo, Keras with JAX, {key}: out of memory." in text
