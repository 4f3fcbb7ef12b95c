"""Exports of nets with several heads or images: what each answers, and what is refused."""

import collections
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports
import zoo
from exports import check
from exports.command import check as check_main
from exports.command import export as main
from exports.formats.saved_model import save
from exports.graph.signatures import signatures
from exports.runtimes import process
from exports.serving import export_json, warmup
from tests.support import several
from tests.support.several import HEADS, NAMES
from zoo.images import read_class_map

PLAIN = ("serving_default", "class_map_from_bytes", "mask_png", "scores", "class_names")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return several.two_heads()


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    return exports.export(model, tmp_path_factory.mktemp("heads"))["saved_model"]


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    """The SavedModel of a net of two images."""
    return exports.export(several.late_fusion(), tmp_path_factory.mktemp("fused"))["saved_model"]


def pngs(images: np.ndarray) -> np.ndarray:
    return np.array([tf.io.encode_png(image).numpy() for image in images], object)


def test_each_head_has_signatures_of_its_own(model, version):
    images = several.images(model)
    expected = {head: several.class_maps(model, images, head) for head in HEADS}
    assert (expected["semantic"] != expected["geometric"]).mean() > 0.3
    with process.loaded(version) as asked:

        def ask(signature, **inputs):
            return asked(signature, inputs).outputs

        both = ask("serving_default", image=images)
        several.assert_same(both["class_map"], expected["semantic"])
        several.assert_same(both["class_map_geometric"], expected["geometric"])
        for head, end in (("semantic", ""), ("geometric", "_geometric")):
            answers = {
                "class_map_from_bytes": ask(f"class_map_from_bytes{end}", image_bytes=pngs(images)),
                "serving_default": ask(f"serving_default{end}", image=images),
            }
            for answer in answers.values():
                several.assert_same(answer["class_map"], expected[head])
            masks = ask(f"mask_png{end}", image_bytes=pngs(images))["mask_png_bytes"]
            several.assert_same([read_class_map(one) for one in masks], expected[head])
            probabilities = ask(f"scores{end}", image=images)["probabilities"]
            assert probabilities.shape[-1] == len(NAMES[head])
            several.assert_same(probabilities.argmax(-1), expected[head])
            index = np.arange(len(NAMES[head]), dtype=np.int32)
            named = ask(f"class_names{end}", index=index)
            assert [name.decode() for name in named["name"]] == list(NAMES[head])
            assert named["is_background"].argmax() == (1 if head == "semantic" else 0)
        heads = ask("heads", index=np.array([1, 0], np.int32))
        assert heads["name"].tolist() == [b"geometric", b"semantic"]
        assert heads["count"].tolist() == [2, 2]
        with pytest.raises(RuntimeError, match="A head number is from 0 to 1 here"):
            ask("heads", index=np.array([2], np.int32))


def test_both_class_maps_come_from_one_pass_of_the_trunk(model):
    graph = signatures(model)["serving_default"].graph.as_graph_def()
    functions = graph.library.function
    nodes = collections.Counter(
        node.op for part in (graph.node, *(one.node_def for one in functions)) for node in part
    )
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert nodes["Conv2D"] == len(convolutions)


def test_the_version_says_its_heads_everywhere(model, version):
    record = export_json.read(version)
    assert record["heads"] == list(HEADS)
    assert record["inputs"] == {"image": 3}
    assert record["classes"] == {"semantic": 4, "geometric": 3}
    assert exports.read_spec(version) == model.spec
    for end, head in (("", "semantic"), ("_geometric", "geometric")):
        labels = (version / "assets" / f"labels{end}.txt").read_text(encoding="utf-8")
        assert tuple(labels.split()) == NAMES[head]
        colours = (version / "assets" / f"colormap{end}.txt").read_text(encoding="utf-8")
        assert len(colours.splitlines()) == 1 + len(NAMES[head])
    asked = [signature for signature, _ in warmup._read(version / warmup.WARM_UP)]
    assert sorted(asked) == sorted(record["signatures"])
    expected = {*PLAIN, *(f"{name}_geometric" for name in PLAIN), "heads"}
    assert set(record["signatures"]) == expected


@pytest.mark.parametrize("with_weights", [True, False])
def test_a_version_is_checked_again(with_weights, model, version, tmp_path, capsys):
    words = [str(version)]
    if with_weights:
        words += ["--weights", str(zoo.weights.save(model, tmp_path / "two.weights.h5"))]
    assert check_main(words) == 0
    said = capsys.readouterr().out
    assert "C++, scores_geometric: 100.0000% of the pixels agree" in said
    assert "C++, serving_default: class_map_geometric: 100.0000%" in said
    assert ("NOT those" in said, "are those that were exported" in said) == (False, with_weights)


@pytest.mark.parametrize("signature", ["mask_png_geometric", "class_names_geometric"])
def test_a_signature_of_another_head_is_found(signature, model, tmp_path):
    answers = signatures(model, spec=model.spec)
    answers[signature] = answers[signature.removesuffix("_geometric")]
    save(model, answers, tmp_path)
    with pytest.raises((check.MismatchError, RuntimeError), match=signature.partition("_g")[0]):
        check.check_saved_model(model, tmp_path, spec=model.spec)


def test_zoo_predict_asks_the_head_that_is_named(model, version):
    image = several.images(model)[0]
    for head in HEADS:
        answer = zoo.inference.scorer(version, head=head)
        assert answer.spec == model.spec.of_head(head)
        expected = several.class_maps(model, image[None], head)[0]
        several.assert_same(zoo.predict(answer, image), expected)
    text = (
        rf"{version} has the heads semantic and geometric, of which one is chosen; received None. "
        "Pass head='semantic', or --head on the command line."
    )
    with pytest.raises(ValueError, match=text):
        zoo.predict(version, image)
    with pytest.raises(ValueError, match="received 'other'"):
        zoo.inference.scorer(version, head="other")


def test_a_file_of_one_head_carries_its_name(model, tmp_path):
    paths = exports.export(model, tmp_path, ["tflite"], head="geometric", size=several.SIZE)
    path = paths["tflite"]
    assert path == tmp_path / "fcn8s_two_heads_geometric-1.tflite"
    assert exports.read_spec(path) == model.spec.of_head("geometric")
    image = several.images(model)[0]
    expected = several.class_maps(model, image[None], "geometric")[0]
    for head in (None, "geometric"):
        several.assert_same(zoo.predict(path, image, head=head), expected)
    with pytest.raises(ValueError, match=r"answers with the head geometric, and received 'semant"):
        zoo.predict(path, image, head="semantic")
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert (record["model"], record["classes"]) == ("fcn8s_two_heads_geometric", 3)
    # A model that was loaded with one head is exported alike.
    weights = zoo.weights.save(model, tmp_path / "two.weights.h5")
    loaded = zoo.load(weights, head="geometric")
    paths = exports.export(loaded, tmp_path, ["tflite"], size=several.SIZE)
    assert paths["tflite"] == tmp_path / "fcn8s_two_heads_geometric-2.tflite"


@pytest.mark.parametrize("form", ["tflite", "mediapipe", "onnx", "openvino"])
def test_a_format_of_one_class_map_wants_a_head(form, model, tmp_path, capsys):
    text = (
        f"A file of the format {form} gives one class map; 'fcn8s_two_heads' has the heads "
        "semantic and geometric. Pass one of them: head='semantic', or --head semantic on the "
        "command line; or export a SavedModel, which answers for all."
    )
    with pytest.raises(ValueError, match=text):
        exports.export(model, tmp_path, ["saved_model", form], size=several.SIZE)
    weights = str(zoo.weights.save(model, tmp_path / "two.weights.h5"))
    words = [weights, "--out", str(tmp_path / "out"), "--format", form, "--size", "70", "90"]
    assert main(words) == 2
    assert text in capsys.readouterr().err
    assert main([*words, "--head", "other"]) == 2
    assert "has the heads semantic, geometric, and received 'other'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_spec_with_other_heads_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="this one has one head, 'fcn8s_two_heads' has semantic"):
        exports.export(model, tmp_path, spec=model.spec.of_head("semantic").replace(head=None))
    other = several.late_fusion()
    with pytest.raises(ValueError, match="'fcn32s_late_fusion' has one, and received 'semantic'"):
        exports.export(other, tmp_path, head="semantic")


def test_two_images_are_taken_by_their_names(fused):
    model = several.late_fusion()
    images = several.images(model)
    parts = {"color": images[..., :3], "hha": images[..., 3:]}
    files = {f"{name}_bytes": pngs(part) for name, part in parts.items()}
    expected = several.class_maps(model, images)
    swapped = several.class_maps(model, images[..., [3, 4, 5, 0, 1, 2]])
    assert (expected != swapped).mean() > 0.1
    assert export_json.read(fused)["inputs"] == {"color": 3, "hha": 3}
    with process.loaded(fused) as asked:

        def ask(signature, inputs):
            return asked(signature, inputs).outputs

        several.assert_same(ask("serving_default", parts)["class_map"], expected)
        several.assert_same(ask("class_map_from_bytes", files)["class_map"], expected)
        probabilities = ask("scores", parts)["probabilities"]
        several.assert_same(probabilities.argmax(-1), expected)
        small = pngs(parts["hha"][:1, :20])
        mixed = files | {"hha_bytes": np.concatenate([files["hha_bytes"][:1], small])}
        answer = ask("mask_png", mixed)
        assert answer["valid"].tolist() == [1, 0]
        several.assert_same(read_class_map(answer["mask_png_bytes"][0]), expected[0])
        rule = "The images color and hha of a request have one number, height and width"
        for wrong in (parts["hha"][:, :20], parts["hha"][:1]):
            with pytest.raises(RuntimeError, match=rule):
                ask("serving_default", parts | {"hha": wrong})
        with pytest.raises(RuntimeError, match="An image has 3 channels here"):
            ask("scores", parts | {"hha": parts["hha"][..., :2]})
        with pytest.raises(RuntimeError, match="have one number"):
            ask("mask_png", files | {"hha_bytes": files["hha_bytes"][:1]})
        with pytest.raises(RuntimeError, match="have one size here"):
            ask("class_map_from_bytes", mixed)
    several.assert_same(zoo.predict(fused, images[0]), expected[0])


def test_other_formats_take_two_images_as_one(tmp_path):
    model = several.late_fusion()
    path = exports.export(model, tmp_path, ["tflite"], size=several.SIZE)["tflite"]
    images = several.images(model)
    expected = several.class_maps(model, images)
    several.assert_same(zoo.predict(path, images[0]), expected[0])


def test_a_logarithm_is_never_taken_for_a_byte(tmp_path, capsys):
    model = several.early_fusion()
    rule = "is the logarithm of a depth, about 6 to 9, which whole numbers do not hold; "
    with pytest.raises(ValueError, match=rule + "a SavedModel takes uint8, JPEG and PNG"):
        exports.export(model, tmp_path)
    with pytest.raises(ValueError, match=rule + "received dtype='uint8'. Pass dtype=\"float32\""):
        exports.export(model, tmp_path, ["tflite"])
    with pytest.raises(ValueError, match=rule + "received quantize='integer'"):
        exports.export(
            model,
            tmp_path,
            ["tflite"],
            dtype="float32",
            quantize="integer",
            size=several.SIZE,
            representative=several.images(model),
        )
    weights = str(zoo.weights.save(model, tmp_path / "early.weights.h5"))
    assert main([weights, "--out", str(tmp_path / "out"), "--format", "tflite"]) == 2
    assert "--dtype float32" in capsys.readouterr().err
    options = {"dtype": "float32", "size": several.SIZE}
    path = exports.export(model, tmp_path, ["tflite"], **options)["tflite"]
    image = several.images(model)[0].astype(np.float32)
    image[..., 3] = np.linspace(5.5, 9, several.SIZE[1])
    expected = several.class_maps(model, image[None])[0]
    whole = several.class_maps(model, np.rint(image)[None])[0]
    assert (expected != whole).any()
    several.assert_same(zoo.predict(path, image), expected)
