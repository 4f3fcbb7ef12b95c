"""`zoo draw` and `zoo activations`, the user's whole way."""

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support.toys import build_toy
from zoo.__main__ import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: a trained net and an image."""
    monkeypatch.chdir(tmp_path)
    zoo.weights.save(build_toy("fcn8s"), tmp_path / "net.weights.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save("image.png")
    return tmp_path


def test_a_model_is_drawn_by_its_name_or_its_path(folder, capsys):
    assert main(["draw", "fcn8s"]) == 0
    assert capsys.readouterr().out == "written: fcn8s.svg\n"
    assert "134,362,751 parameters, drawn for an image of 500 × 500" in text("fcn8s.svg")
    options = '{"filters": 8, "depth": 2}'
    sizes = ["--size", "100", "120"]
    assert main(["draw", "unet", "--options", options, *sizes, "--out", "new/u.svg"]) == 0
    assert "100 × 120 × 2" in text("new/u.svg")
    assert main(["draw", "net.weights.h5", "--out", "net.svg"]) == 0
    assert "698 × 698 × 4<" in text("net.svg")


def text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fcn9s"], "no model is called 'fcn9s'. Did you mean 'fcn8s'"),
        (["fcn8s", "--out", "a.png"], "is written as .svg; received 'a.png'. Name it a.svg"),
        (["fcn8s", "--out", "image.png/a.svg"], "image.png"),
        (["fcn8s", "--size", "0", "1"], "pixels from 1 to 100000; received '0'. Pass 500"),
        (["fcn8s", "--options", '{"filters": 2}'], "fcn8s has no option 'filters'"),
        (["fcn8s", "--options", '{"weights": "a"}'], "received weights in --options. Leave weig"),
        (["net.weights.h5", "--options", '{"classes": 3}'], "received --options too. Leave --opt"),
        (["image.png"], "A trained model is the workdir of a run or a file that ends in"),
    ],
)
def test_what_cannot_be_drawn(words, message, folder, capsys):
    assert main(["draw", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.rglob("*.svg"))


def test_a_file_that_is_there_is_kept(folder, capsys):
    (folder / "fcn8s.svg").write_text("mine")
    assert main(["draw", "fcn8s"]) == 2
    assert "fcn8s.svg exists and is not overwritten. Name another" in capsys.readouterr().err
    assert text("fcn8s.svg") == "mine"


def test_the_activations_of_a_trained_model_are_drawn(folder, capsys):
    assert main(["activations", "net.weights.h5", "image.png", "--out", "a/maps.png"]) == 0
    assert capsys.readouterr().out == "written: a/maps.png\n"
    with Image.open("a/maps.png") as all_layers:
        size = all_layers.size
    layers = ["--layers", "pool1", "--out", "one.png"]
    assert main(["activations", "net.weights.h5", "image.png", *layers]) == 0
    with Image.open("one.png") as one_layer:
        assert one_layer.width < size[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.weights.h5", "image.png"], "required: --out"),
        (
            ["net.weights.h5", "image.png", "--out", "a.jpg"],
            "is written as .png; received 'a.jpg'. Name it a.png",
        ),
        (["net.weights.h5", "none.png", "--out", "a.png"], "none.png"),
        (["none.h5", "image.png", "--out", "a.png"], "there is none at none.h5"),
        (["net.weights.h5", "image.png", "--out", "image.png"], "image.png exists and is not ove"),
        (
            ["net.weights.h5", "image.png", "--out", "a.png", "--layers", "pool9"],
            "none that is called 'pool9'. Did you mean pool",
        ),
    ],
)
def test_activations_that_cannot_be_drawn(words, message, folder, capsys):
    assert main(["activations", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.glob("a.*"))
