"""The comparison of the ways down and up, on a few scenes and for a few steps."""

import dataclasses

import pytest

import zoo
from benchmarks import upsampling
from recipes.data.sets import shapes
from recipes.training.recipe import toy
from zoo.models.encoder_decoder import CHOICES


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    shapes.write(folder / "shapes", train=8, val=9)
    return folder


def test_every_way_down_and_up_has_a_row():
    options = [x for model, x in upsampling.ROWS.values() if model == "encoder_decoder"]
    for choice, words in CHOICES.items():
        assert {x[choice] for x in options} == set(words)
    for model, x in upsampling.ROWS.values():
        assert zoo.build(model, classes=5, **x).count_params() < 3e6


def test_a_row_is_trained_for_its_seconds_and_scored(data, tmp_path, monkeypatch):
    small = dataclasses.replace(toy(upsampling.RECIPE), name=upsampling.RECIPE.name, crop=32)
    monkeypatch.setattr(upsampling, "RECIPE", small)
    monkeypatch.setattr(upsampling, "TIMED", 6)
    row = {"one": ("encoder_decoder", {"filters": 2, "depth": 1, "upsampling": "bilinear"})}
    monkeypatch.setattr(upsampling, "ROWS", row)
    monkeypatch.setattr(upsampling, "_rate", lambda folder: 4.0)  # steps a second
    found = upsampling.measured("one", 2.0, 3, tmp_path / "one", data)
    assert found["steps"] == 8
    model = zoo.load(tmp_path / "one/run")
    assert model.spec.options["upsampling"] == "bilinear"
    assert found["parameters"] == model.count_params()
    dataset = shapes.load(data)["val"]
    matrix = sum(
        zoo.metrics.confusion_matrix(label, zoo.predict(model, image), classes=5)
        for image, label in map(dataset.example, range(3))
    )
    assert found["mean_iou"] == pytest.approx(zoo.metrics.scores(matrix)["mean_iou"])
    assert found["bytes"] > 0
    sheet = upsampling.sheet(data, {"one": found})
    assert sheet.size == (3 * (128 + 8) + 8, 3 * (96 + 8) + 22 + 8)
    (line,) = upsampling.results_table({"one": found}).splitlines()[2:]
    assert line.startswith(f"| one | {found['mean_iou']:.4f} | ")
    assert line.endswith(f"| 4.0 | 8 | {model.count_params():,} |")


def test_the_rate_leaves_out_the_first_step(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss,seconds\n1,2,30\n8,2,34\n16,1,36\n24,1,42\n")
    assert upsampling._rate(tmp_path) == 2.0


def test_the_verdict_orders_the_rows():
    scores = {"a": (0.2, 0.5), "b": (0.4, 0.1), "c": (0.3, 0.3)}
    found = {row: {"mean_iou": x, "boundary_iou": y} for row, (x, y) in scores.items()}
    assert upsampling.verdict(found).splitlines() == [
        "- **Mean IoU**, best first: b, c, a.",
        "- **Boundary IoU**, best first: a, c, b.",
    ]


def test_seconds_are_more_than_none(capsys):
    with pytest.raises(SystemExit):
        upsampling.main(["--seconds", "0"])
    assert "--seconds is more than 0; received 0. Pass 40." in capsys.readouterr().err
