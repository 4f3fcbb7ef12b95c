"""Quantized TFLite files: how large they are, and how far from the model."""

import json
import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

import exports
import zoo
from exports import check, exporting
from exports.command import export as main
from exports.formats import KINDS, flatbuffer, tflite
from exports.images import textures
from exports.runtimes import litert
from tests.support.toys import TOYS, build_toy, toy_images

# Their pooling pads with minus infinity, for which int8 has no form.
NO_INTEGER = {"fcn_alexnet", "fcn_googlenet"}


def images_of(name: str) -> np.ndarray:
    return toy_images(name).astype(np.uint8)


def export(model: keras.Model, out: pathlib.Path, **options) -> pathlib.Path:
    return exports.export(model, out, ["tflite"], **options)["tflite"]


def exported(name: str, out, **options) -> dict:
    images = images_of(name)
    path = export(build_toy(name), out, size=images.shape[1:3], representative=images, **options)
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def uncosted(monkeypatch):
    """What a request costs is measured in tests/exports/formats/test_tflite.py."""
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[("dynamic", "deconvnet"), ("dynamic", "fcn_alexnet"), ("dynamic", "unet")],
        *[("float16", "fcn_alexnet"), ("float16", "unet")],
    ],
)
def test_coarser_weights_change_few_pixels(kind, name, tmp_path):
    recorded = exported(name, tmp_path, quantize=kind)
    assert recorded["quantize"] == kind
    assert recorded["agreement"] >= 0.95
    assert recorded["max_disagreement"] == 0.05


@pytest.mark.parametrize("name", sorted(set(TOYS) - NO_INTEGER))
def test_integer_arithmetic(name, tmp_path):
    """A toy's classes lie close together, and each normalized layer amplifies what was rounded.

    DeconvNet has 29 of them and SegNet 25: wider toys of SegNet agree no better.
    """
    recorded = exported(name, tmp_path, quantize="integer", max_disagreement=0.5)
    assert recorded["agreement"] > (0.65 if name in ("deconvnet", "segnet") else 0.85)
    assert recorded["operations_in_float32"] == []


@pytest.mark.parametrize("name", sorted(NO_INTEGER))
def test_what_has_no_form_in_integers_is_refused_with_the_reason(name, tmp_path):
    text = rf"Integers have no infinity; {name!r} has one in the range of .*PADV2: perhaps the padd"
    with pytest.raises(ValueError, match=text):
        exported(name, tmp_path, quantize="integer")
    assert not list(tmp_path.iterdir())


def test_integer_files_for_any_size_and_for_float32_images(tmp_path):
    model, images = build_toy("unet"), images_of("unet")
    path = export(
        model,
        tmp_path,
        dtype="float32",
        quantize="integer",
        representative=images,
        max_disagreement=0.2,
    )
    answer = litert.interpreter()(model_path=str(path)).get_signature_runner()
    part = images[:1, :20, 5:].astype(np.float32)
    expected = np.asarray(model(part)).argmax(-1)
    assert (answer(image=part)["class_map"] == expected).mean() > 0.8


def test_a_reversal_keeps_the_range_of_what_it_reverses(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    reversed_ = keras.layers.Lambda(
        lambda x: keras.ops.flip(x, axis=-1), output_shape=lambda shape: shape
    )(image)
    scores = keras.layers.Lambda(lambda x: x - 100.0, output_shape=lambda shape: shape)(reversed_)
    model = keras.Model(image, scores, name="reversal")
    images = textures(2, (24, 24), 3)
    path = export(model, tmp_path, size=(24, 24), quantize="integer", representative=images)
    tables = flatbuffer.read(path.read_bytes())
    ((operator, graph),) = [
        (o, g) for name, o, g in flatbuffer.uses(tables) if name == "REVERSE_V2"
    ]
    before, after = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    assert before.quantization.scale == after.quantization.scale
    assert before.quantization.zeroPoint == after.quantization.zeroPoint


def test_each_kind_is_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(tflite, "check", lambda *_: [])
    model = zoo.build("unet", filters=32, depth=2)
    images = textures(1, (24, 24), 3)
    sizes = {}
    for kind in KINDS:
        path = export(model, tmp_path, size=(24, 24), quantize=kind, representative=images)
        sizes[kind] = path.stat().st_size
    assert 0.45 * sizes["none"] < sizes["float16"] < 0.55 * sizes["none"]
    assert sizes["dynamic"] < 0.3 * sizes["none"]
    assert sizes["integer"] < 0.3 * sizes["none"]


def test_what_disagrees_too_often_does_not_appear(tmp_path):
    out = tmp_path / "files"
    text = (
        r"LiteRT, class_map: \d+\.\d\d% of the pixels have another class than the model's, where "
        r"max_disagreement allows 5\.00%\. Quantize less, or give more representative images"
    )
    with pytest.raises(check.MismatchError, match=text):
        exported("unet", out, quantize="integer")
    with pytest.raises(check.MismatchError, match=r"max_disagreement allows 0\.00%"):
        exported("unet", out, quantize="dynamic", max_disagreement=0)
    assert not list(tmp_path.iterdir())


def test_operations_that_stay_in_float32_are_recorded(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    power = keras.layers.Lambda(lambda x: (x + 1.0) ** 0.75, output_shape=lambda shape: shape)(
        image
    )
    model = keras.Model(image, power, name="power")
    path = export(
        model,
        tmp_path,
        size=(24, 24),
        quantize="integer",
        representative=textures(2, (24, 24), 3),
    )
    recorded = json.loads(path.with_suffix(".json").read_text())
    assert recorded["operations_in_float32"] == ["POW"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"quantize": "int4"}, "one of none, float16, dynamic, integer; received 'int4'. Pass"),
        ({"quantize": "integer"}, "takes its ranges from representative images; received none."),
        (
            {"max_disagreement": 0.1},
            "a quantized file may give another class; received 0.1 with quantize='none'. Pass none",
        ),
        (
            {"quantize": "dynamic", "max_disagreement": 5},
            "from 0 to 1, to which a quantized file may give another class; received 5 with",
        ),
        (
            {"representative": np.zeros((2, 9, 13, 3), np.uint8)},
            "uint8 ['n', 9, 12, 3], of the size that the file takes; received uint8 [2, 9, 13, 3].",
        ),
        ({"representative": np.zeros((0, 9, 12, 3), np.uint8)}, "received uint8 [0, 9, 12, 3]."),
        ({"representative": np.zeros((2, 9, 12, 3))}, "received float64 [2, 9, 12, 3]. Scale or"),
    ],
)
def test_wrong_options_are_refused(options, text, tmp_path):
    with pytest.raises(ValueError, match=re.escape(text)):
        export(build_toy("unet"), tmp_path, size=(9, 12), **options)
    assert not list(tmp_path.iterdir())


def test_the_command_quantizes_by_the_pictures_of_a_folder(tmp_path, capsys):
    weights = zoo.weights.save(build_toy("unet"), tmp_path / "toy.weights.h5")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, image in enumerate(images_of("unet")):
        Image.fromarray(image).save(pictures / f"{number}.png")
    arguments = [str(weights), "--out", str(tmp_path / "o"), "--format", "tflite"]
    arguments += ["--size", "33", "50", "--quantize", "integer", "--representative", str(pictures)]
    assert main(arguments) == 1
    assert "where max_disagreement allows 5.00%" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert main([*arguments, "--max-disagreement", "0.2"]) == 0
    assert re.search(r"0\.0\d MB  .*unet-1\.tflite", capsys.readouterr().out)
