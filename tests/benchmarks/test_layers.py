"""The layers of a net by the time that oneDNN reports, with the work that their shapes tell."""

import numpy as np
import pytest

from benchmarks import engine_files, layers, random_nets
from benchmarks.engine_files import Task
from tests.support.toys import TOYS

START = "onednn_verbose,v1,primitive,exec,cpu,"
CONV = "convolution,brg:avx512,forward_training,src:f32 dst:f32,attr-post-ops:eltwise_relu,alg:x,"
BACK = "convolution,brg:avx512,backward_data,src:f32 dst:f32,,alg:x,"
LINES = [
    f"{CONV}mb2_ic4oc8_ih10oh8kh3sh1dh0ph0_iw12ow10kw3sw1dw0pw0,{{a}}",
    f"{CONV}mb2_ic4oc8_ih8oh6kh3sh1dh0ph0_iw10ow8kw3sw1dw0pw0,2",
    f"{CONV}g2mb2_ic8oc8_ih6oh6kh3sh1dh0ph1_iw8ow8kw3sw1dw0pw1,3",
    *["pooling,jit:avx512,forward_training,src:f32 dst:f32,,alg:max,mb2ic8_ih6oh3kh2,0.5"] * 2,
    "reorder,jit:uni,undef,src:f32 dst:f32,,,8x4x3x3,7",
    f"{BACK}mb2_ic4oc8_ih8oh6kh3sh1dh0ph0_iw10ow8kw3sw1dw0pw0,4",
    f"{CONV}mb2_ic5oc5_ih6oh6kh1sh1dh0ph0_iw6ow6kw1sw1dw0pw0,1",
]
WEIGHTS = {
    "first/kernel": np.zeros((3, 3, 4, 8)),
    "first/bias": np.zeros(8),
    "second/kernel": np.zeros((3, 3, 4, 8)),
    "grouped/kernel": np.zeros((3, 3, 4, 8)),
    "upconv/kernel": np.zeros((3, 3, 4, 8)),
}


def said(*firsts: float) -> str:
    runs = [
        "\n".join(START + line.format(a=first) for line in LINES) + "\nanswered 0.03"
        for first in firsts
    ]
    return "onednn_verbose,v1,info,oneDNN v3\n" + "\n".join(runs) + "\n"


def test_the_lines_of_onednn_are_the_layers_of_the_net():
    found = layers.parsed(said(99, 1, 3, 5), layers.names_of(WEIGHTS))
    assert found["first"]["ms"] == 3  # the median without the first run
    assert (found["second"]["ms"], found["grouped"]["ms"], found["upconv"]["ms"]) == (2, 3, 4)
    assert (found["pooling"], found["reordering of kernels"]) == ({"ms": 1}, {"ms": 7})
    assert found["mb2_ic5oc5_ih6oh6kh1sh1dh0ph0_iw6ow6kw1sw1dw0pw0"]["ms"] == 1
    assert found[layers.ELSE]["ms"] == pytest.approx(30 - 3 - 2 - 3 - 1 - 7 - 4 - 1)


def test_work_and_bytes_follow_from_the_shapes():
    found = layers.parsed(said(1, 1), layers.names_of(WEIGHTS))
    assert found["first"]["macs"] == 2 * 8 * 10 * 8 * 9 * 4
    assert found["first"]["bytes"] == 4 * (2 * (4 * 10 * 12 + 8 * 8 * 10) + 9 * 4 * 8)
    assert found["first"]["shape"] == "3 × 3, 4 – 8, 8 × 10"
    assert found["grouped"]["macs"] == 2 * 6 * 8 * 8 * 9 * 4
    assert found["grouped"]["bytes"] == 4 * (2 * (8 + 8) * 6 * 8 + 9 * 4 * 8)
    assert layers.rate({"macs": 10**9, "ms": 10}) == 200


def test_a_toy_is_profiled_layer_by_layer(tmp_path, monkeypatch):
    monkeypatch.setitem(random_nets.NARROW, "fcn8s", TOYS["fcn8s"].options)
    monkeypatch.setattr(layers, "RUNS", 2)
    task = Task("fcn8s", 40, 1, narrow=True)
    for form in ("weights", "exact"):
        engine_files.WRITERS[form](task, tmp_path)
    text = layers.profile(task, tmp_path)
    names = layers.names_of(np.load(tmp_path / engine_files.FORMS["weights"]))
    found = layers.parsed(text, names)
    every = {name for several in names.values() for name in several}
    assert every == {name for name, one in found.items() if "macs" in one}
    # conv1_1 of 40 × 40 pixels with a border of 100, and fc6 over its 7 × 7 windows.
    assert found["conv1_1"]["macs"] == 238**2 * 9 * 3 * 4
    assert found["fc6"]["shape"].startswith("7 × 7, 8 – 12, 2 × 2")


def test_the_ten_that_take_longest_are_a_table(monkeypatch, tmp_path):
    monkeypatch.setattr(layers, "NETS", {"unet": 8})
    monkeypatch.setattr(layers, "copied", lambda: 1e9)
    many = {
        f"layer{i}": {"ms": 10.0 + i, "macs": 10**9, "bytes": 10**6, "shape": "s"}
        for i in range(11)
    }
    monkeypatch.setattr(layers, "parsed", lambda *_: many | {layers.ELSE: {"ms": 5.0}})
    asked = []

    def profile(task, folder):
        asked.append(task.net)
        np.savez(folder / engine_files.FORMS["weights"])
        return ""

    monkeypatch.setattr(layers, "profile", profile)
    every = layers.run(tmp_path, nets=["unet"])
    assert layers.complete(every)
    assert layers.run(tmp_path, nets=["unet"]) == every
    assert asked == ["unet"]
    text = layers.section(every, tmp_path)
    rows = [line for line in text.splitlines() if line.startswith("| layer")][1:]
    assert len(rows) == 10
    assert rows[0] == "| layer10 | s | 1.00 | 1.0 | 20.0 | 11.8% | 100 | 2000 | 50% |"
    assert "200 GFLOP/s, or what copying its bytes at 1.0 GB/s allows" in text
    assert "11.0 GMAC and 170 ms in all." in text
