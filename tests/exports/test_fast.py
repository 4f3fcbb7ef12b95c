"""The fast copy in exports: where it is written, what the record says, and when it is left out."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports
import zoo
from exports import check, fast_copy
from exports.check import MismatchError
from exports.check.version import check_version
from exports.formats import FORMATS, saved_model
from tests.support.toys import build_toy
from zoo import fast_copy as fast_copies

SIZE = (37, 50)


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Fast forms in toys, too, whose layers are too narrow to gain by them."""
    monkeypatch.setattr(fast_copies, "LEAST_GAIN", 0)


@pytest.fixture
def small():
    """A convolution and its normalization, quickly saved."""
    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    scores = keras.layers.Conv2D(4, 3, padding="same", bias_initializer="normal")(x)
    return keras.Model(image, scores, name="unet")


def record(path: pathlib.Path) -> dict:
    file = path.with_suffix(".json") if path.suffix == ".tflite" else path / "export.json"
    return json.loads(file.read_text())


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("fcn8s", ["saved_model", "tflite", "onnx", "openvino"]),  # no format escapes
        ("fcn_alexnet", ["openvino"]),  # groups
        ("segnet", ["onnx"]),  # transposed convolutions before max-unpooling
    ],
)
def test_every_format_answers_with_the_fast_copy(name, formats, tmp_path):
    options = {"fast": True, "size": (97, 131)}
    for form, path in exports.export(build_toy(name), tmp_path, formats, **options).items():
        found = record(path)
        assert found["agreement"] >= 0.9999, form
        assert found["fast"]["agreement"] >= 0.9999
        assert found["fast"]["pixels"] == 2 * 97 * 131


def test_by_default_it_is_in_all_formats_but_tflite(small, tmp_path):
    formats = ["saved_model", "tflite", "onnx", "openvino"]
    paths = exports.export(small, tmp_path, formats, size=SIZE)
    fast = {form for form, path in paths.items() if record(path)["fast"]}
    assert fast == {"saved_model", "onnx", "openvino"}
    assert fast == {name for name, form in FORMATS.items() if form.fast}
    operations = (paths["saved_model"] / "saved_model.pb").read_bytes()
    assert b"BatchMatMul" in operations


def test_exact_leaves_it_out(small, tmp_path):
    path = exports.export(small, tmp_path, fast=False)["saved_model"]
    assert record(path)["fast"] is None
    assert b"BatchMatMul" not in (path / "saved_model.pb").read_bytes()


def test_quantized_files_are_of_the_model(small, tmp_path):
    options = {"fast": True, "quantize": "float16"}
    path = exports.export(small, tmp_path, ["tflite"], **options)["tflite"]
    assert record(path)["fast"] is None


def other(model: keras.Model, **_) -> keras.Model:
    """A copy with other answers."""
    copy = keras.models.clone_model(model)
    copy.set_weights([-weights for weights in model.get_weights()])
    return copy


def test_a_copy_that_gives_other_classes_is_not_written(small, tmp_path, monkeypatch):
    asked = []

    def another(model: keras.Model, **options) -> keras.Model:
        asked.append(options)
        return other(model)

    monkeypatch.setattr(fast_copy, "faster", another)
    lines = []
    path = exports.export(small, tmp_path, report=lines.append)["saved_model"]
    assert record(path)["fast"] is None
    assert asked == [{"keep_switches": False}]  # with nothing to keep, a second one is the same
    assert any(
        line.endswith("99.99% are required: the model is written as it is") for line in lines
    )
    with pytest.raises(
        MismatchError, match=r"99\.99% are required\. Leave fast=True \(--fast\) out"
    ):
        exports.export(small, tmp_path, fast=True)
    assert [entry.name for entry in (tmp_path / "unet").iterdir()] == ["1"]


def test_what_gives_switches_is_kept_where_classes_change(tmp_path, monkeypatch):
    def turned(model, *, keep_switches):
        return zoo.faster(model) if keep_switches else other(model)

    monkeypatch.setattr(fast_copy, "faster", turned)
    image = keras.Input((None, None, 3), name="image")
    like = keras.layers.Conv2D(4, 3, padding="same")(image)
    x, switches = zoo.layers.MaxPoolingWithArgmax()(like)
    x = zoo.layers.MaxUnpooling()(x, switches, like)
    model = keras.Model(image, keras.layers.Conv2DTranspose(4, 3, padding="same")(x), name="unet")
    path = exports.export(model, tmp_path)["saved_model"]
    assert record(path)["fast"]["keep_switches"] is True


def test_a_version_is_checked_against_the_fast_copy_of_the_weights(tmp_path, monkeypatch):
    model = zoo.build("unet", classes=4, filters=4, depth=1)
    zoo.weights.save(model, tmp_path / "unet.weights.h5")
    checked = []
    monkeypatch.setattr(saved_model, "check", lambda *_: [])
    monkeypatch.setattr(check, "check_saved_model", lambda model, *_, **__: checked.append(model))
    path = exports.export(zoo.load(tmp_path / "unet.weights.h5"), tmp_path)["saved_model"]
    check_version(path, weights=tmp_path / "unet.weights.h5")
    (copy,) = checked
    assert any(isinstance(layer, zoo.layers.PreparedConv2D) for layer in copy.layers)


def test_a_saved_model_of_it_needs_no_gradient_of_ours(small, tmp_path):
    path = exports.export(small, tmp_path)["saved_model"]
    loaded = tf.saved_model.load(str(path))
    image = np.zeros((1, *SIZE, 3), np.uint8)
    answer = loaded.signatures["serving_default"](image=tf.constant(image))
    assert answer["class_map"].shape == (1, *SIZE)
