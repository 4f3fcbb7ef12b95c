"""TFLite files: image sizes and types, and what is recorded beside them."""

import json
import pathlib
import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import exports
from exports import check, exporting
from exports.formats import flatbuffer
from exports.runtimes import litert
from exports.serving import export_json
from tests.support.toys import TOYS, build_toy, toy_images

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def uncosted(monkeypatch):
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)


def export(model: keras.Model, out: pathlib.Path, **options) -> pathlib.Path:
    return exports.export(model, out, ["tflite"], **options)["tflite"]


def runner_of(path):
    return litert.interpreter()(model_path=str(path)).get_signature_runner()


def share_of_same(model, runner, images) -> float:
    class_map = np.concatenate([runner(image=image[None])["class_map"] for image in images])
    return np.mean(class_map == np.asarray(model(images.astype("float32"))).argmax(-1))


@pytest.mark.parametrize("name", sorted(TOYS))
def test_one_file_takes_images_of_any_size(name, tmp_path, uncosted):
    model = build_toy(name)
    runner = runner_of(export(model, tmp_path))
    takes = runner.get_input_details()["image"]
    assert (takes["shape_signature"].tolist(), takes["dtype"]) == ([1, -1, -1, 3], np.uint8)
    height, width = TOYS[name].size
    for size in ((height, width), (height + 9, width - 3), (height, width)):
        images = toy_images(name, 1, size).astype("uint8")
        assert share_of_same(model, runner, images) > 0.999


def test_a_model_that_cannot_take_any_size_is_refused_with_the_reason(tmp_path):
    def forgetful(x):
        none = keras.ops.shape(x)[1] % 1
        return keras.ops.pad(x, [[0, 0], [0, none], [0, none], [0, 0]])

    # The converter does not know the channels behind a pad that is known at run time only.
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Lambda(forgetful, output_shape=lambda shape: shape)(image)
    model = keras.Model(image, keras.layers.Conv2D(4, 1)(x), name="odd")
    text = "'odd' at any size needs Conv2D. Pass a size, replace the layer that uses it, or"
    with pytest.raises(ValueError, match=re.escape(text)):
        export(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_for_any_size_is_asked_about_two(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    path = export(keras.Model(image, image, name="same"), tmp_path)

    class OtherWhenSmall(keras.layers.Layer):
        def call(self, x):
            small = keras.ops.cast(keras.ops.shape(x)[1] < 97, "float32")
            return x + small * [0.0, 99.0, 0.0]

    other = keras.Model(image, OtherWhenSmall()(image), name="other")
    with pytest.raises(check.MismatchError, match="LiteRT, another size, class_map: "):
        check.check_tflite(other, path)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_are_0_to_255_in_either_type(dtype, tmp_path):
    model, images = build_toy("unet"), toy_images("unet")
    path = export(model, tmp_path, size=images.shape[1:3], dtype=dtype)
    runner = runner_of(path)
    assert runner.get_input_details()["image"]["dtype"] == np.dtype(dtype)
    assert share_of_same(model, runner, images.astype(dtype)) == 1


def test_another_type_is_refused(tmp_path):
    text = "takes images uint8 or float32, both 0-255; received 'int8'. Pass dtype=\"uint8\"."
    with pytest.raises(ValueError, match=re.escape(text)):
        export(build_toy("unet"), tmp_path, dtype="int8")


def test_what_a_file_holds_and_how_it_was_checked_is_recorded(tmp_path):
    model = build_toy("unet")
    model.save_weights(tmp_path / "toy.weights.h5")
    path = export(
        model,
        tmp_path / "files",
        spec=model.spec.replace(class_names=("sky", "sea", "sand", "sun")),
        weights=tmp_path / "toy.weights.h5",
    )
    recorded = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert recorded["format"] == "tflite"
    assert recorded["spec"]["options"] == model.spec.options
    assert recorded["weights"]["sha256"] == export_json.weights_sha256(model)
    assert recorded["spec"]["class_names"] == ["sky", "sea", "sand", "sun"]
    assert exports.read_spec(path).class_names == ("sky", "sea", "sand", "sun")
    assert recorded["signatures"] == {
        "serving_default": {
            "takes": {"image": {"type": "uint8", "shape": [1, None, None, 3]}},
            "gives": {"class_map": {"type": "int32", "shape": [1, None, None]}},
        }
    }
    assert recorded["files"] == {"unet-1.tflite": path.stat().st_size}
    # Three levels of two convolutions and the scores; the way up has two of its own and two up.
    operations = recorded["operations"]
    assert (operations["CONV_2D"], operations["TRANSPOSE_CONV"]) == (11, 2)
    assert (operations["MAX_POOL_2D"], operations["ARG_MAX"]) == (2, 1)
    (checked,) = recorded["checks"]
    assert (checked["loader"], checked["agreement"]) == ("LiteRT", recorded["agreement"])
    request = recorded["request"]
    assert request["image"] == [1, 500, 500, 3]
    assert 0 < request["seconds"] < 60
    assert 20e6 < request["peak_bytes"] < 2e9


def test_a_record_that_was_left_behind_counts_as_a_version(tmp_path):
    (tmp_path / "unet-4.json").write_text("{}")
    path = export(build_toy("unet"), tmp_path, size=(33, 50))
    assert path == tmp_path / "unet-5.tflite"
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        *("unet-4.json", "unet-5.json", "unet-5.tflite"),
    ]


def test_the_file_says_what_it_is_not_for(tmp_path):
    path = export(build_toy("unet"), tmp_path, size=(33, 50))
    description = flatbuffer.read(path.read_bytes()).description.decode()
    assert description.startswith("unet: image to class_map, the class of each pixel as int32. ")
    assert "Not for MediaPipe's ImageSegmenter, which takes scores" in description


def test_an_export_that_was_killed_between_its_two_names_is_finished_by_the_next(tmp_path):
    code = (
        "import os, sys\n"
        "import exports\n"
        "from tests.support.toys import build_toy\n"
        "from zoo import files\n"
        "moved = files.move\n"
        "def move(path, target):\n"
        "    moved(path, target)\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "files.move = move\n"
        "exports.export(build_toy('unet'), sys.argv[1], ['tflite'], size=(33, 50))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert run.returncode == -signal.SIGKILL
    assert (tmp_path / "unet-1.tflite").exists()
    assert not (tmp_path / "unet-1.json").exists()
    path = export(build_toy("unet"), tmp_path, size=(33, 50))
    assert path.name == "unet-2.tflite"
    names = [f"unet-{number}.{end}" for number in (1, 2) for end in ("json", "tflite")]
    assert sorted(one.name for one in tmp_path.iterdir()) == names
    recorded = json.loads((tmp_path / "unet-1.json").read_text())
    assert recorded["files"] == {"unet-1.tflite": (tmp_path / "unet-1.tflite").stat().st_size}


def test_a_record_without_its_file_is_told_before_anything_is_written(tmp_path):
    (tmp_path / "unet-4.json").write_text("{}")
    text = r"unet-4\.json exists\. Pass version=5, the next free one\."
    with pytest.raises(FileExistsError, match=text):
        export(build_toy("unet"), tmp_path, size=(33, 50), version=4)
    assert export(build_toy("unet"), tmp_path, size=(33, 50), version=5).exists()


def test_the_converter_and_the_interpreter_say_nothing(tmp_path, capfd):
    export(build_toy("unet"), tmp_path, size=(33, 50))
    lines = capfd.readouterr().err.splitlines()
    assert not [line for line in lines if re.match(r"W\d{4} .*tf_tfl|INFO: ", line)]
