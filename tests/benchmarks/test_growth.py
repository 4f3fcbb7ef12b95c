"""The growth of seconds and memory: until the next size would not fit, and on from there."""

from xml.etree import ElementTree

import pytest

from benchmarks import engine_files, growth, random_nets
from benchmarks.engine_files import Task
from tests.support.toys import TOYS


def test_a_toy_has_its_cost_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(random_nets.NARROW, "fcn8s", TOYS["fcn8s"].options)
    for form in ("weights", "saved_model"):
        engine_files.WRITERS[form](Task("fcn8s", 32, 1, narrow=True), tmp_path)
    found = growth.cost(tmp_path, "fcn8s", 2, 40)
    assert len(found["seconds"]) == growth.TURNS
    assert 20e6 < found["peak"] < 2e9
    larger = growth.cost(tmp_path, "fcn8s", 2, 400)
    assert sum(larger["seconds"]) > sum(found["seconds"])
    assert larger["peak"] > found["peak"]


@pytest.fixture
def costs(monkeypatch):
    """What is asked; a net takes 1 GB and 1 GB for each 128 × 128 pixels, and 8 GB are free."""
    asked = []

    def cost(folder, net, batch, side):
        asked.append((net, batch, side))
        images = batch * round(side**2 / 128**2)
        return {"seconds": [images, images, 9 * images], "peak": int(1e9 * (1 + images))}

    monkeypatch.setattr(growth, "cost", cost)
    monkeypatch.setattr(growth, "available", lambda: int(8e9))
    monkeypatch.setattr(engine_files, "write", lambda *_: None)
    monkeypatch.setattr(growth, "SIDE", 128)
    return asked


def test_it_ends_before_the_memory_does(costs, tmp_path):
    every = growth.run(tmp_path, nets=["unet"])
    assert costs == [
        *(("unet", 1, side) for side in (128, 181, 256)),
        *(("unet", batch, 128) for batch in (1, 2, 4)),
    ]
    text = growth.section(every, tmp_path)
    assert "| 256 × 256 | 4 s, 5.00 GB |" in text
    assert "| 4 | 4 s, 5.00 GB |" in text
    assert "- unet, 362 × 362: about 9 GB are needed and 8 GB free." in text
    assert "- unet, 8 images: about 9 GB are needed and 8 GB free." in text
    assert "| 362" not in text
    for name in (growth.SECONDS, growth.MEMORY):
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
    assert not growth.complete(every)
    assert growth.complete(growth.run(tmp_path))


def test_what_was_measured_is_not_measured_again(costs, tmp_path):
    growth.run(tmp_path, nets=["unet"])
    costs.clear()
    growth.run(tmp_path, nets=["unet"])
    assert costs == []


def test_a_process_that_ends_is_the_last(costs, tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "cost", lambda *_: {"reason": "the process ended"})
    found = growth.run(tmp_path, nets=["unet"])["unet"]
    assert found == {
        "sides": {"128": {"reason": "the process ended"}},
        "batches": {"1": {"reason": "the process ended"}},
    }
