"""`zoo export` with the images of a data set, by its name or of the workdir."""

import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

import zoo
from exports import exporting
from exports.images import MAX_IMAGES
from recipes import data
from recipes import exporting as recipes_exporting
from recipes.data.sets import shapes
from tests.support.toys import build_toy
from zoo.__main__ import main

SIZE = (33, 50)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> pathlib.Path:
    """A folder with the data set `shapes`, of few scenes."""
    folder = tmp_path_factory.mktemp("data")
    shapes.write(folder / "shapes", train=3, val=1)
    return folder


@pytest.fixture
def workdir(tmp_path, scenes) -> pathlib.Path:
    """The workdir of a toy that was trained on them."""
    model, folder = build_toy("unet"), tmp_path / "run"
    folder.mkdir()
    zoo.weights.save(model, folder / "model.weights.h5")
    recipe = {"name": "mine", "model": "unet", "data": "shapes"}
    content = {"recipe": recipe, "spec": model.spec.to_dict(), "weights": {"step": 1}}
    (folder / "recipe.json").write_text(json.dumps(content | {"data_dir": str(scenes)}))
    return folder


@pytest.fixture
def seen(monkeypatch) -> list[np.ndarray | None]:
    """The representative images that an export was given, which writes nothing."""
    found = []
    monkeypatch.setattr(
        "exports.export", lambda *_, representative, **__: found.append(representative) or {}
    )
    return found


def arguments(path, *more) -> list[str]:
    words = ["export", str(path), "--format", "tflite", "--size", *map(str, SIZE), "--out", "out"]
    return [*words, *map(str, more)]


def expected(scenes: pathlib.Path) -> np.ndarray:
    train = data.load("shapes", scenes)["train"]
    images = [Image.fromarray(train.example(index)[0]) for index in range(len(train))]
    return np.stack([np.asarray(image.resize(SIZE[::-1])) for image in images])


def test_a_workdir_knows_its_representative_images(workdir, scenes, seen, capsys):
    assert main(arguments(workdir, "--quantize", "integer")) == 0
    np.testing.assert_array_equal(seen[0], expected(scenes))
    assert f"Representative images: 3 of shapes, split train, in {scenes}" in (
        capsys.readouterr().out
    )
    assert main(arguments(workdir, "--quantize", "float16")) == 0
    assert seen[1] is None  # which takes no ranges from images


def test_a_weights_file_is_told_the_name_of_the_data_set(workdir, scenes, seen):
    weights = workdir / "model.weights.h5"
    named = ["--representative", "shapes", "--data-dir", scenes]
    assert main(arguments(weights, "--quantize", "integer", *named)) == 0
    np.testing.assert_array_equal(seen[0], expected(scenes))


def test_a_folder_is_a_folder(workdir, scenes, seen):
    folder = scenes / "shapes" / "JPEGImages"
    assert main(arguments(workdir, "--quantize", "integer", "--representative", folder)) == 0
    assert seen[0].shape == (4, *SIZE, 3)


def test_a_data_set_of_any_channels_is_read_with_the_models(tmp_path):
    (tmp_path / "classes.txt").write_text("background\nthing\n")
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("a", "b", "c"):
        Image.new("L", (9, 7), ord(name)).save(tmp_path / "images" / f"{name}.png")
        Image.new("L", (9, 7), 1).save(tmp_path / "masks" / f"{name}.png")
    asked = {"channels": 3, "size": (14, 18)}
    found = recipes_exporting.representative(tmp_path, "folder", tmp_path, **asked)
    assert found.shape[1:] == (14, 18, 3)
    assert set(found.flat) <= set(map(ord, "abc"))


def test_of_a_large_data_set_hundred_images_are_read(tmp_path, monkeypatch):
    read = []

    def example(index: int) -> tuple[np.ndarray, np.ndarray]:
        read.append(index)
        return np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)

    large = data.Dataset("voc", "train", ("a",), 3, (("x",),) * 5000, example)
    monkeypatch.setattr(data, "load", lambda *_, **__: {"train": large})
    recipes_exporting.representative(tmp_path, "voc", tmp_path, channels=3, size=(4, 4))
    assert (len(read), read[0], read[-1]) == (MAX_IMAGES, 0, 4999)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "--representative nowhere",
            "nowhere holds none. Pass the folder in which they lie, or on",
        ),
        (
            "--representative voc --data-dir nowhere",
            "are those of the data set voc, sought in nowhere. Name its folder with --data-dir, or",
        ),
        (
            "--representative nyudv2_color_hha --data-dir nowhere",
            "Name its folder with --data-dir",
        ),
        (
            "--representative . --data-dir nowhere",
            "representative images; received nowhere and no data set's name. Pass the name as",
        ),
    ],
)
def test_what_is_no_data_set_is_told(words, text, workdir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(workdir, "--quantize", "integer", *words.split())) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_of_other_channels_are_refused(workdir, scenes):
    text = "the 1 channels of the model; those of shapes have 3. Pass the data set that it was"
    with pytest.raises(ValueError, match=re.escape(text)):
        recipes_exporting.representative(workdir, None, None, channels=1, size=SIZE)


def test_a_run_whose_data_are_gone_is_told(workdir, tmp_path, monkeypatch, capsys):
    record = json.loads((workdir / "recipe.json").read_text())
    record["recipe"]["data"], record["data_dir"] = "voc", str(tmp_path / "gone")
    (workdir / "recipe.json").write_text(json.dumps(record))
    assert main(arguments(workdir, "--quantize", "integer")) == 2
    assert f"sought in {tmp_path / 'gone'}. Name its folder" in capsys.readouterr().err


def test_from_a_workdir_to_a_checked_integer_file(workdir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)
    asked = ["--quantize", "integer", "--max-disagreement", "0.5"]
    assert main(arguments(workdir, *asked)) == 0
    record = json.loads((tmp_path / "out" / "unet-1.json").read_text())
    assert (record["quantize"], record["operations_in_float32"]) == ("integer", [])
    assert record["agreement"] > 0.5
    assert "LiteRT, class_map:" in capsys.readouterr().out
