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
from exports.formats import KINDS, flatbuffer, mixed, tflite
from exports.images import textures
from exports.runtimes import litert
from tests.support.toys import TOYS, build_toy, toy_images

# Their response normalization has roots, of which int8 has no form: it stays in float32 as a whole.
WITH_ROOTS = {"fcn_alexnet", "fcn_googlenet"}
# A toy's classes lie close together, and each layer, above all a normalized one, amplifies what was
# rounded. DeconvNet has 29 normalized layers and SegNet 25: wider toys of SegNet agree no better.
LEAST = {"deconvnet": 0.65, "segnet": 0.65, "fcn_googlenet": 0.8}


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


@pytest.mark.parametrize("name", sorted(TOYS))
def test_integer_arithmetic(name, tmp_path):
    recorded = exported(name, tmp_path, quantize="integer", max_disagreement=0.5)
    assert recorded["agreement"] > LEAST.get(name, 0.85)
    if name in WITH_ROOTS:
        assert {"RSQRT", "SQRT"} <= set(recorded["operations_in_float32"])
        assert "CONV_2D" not in recorded["operations_in_float32"]
    else:
        assert recorded["operations_in_float32"] == []


def wider_alexnet() -> keras.Model:
    """An FCN-AlexNet of a third of the filters that sees four classes in textures."""
    keras.utils.set_random_seed(1)
    model = zoo.build("fcn_alexnet", classes=4, stages=(16, 32, 48, 48, 32), fc_filters=32)
    score = model.get_layer("score_fr")
    kernel, bias = score.get_weights()
    score.set_weights([np.random.default_rng(0).normal(size=kernel.shape), bias])
    scores = np.asarray(model(textures(3, (53, 70), 3).astype(np.float32)))
    score.set_weights([score.get_weights()[0], -scores.mean((0, 1, 2))])
    return model


@pytest.mark.parametrize("size", [(53, 70), None])
def test_an_alexnet_in_integers_answers_as_the_model(size, tmp_path):
    """Its pools reach past the border, and its normalizations stay in float32 as a whole."""
    model, images = wider_alexnet(), textures(3, (53, 70), 3)
    path = export(model, tmp_path, size=size, quantize="integer", representative=images)
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["agreement"] >= 0.95
    tables = flatbuffer.read(path.read_bytes())
    types = {
        (graph.tensors[index].type, graph.tensors[index].name.decode().split("/")[1])
        for operation, operator, graph in flatbuffer.uses(tables)
        for index in operator.outputs
        if operation in {"ADD", "MUL", "RSQRT", "SQRT", "SQUARE"}
        and b"/norm" in graph.tensors[index].name
    }
    assert types == {(0, "norm1_1"), (0, "norm2_1")}
    # The model itself stays as it was.
    assert not any(getattr(layer, "repeats_border", False) for layer in model.layers)


def test_what_has_no_form_in_integers_is_refused_with_the_reason(tmp_path):
    def pooled(x):
        reach = [[0, 0], [1, 1], [1, 1], [0, 0]]
        padded = keras.ops.pad(x, reach, constant_values=-float("inf"))
        return keras.ops.max_pool(padded, 3, 1, "valid", data_format="channels_last")

    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Lambda(pooled, output_shape=lambda shape: shape)(image)
    text = r"Integers have no infinity; 'endless' has one in the range of .*: perhaps the padding"
    with pytest.raises(ValueError, match=text):
        export(
            keras.Model(image, scores, name="endless"),
            tmp_path,
            size=(24, 24),
            quantize="integer",
            representative=textures(2, (24, 24), 3),
        )
    assert not list(tmp_path.iterdir())


def test_the_layers_that_cost_the_most_pixels_stay_in_float32(tmp_path):
    plain = exported("unet", tmp_path / "plain", quantize="integer", max_disagreement=0.5)
    said = []
    recorded = exported("unet", tmp_path / "mixed", quantize="mixed", report=said.append)
    left = recorded["left_in_float32"]
    assert plain["left_in_float32"] is None
    assert 1 - left["disagreement"] == pytest.approx(plain["agreement"])
    # The last layers of a U-Net compute scores that lie close together.
    assert [one["layer"] for one in left["layers"][:2]] == ["conv_u0d-score", "conv_u0c-d"]
    assert [one["alone"] for one in left["layers"]] == sorted(
        (one["alone"] for one in left["layers"]), reverse=True
    )
    assert left["layers"][-1]["disagreement"] < 0.05 < left["disagreement"]
    assert 1 - recorded["agreement"] == pytest.approx(left["layers"][-1]["disagreement"])
    assert "CONV_2D" in recorded["operations_in_float32"]
    assert recorded["operations"]["QUANTIZE"]  # the other layers compute in integers
    assert any(line.startswith("conv_u0d-score alone in integers: 1") for line in said)


@pytest.mark.parametrize(
    ("goal", "layers"), [(0.2, []), (0.05, ["a"]), (0.01, ["a", "c"]), (0.0, ["a", "c"])]
)
def test_layers_are_left_until_the_goal_or_half_of_them(goal, layers):
    costs = {"a": 0.08, "b": 0.001, "c": 0.03, "d": 0.002, "kept": 0.5}
    nodes = {name: {f"{name}/1", f"{name}/2"} for name in costs}

    def disagreement(floats: list[str]) -> float:
        return sum(cost for name, cost in costs.items() if not nodes[name] <= set(floats))

    choice = mixed.choose(list, nodes, ("kept",), disagreement, goal, lambda line: None)
    assert [one["layer"] for one in choice.layers] == layers
    assert choice.disagreement == pytest.approx(0.113)
    assert all(one["alone"] == pytest.approx(costs[one["layer"]]) for one in choice.layers)


def test_where_integers_agree_nothing_stays_in_float32(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="score")(image), name="easy")
    model.get_layer("score").set_weights([np.eye(3)[None, None], np.zeros(3)])
    images = np.zeros((2, 24, 24, 3), np.uint8)
    images[:, :8, :, 0] = images[:, 8:16, :, 1] = images[:, 16:, :, 2] = 255
    options = {"size": (24, 24), "representative": images, "quantize": "mixed"}
    path = export(model, tmp_path, **options)
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["left_in_float32"] == {"disagreement": 0.0, "layers": []}
    assert record["operations_in_float32"] == []


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
    assert sizes["integer"] <= sizes["mixed"] < sizes["none"]


def test_what_disagrees_too_often_does_not_appear(tmp_path):
    out = tmp_path / "files"
    text = (
        r"LiteRT, class_map: \d+\.\d\d% of the pixels have another class than the model's, where "
        r"max_disagreement allows 5\.00%\. Quantize less, such as \"mixed\" for \"integer\","
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
    assert recorded["operations_in_float32"] == ["ADD", "POW"]  # the layer as a whole


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"quantize": "int4"},
            "dynamic, integer, mixed; received 'int4'. Pass",
        ),
        ({"quantize": "integer"}, "takes its ranges from representative images; received none."),
        ({"quantize": "mixed"}, "takes its ranges from representative images; received none."),
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
