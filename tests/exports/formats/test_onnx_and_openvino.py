"""Exports for ONNX Runtime and OpenVINO."""

import dataclasses
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports
import zoo
from exports import check, exporting
from exports.command import export as main
from exports.formats import FORMATS, NONE, flatbuffer, onnx, tflite_converter
from exports.formats.settings import Settings
from exports.graph import single_output
from exports.graph.limits import Limits
from exports.images import textures
from exports.runtimes import UnableError, onnx_runtime, process
from tests.support.toys import TOYS, build_toy, toy_images

ROOT = pathlib.Path(__file__).parents[3]

PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "openvino": ("openvino",)}


@pytest.fixture
def uncosted(monkeypatch):
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)


def export(model: keras.Model, out: pathlib.Path, form: str, **options) -> pathlib.Path:
    return exports.export(model, out, [form], **options)[form]


def need(form: str) -> None:
    for package in PACKAGES[form]:
        if not importlib.util.find_spec(package):
            pytest.skip(f"{package} comes with the extra {form!r}")


def images_of(name: str, size: tuple[int, int] | None = None) -> np.ndarray:
    return toy_images(name, 1, size).astype(np.uint8)


def ask(path: pathlib.Path, form: str, images: np.ndarray) -> np.ndarray:
    with process.loaded(path / FORMATS[form].file, FORMATS[form].loader) as ask:
        return ask("serving_default", {"image": images}).outputs["class_map"]


# The others' graphs for any size take tf2onnx up to half a minute.
ANY = ["fcn8s", "fcn_alexnet", "unet"]
CASES = [("onnx", name, name in ANY) for name in sorted(TOYS)]
CASES += [("openvino", "unet", True), ("openvino", "fcn_alexnet", False)]


@pytest.mark.parametrize(("form", "name", "any_size"), CASES)
def test_the_runtime_gives_the_class_map(form, name, any_size, tmp_path, uncosted):
    need(form)
    model, images = build_toy(name), images_of(name)
    size = None if any_size else TOYS[name].size
    path = export(model, tmp_path, form, size=size, images=images)
    assert path == tmp_path / f"{name}-1-{form}"
    sizes = [TOYS[name].size, (5, 7), (70, 41)] if any_size else [TOYS[name].size]
    for size in sizes:
        images = np.concatenate([images_of(name, size)] * 2)
        class_map = ask(path, form, images)
        assert class_map.dtype == np.int32
        check.compare(form, "class_map", class_map, np.asarray(model(images.astype("float32"))))


def test_a_model_that_onnx_cannot_run_at_any_size_is_refused_with_the_reason(tmp_path):
    need("onnx")

    def forgetful(x):
        none = keras.ops.shape(x)[1] % 1
        return keras.ops.pad(x, [[0, 0], [0, none], [0, none], [0, 0]])

    # Two groups cannot be told apart where the channels are unknown, as behind such a pad.
    image = keras.Input((None, None, 4), name="image")
    x = keras.layers.Lambda(forgetful, output_shape=lambda shape: shape)(image)
    model = keras.Model(image, keras.layers.Conv2D(4, 1, groups=2)(x), name="odd")
    model.set_weights([np.tile(np.eye(2), 2)[None, None], np.zeros(4)])
    refused(model, tmp_path, "onnx", textures(1, (24, 24), 4))


def test_a_model_that_openvino_cannot_run_at_any_size_is_refused_with_the_reason(tmp_path):
    """The same graph of FCN-AlexNet runs in ONNX Runtime."""
    need("openvino")
    refused(build_toy("fcn_alexnet"), tmp_path, "openvino", images_of("fcn_alexnet"))


def refused(model, out, form, images) -> None:
    text = rf"'{model.name}' cannot be exported as {form} for any size: .* cannot run the graph \("
    with pytest.raises(ValueError, match=text + r".*\)\. Pass a size, or export a SavedModel\."):
        export(model, out, form, images=images)
    assert not list(out.iterdir())


def test_an_operation_that_openvino_does_not_know_is_refused_with_the_reason(tmp_path):
    need("openvino")
    model, image = build_toy("unet"), keras.Input((None, None, 3), name="image")
    model = keras.Model(image, keras.ops.erfinv(model(image) / 1e3), name="other")
    text = r"'other' cannot be exported as openvino: OpenVINO cannot convert the graph \(.*Erfinv"
    with pytest.raises(ValueError, match=re.compile(text, re.DOTALL)):
        export(model, tmp_path, "openvino", size=(33, 50), images=images_of("unet"))
    assert not list(tmp_path.iterdir())


def test_whole_numbers_are_divided_downwards_in_onnx(tmp_path):
    need("onnx")

    def odd(x):
        height = tf.shape(x)[1]
        numbers = tf.stack([-height % 4, -height // 4, height // -4])
        return x * 0.0 + tf.cast(numbers, tf.float32)

    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Lambda(odd, output_shape=lambda shape: shape)(image)
    model = keras.Model(image, scores, name="numbers")
    onnx.write(model, Settings(Limits(3)), tmp_path / "odd")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "odd" / "model.onnx"))
    for height in range(1, 10):
        numbers = [-height % 4, -height // 4, height // -4]
        answer = session.run(None, {"image": np.zeros((1, height, 2, 3), np.uint8)})[0]
        assert (answer == np.argmax(numbers)).all(), height


def test_axes_and_weights_have_names_and_lie_in_a_file_of_their_own(tmp_path):
    need("onnx")
    import onnx as library

    model = build_toy("unet")
    for size, axes in [(None, ["n", "height", "width"]), ((33, 50), ["n", "", ""])]:
        path = tmp_path / str(size)
        onnx.write(model, Settings(Limits(3), size=size), path)
        assert sorted(one.name for one in path.iterdir()) == ["model.onnx", "model.onnx.data"]
        graph = library.load(path / "model.onnx", load_external_data=False).graph
        for port in (*graph.input, *graph.output):
            dims = port.type.tensor_type.shape.dim
            assert [axis.dim_param for axis in dims][:3] == axes
        assert [port.name for port in graph.input] == ["image"]
        assert [port.name for port in graph.output] == ["class_map"]
        names = {tensor.name for tensor in graph.initializer}
        assert {variable.path for variable in model.trainable_variables} <= names
        weights = {variable.path for variable in model.variables}
        turned = [node for node in graph.node if node.op_type in ("Transpose", "Reshape")]
        assert not [node for node in turned if weights & {*node.input}]
        library.checker.check_model(str(path / "model.onnx"))
        assert (path / "model.onnx").stat().st_size < 100_000


def test_a_converter_takes_little_more_memory_than_the_weights(tmp_path):
    """Most of them are one kernel, as in FCN-8s: 100 MB, which the converter copied 20 times."""
    need("onnx")
    code = (
        "import pathlib, sys, keras\n"
        "from exports.formats import onnx\n"
        "from exports.formats.settings import Settings\n"
        "from exports.graph.limits import Limits\n"
        "def model(units):\n"
        "    image = keras.Input((None, None, 3))\n"
        "    hidden = keras.layers.Conv2D(units, 3, padding='same')(image)\n"
        "    hidden = keras.layers.Conv2D(units, 5, padding='same')(hidden)\n"
        "    return keras.Model(image, keras.layers.Conv2D(4, 3, padding='same')(hidden))\n"
        "def peak():\n"
        "    lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) * 1024 for line in lines if 'VmHWM' in line)\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "onnx.write(model(2), Settings(Limits(3)), out / 'small')\n"
        "large = model(1000)\n"
        "pathlib.Path('/proc/self/clear_refs').write_text('5')\n"
        "before = peak()\n"
        "onnx.write(large, Settings(Limits(3)), out / 'large')\n"
        "print(peak() - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, check=True
    )
    assert (tmp_path / "large" / "model.onnx.data").stat().st_size > 100_000_000
    assert int(run.stdout) < 150_000_000


@pytest.fixture
def stand_in(monkeypatch):
    """Makes the format onnx write and ask files of LiteRT, which is always there."""

    def install(change=lambda model: model) -> None:
        def write(model, settings, path):
            # LiteRT takes one image at a time.
            image = single_output.image_spec(settings.image_shape, dtype=settings.dtype)
            written = change(model)
            answer = single_output.class_map(written, image)
            tables, _ = tflite_converter.convert(written, answer, NONE, None)
            path.mkdir()
            (path / "model.tflite").write_bytes(flatbuffer.written(tables))
            return {}

        monkeypatch.setattr(onnx, "write", write)
        own = {"runtime": "LiteRT", "loader": "litert", "file": "model.tflite", "packages": {}}
        form = dataclasses.replace(FORMATS["onnx"], **own)
        monkeypatch.setitem(FORMATS, "onnx", form)

    return install


def test_versions_and_records(tmp_path, stand_in):
    stand_in()
    model, lines = build_toy("unet"), []
    options = {"form": "onnx", "images": images_of("unet"), "report": lines.append}
    first = export(model, tmp_path / "out", **options, dtype="float32")
    assert first == tmp_path / "out" / "unet-1-onnx"
    recorded = json.loads((first / "export.json").read_text())
    assert recorded["model"] == "unet"
    assert recorded["files"] == {"model.tflite": (first / "model.tflite").stat().st_size}
    assert recorded["checks"][0]["loader"] == "LiteRT"
    assert recorded["agreement"] == 1
    assert recorded["request"]["image"] == [1, 500, 500, 3]
    assert lines[-1].startswith("LiteRT, class_map: 100.0000% of the pixels agree")
    assert export(model, tmp_path / "out", **options, size=(33, 50)).name == "unet-2-onnx"
    with pytest.raises(
        FileExistsError, match=r"unet-2-onnx exists\. Pass version=3, the next free"
    ):
        export(model, tmp_path / "out", **options, version=2)


@pytest.mark.parametrize("form", sorted(PACKAGES))
def test_the_folder_says_what_it_is_and_what_it_takes(form, tmp_path, uncosted):
    need(form)
    model, images = build_toy("unet"), images_of("unet")
    spec = model.spec.replace(class_names=("a", "b", "c", "ü"), background=0)
    path = export(model, tmp_path, form, dtype="float32", images=images, spec=spec)
    assert exports.read_spec(path) == spec
    if form == "onnx":
        assert exports.read_spec(path / "model.onnx") == spec
    recorded = json.loads((path / "export.json").read_text())
    assert recorded["signatures"]["serving_default"] == {
        "takes": {"image": {"type": "float32", "shape": [None, None, None, 3]}},
        "gives": {"class_map": {"type": "int32", "shape": [None, None, None]}},
    }


@pytest.mark.parametrize("size", [None, (33, 50)])
def test_a_wrong_answer_is_no_export(size, tmp_path, stand_in):
    def change(model):
        other = build_toy("unet")
        other.get_layer(TOYS["unet"].score).bias.assign_add([0.5, 0, 0, 0])
        return other

    stand_in(change)
    with pytest.raises(check.MismatchError, match="LiteRT, class_map: "):
        export(build_toy("unet"), tmp_path / "out", "onnx", size=size, images=images_of("unet"))
    assert not list(tmp_path.iterdir())


def test_any_size_is_asked_about_two(tmp_path, stand_in, uncosted):
    def change(model):
        image = keras.Input((None, None, 3))
        small = keras.layers.Lambda(
            lambda x: x + tf.cast(tf.shape(x)[1] < 33, tf.float32) * [0.0, 0.0, 0.0, 99.0],
            output_shape=lambda shape: shape,
        )
        return keras.Model(image, small(model(image)))

    stand_in(change)
    options = {"form": "onnx", "images": images_of("unet")}
    with pytest.raises(check.MismatchError, match="LiteRT, class_map: "):
        export(build_toy("unet"), tmp_path / "out", **options)
    assert export(build_toy("unet"), tmp_path / "out", **options, size=(33, 50)).exists()


@pytest.mark.parametrize(
    ("form", "package", "text"),
    [
        ("onnx", "tf2onnx", 'by tf2onnx, which is not installed. Install it: pip install "segm'),
        ("openvino", "openvino", "by OpenVINO, which is not installed. Install it: pip install"),
    ],
)
def test_without_the_converter_the_error_says_what_to_install(
    form, package, text, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape(text)):
        export(build_toy("unet"), tmp_path / "out", form, images=images_of("unet"))
    assert not list(tmp_path.iterdir())


def test_without_onnx_runtime_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    text = 'ONNX Runtime is not installed. Install it: pip install "segmentation-zoo[onnx]".'
    with pytest.raises(ImportError, match=re.escape(text)), onnx_runtime.loaded(tmp_path):
        pass


def test_a_file_that_onnx_runtime_cannot_read_is_said_to_be_one(tmp_path):
    need("onnx")
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with (
        pytest.raises(UnableError, match="ONNX Runtime cannot run the graph"),
        process.loaded(tmp_path / "model.onnx", "onnx_runtime"),
    ):
        pass


def test_the_command(tmp_path, stand_in, capsys, uncosted):
    stand_in()
    weights = zoo.weights.save(build_toy("unet"), tmp_path / "toy.weights.h5")
    out = tmp_path / "files"
    (out / "unet-3-openvino").mkdir(parents=True)
    arguments = [str(weights), "--out", str(out), "--size", "33", "50"]
    (tmp_path / "image.png").write_bytes(tf.io.encode_png(images_of("unet")[0]).numpy())
    arguments += ["--image", str(tmp_path / "image.png"), "--format", "onnx", "tflite"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for name in ("unet-4-onnx", "unet-4.tflite"):
        assert re.search(rf" MB  {out / name}$", said, re.MULTILINE)
    assert main([*arguments[:-2], "onnx", "--quantize", "float16"]) == 2
    said = capsys.readouterr().err
    assert (
        "for openvino too; received 'float16' and the formats onnx. Add the format tflite." in said
    )


def in_integers(name: str, out: pathlib.Path, **options) -> dict:
    model, images = build_toy(name), toy_images(name).astype(np.uint8)
    asked = {"quantize": "integer", "representative": images} | options
    path = export(model, out, "openvino", **asked)
    return json.loads((path / "export.json").read_text())


@pytest.mark.parametrize(
    ("name", "size"), [("fcn8s", True), ("fcn_alexnet", True), ("unet", True), ("unet", False)]
)
def test_integers_in_openvino(name, size, tmp_path, uncosted, capsys):
    pytest.importorskip("nncf", reason="NNCF comes with the extra nncf")
    size = TOYS[name].size if size else None
    record = in_integers(name, tmp_path, size=size, max_disagreement=0.15)
    assert record["quantize"] == "integer"
    assert 0.9 < record["agreement"] < 1
    content = (tmp_path / f"{name}-1-openvino" / "model.xml").read_text()
    assert 'type="FakeQuantize"' in content
    assert 'element_type="i8"' in content
    assert "-inf" not in content
    assert capsys.readouterr().out == ""
    with pytest.raises(check.MismatchError, match=r"OpenVINO, .* max_disagreement allows 0\.00%"):
        in_integers(name, tmp_path, size=size, max_disagreement=0)


def test_without_nncf_the_error_says_what_to_install(tmp_path, monkeypatch):
    need("openvino")
    monkeypatch.setitem(sys.modules, "nncf", None)
    text = 'NNCF, which is not installed. Install it: pip install "segmentation-zoo[nncf]".'
    with pytest.raises(ImportError, match=re.escape(text)):
        in_integers("unet", tmp_path / "out", size=TOYS["unet"].size)
    assert not (tmp_path / "out").exists()


def test_openvino_takes_no_other_quantization(tmp_path):
    need("openvino")
    text = "integer for openvino too; received 'mixed' and the formats openvino. Add the format tfl"
    with pytest.raises(ValueError, match=re.escape(text)):
        in_integers("unet", tmp_path, size=TOYS["unet"].size, quantize="mixed")
