"""What an answer takes is estimated from the layers; what is free is read from the system."""

import pathlib
import subprocess
import sys

import keras
import pytest

from tests.support.toys import NAMES, build_toy
from zoo.inference import memory, scorers
from zoo.layers import ProductConv2D

PEAK = """
import sys, numpy as np, keras, zoo
from zoo.inference import scorers

def read(field):
    with open("/proc/self/status") as lines:
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith(field))

options = {"classes": 4, "filters": 16, "depth": 2}
answer = scorers.of_model(zoo.build("unet", **options))
image = np.zeros((900, 900, 3), np.uint8)
answer(image[:64, :64])
before = read("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
answer(image)
print((read("VmHWM") - before) / 900**2, answer.bytes_per_pixel)
"""


def test_the_layers_that_live_together_count():
    """By hand: two outputs of 8 channels live while they are added, twice for the workspace."""
    image = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(8, 3, padding="same")(image)
    second = keras.layers.Conv2D(8, 3, padding="same")(first)
    total = keras.layers.Add()([first, second])
    halved = keras.layers.MaxPooling2D(2)(total)
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(halved))
    assert memory.bytes_per_pixel(model) == 2 * 4 * (8 + 8 + 8)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_tells_what_it_takes(name):
    narrow = scorers.of_model(build_toy(name)).bytes_per_pixel
    # At least the image and the image less its mean, twice for the workspace.
    assert 2 * 4 * (3 + 3) <= narrow < 2000


@pytest.mark.skipif(not pathlib.Path("/proc/self/clear_refs").exists(), reason="is of Linux")
def test_the_patches_of_a_product_count():
    image = keras.Input((None, None, 16))
    product = keras.Model(image, ProductConv2D(4, 7)(image))
    patches = 4 * 49 * 16  # bytes for each pixel of the result
    assert 0.9 * patches < memory.bytes_per_pixel(product) < 1.2 * patches


def test_the_estimate_is_near_the_measured_peak():
    run = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    measured, estimated = map(float, run.stdout.split())
    assert 0.8 * measured < estimated < 2.5 * measured


def test_the_memory_of_the_host_is_what_linux_calls_available(monkeypatch):
    monkeypatch.setattr(memory, "_available_of_groups", list)
    if pathlib.Path("/proc/meminfo").exists():
        assert 2**20 < memory.available() < 2**50
    monkeypatch.setattr(memory, "_available_of_host", lambda: None)
    assert memory.available() == 2**31
    monkeypatch.setattr(memory, "_available_of_groups", lambda: [5, 7])
    assert memory.available() == 5


@pytest.mark.parametrize(
    ("line", "folder", "limit", "usage"),
    [
        ("0::/a/b", "a", "memory.max", "memory.current"),
        ("4:cpu,memory:/a/b", "memory/a/b", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("4:memory:/host/only", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_the_limits_of_control_groups_count(tmp_path, line, folder, limit, usage):
    lines = tmp_path / "cgroup"
    lines.write_text(f"7:cpuset:/\n{line}\n")
    assert memory.left_of_groups(lines, tmp_path) == []
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / limit).write_text("1000\n")
    (tmp_path / folder / usage).write_text("300\n")
    assert memory.left_of_groups(lines, tmp_path) == [700]
    (tmp_path / folder / "memory.stat").write_text("cache 250\ninactive_file 200\n")
    assert memory.left_of_groups(lines, tmp_path) == [900]
    (tmp_path / folder / limit).write_text("max\n")
    assert memory.left_of_groups(lines, tmp_path) == []
    assert memory.left_of_groups(tmp_path / "none", tmp_path) == []
