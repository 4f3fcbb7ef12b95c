"""Exported files: their layout and size, and that they appear whole and checked or not at all."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.python.saved_model import fingerprinting_utils

import exports
import zoo
from exports import check, exporting
from exports.formats import FORMATS, saved_model, tflite
from exports.images import textures
from exports.runtimes import litert, tensorflow_c
from exports.serving import versions
from tests.support.toys import TOYS

ROOT = pathlib.Path(__file__).parents[2]
SPEC = zoo.Spec("unet", {"classes": 4})


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """One layer, which is quickly saved: what is tested here is where files lie and when."""
    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Conv2D(4, 3, padding="same", bias_initializer="normal")(image)
    return keras.Model(image, scores, name="unet")


@pytest.fixture
def unchecked(monkeypatch):
    """For tests of names and numbers, which need no second look at the answers."""
    monkeypatch.setattr(saved_model, "check", lambda *_: [])
    monkeypatch.setattr(tflite, "check", lambda *_: [])
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)
    monkeypatch.setattr(exporting, "limited", lambda model, limits, **_: (limits, None))


def export(form: str, model: keras.Model, out: pathlib.Path, **options) -> pathlib.Path:
    return exports.export(model, out, [form], size=(9, 12), **options)[form]


def place(form: str, version: int | str) -> str:
    return f"unet/{version}" if form == "saved_model" else f"unet-{version}.tflite"


def entries(out: pathlib.Path) -> list[str]:
    """What lies in the folder of versions; the record of a file that is there belongs to it."""
    found = {path for pattern in ("unet-*", "w*", "unet/*") for path in out.glob(pattern)}
    records = {path.with_suffix(".json") for path in found if path.suffix == ".tflite"}
    return sorted(path.relative_to(out).as_posix() for path in found - records)


both = pytest.mark.parametrize("form", ["saved_model", "tflite"])


@both
def test_versions_count_from_1_and_after_the_highest(form, model, tmp_path, unchecked):
    out = tmp_path / "not" / "there"
    assert export(form, model, out) == out / place(form, 1)
    assert export(form, model, str(out)) == out / place(form, 2)
    assert export(form, model, out, version=7) == out / place(form, 7)
    (out / place(form, "99-draft")).mkdir(parents=True)
    assert export(form, model, out) == out / place(form, 8)
    assert entries(out) == sorted(place(form, n) for n in (1, 2, 7, 8, "99-draft"))


@both
def test_a_version_is_never_overwritten(form, model, tmp_path, unchecked):
    first = export(form, model, tmp_path, version=3)
    content = first if form == "tflite" else first / "saved_model.pb"
    before = content.read_bytes()
    text = f"An exported version is never overwritten; {first} exists. Pass version=4, the next"
    with pytest.raises(FileExistsError, match=re.escape(text)):
        export(form, model, tmp_path, version=3)
    assert content.read_bytes() == before


@both
@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1", 2**63])
def test_a_version_is_a_positive_whole_number(form, version, model, tmp_path):
    text = (
        f"A version is a whole number from 1 to {2**63 - 1}; received {version!r}. Pass version=1."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        export(form, model, tmp_path, version=version)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_number_that_no_server_reads_takes_none(model, tmp_path):
    places = ["unet/{}"]
    for name in ("3", str(2**63), "9" * 250):
        (tmp_path / "unet" / name).mkdir(parents=True)
    assert versions.taken(tmp_path, places) == {3}
    (tmp_path / "unet" / str(versions.MAX_VERSION)).mkdir()
    taken = versions.taken(tmp_path, places)
    with pytest.raises(ValueError, match=r"Pass version=1\."):
        versions.choose(None, taken, [])


def test_a_limit_of_bytes_below_the_images_of_the_check_is_told(model, tmp_path):
    text = r"of at most 10 bytes: one of them is a PNG of (\d+)\. Pass max_bytes="
    with pytest.raises(ValueError, match=text) as raised:
        exports.export(model, tmp_path, max_bytes=10)
    assert not list(tmp_path.iterdir())
    needed = int(re.search(text, str(raised.value))[1])
    exports.export(model, tmp_path, max_bytes=needed)


@both
def test_two_exports_of_one_version_at_a_time_keep_the_first(
    form, model, tmp_path, unchecked, monkeypatch
):
    def another_was_faster(*_, **__):
        monkeypatch.setattr(FORMATS[form].writer(), "check", lambda *_: [])
        export(form, model, tmp_path, version=1)
        return []

    monkeypatch.setattr(FORMATS[form].writer(), "check", another_was_faster)
    with pytest.raises(OSError, match=r"another export made .* in the meantime\. Export again"):
        export(form, model, tmp_path, version=1)
    assert entries(tmp_path) == [place(form, 1)]


@both
@pytest.mark.parametrize(
    "error", [check.MismatchError("wrong"), OSError("the loader ended"), KeyboardInterrupt()]
)
def test_what_fails_its_check_does_not_appear(form, error, model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(FORMATS[form].writer(), "check", fail)
    out = tmp_path / "made" / "for it"
    with pytest.raises(type(error)) as raised:
        export(form, model, out)
    assert raised.value is error  # no failure to write
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def disk_full_after(limit: int):
    """No file may grow beyond `limit` bytes: the write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@both
def test_a_full_disk_leaves_the_older_version_and_nothing_else(form, model, tmp_path, monkeypatch):
    older = export(form, model, tmp_path)
    # What measures a request writes elsewhere, and before.
    monkeypatch.setattr("exports.exporting.limited", lambda _, limits, **options: (limits, None))
    text = (
        rf"A version is written whole or not at all; {tmp_path / place(form, 2)} could not be "
        r"written \(.*\)\. \d+ MiB are free there\. Make room, or choose a folder that you"
    )
    with disk_full_after(8000), pytest.raises(OSError, match=text):
        export(form, model, tmp_path)
    assert entries(tmp_path) == [place(form, 1)]
    {"saved_model": check.check_saved_model, "tflite": check.check_tflite}[form](model, older)


@both
def test_a_place_that_is_no_folder_is_named(form, model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"could not be written .*file is a file, where a folder"):
        export(form, model, tmp_path / "file")


@both
def test_a_killed_export_leaves_no_version(form, tmp_path):
    code = (
        "import os, sys\n"
        "import exports, zoo\n"
        f"from exports.formats import {form}\n"
        f"{form}.check = lambda *a, **k: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "model = zoo.build('unet', filters=2, depth=1)\n"
        f"exports.export(model, sys.argv[1], ['{form}'], size=(9, 12))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert run.returncode == -signal.SIGKILL
    left = entries(tmp_path)
    assert left
    assert all(pathlib.Path(name).name.startswith("writing-") for name in left)
    folder = (tmp_path / left[0]).parent
    with versions.creating(folder / "next") as unfinished:
        unfinished.touch()
    assert [path.name for path in folder.iterdir()] == ["next"]


@both
def test_the_answers_are_reported(form, model, tmp_path):
    lines = []
    export(form, model, tmp_path, report=lines.append)
    if form == "saved_model":  # first, what a request takes, from which its limits follow
        assert lines.pop(0).endswith(" of 216 pixels the model's class")
        assert lines.pop(0).startswith("A request takes ")
    assert place(form, 1) in lines[0]
    agree = [line for line in lines if "100.0000% of the pixels agree, " in line]
    served = 8 + bool(find_spec("openvino"))
    assert len(agree) == (served if form == "saved_model" else 1)


@both
def test_a_name_that_is_no_file_name_is_refused(form, model, tmp_path):
    named = keras.Model(model.input, model.output, name="my unet")
    text = "which holds letters, digits, and . _ - only; received 'my unet'. Give the model another"
    with pytest.raises(ValueError, match=re.escape(text)):
        export(form, named, tmp_path)


def test_weights_are_stored_once(tmp_path, unchecked):
    model = zoo.build("unet", filters=32, depth=2)
    path = export("saved_model", model, tmp_path, fast=False)
    weights = sum(array.nbytes for array in model.get_weights())
    files = sum(file.stat().st_size for file in (path / "variables").iterdir())
    assert weights <= files <= 1.01 * weights
    assert export("tflite", model, tmp_path).stat().st_size <= 1.03 * weights


def test_gradients_are_not_exported(tmp_path, unchecked):
    @tf.custom_gradient
    def scores(image):
        return image * 2, lambda upstream: upstream * 3

    path = export("saved_model", with_layer(scores), tmp_path)
    content = (path / "saved_model.pb").read_bytes()
    assert b"serving_default" in content
    assert b"grad_fn" not in content


def test_a_loader_does_not_miss_the_gradients(tmp_path, unchecked, caplog):
    @tf.custom_gradient
    def scores(image):
        return image * 2, lambda upstream: upstream * 3

    path = export("saved_model", with_layer(scores), tmp_path)
    caplog.clear()
    tf.saved_model.load(str(path))
    assert not caplog.records


def test_a_changed_graph_has_its_own_fingerprint(tmp_path, unchecked):
    grouped = keras.layers.Conv2D(4, 3, padding="same", groups=2)
    image = keras.Input((None, None, 2), name="image")
    path = export("saved_model", keras.Model(image, grouped(image), name="unet"), tmp_path)
    assert saved_model.COMPILED.encode() not in (path / "saved_model.pb").read_bytes()
    written = (path / "fingerprint.pb").read_bytes()
    (path / "fingerprint.pb").unlink()
    fingerprinting_utils.write_fingerprint(str(path))
    renewed = FingerprintDef.FromString((path / "fingerprint.pb").read_bytes())
    assert FingerprintDef.FromString(written).graph_def_program_hash == (
        renewed.graph_def_program_hash
    )
    checksum = FingerprintDef.FromString(written).saved_model_checksum
    assert checksum == renewed.saved_model_checksum


def test_a_full_folder_of_temporary_files_is_told(model, tmp_path, monkeypatch, unchecked):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(saved_model, "save", full)
    text = r"from the folder for temporary files; .* could not be written \(.*No space.*TMPDIR"
    with pytest.raises(OSError, match=re.compile(text, re.DOTALL)):
        export("tflite", model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_served_folder_can_be_read_by_others(model, tmp_path, unchecked):
    before = os.umask(0o022)
    try:
        path = export("saved_model", model, tmp_path / "out")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o755
    assert (path / "saved_model.pb").stat().st_mode & 0o777 == 0o644


def test_class_names_are_labels(model, tmp_path, unchecked):
    names = ["background", "cell", "border", "Zelle ü"]
    path = export("saved_model", model, tmp_path, spec=SPEC.replace(class_names=names))
    labels = (path / "assets" / "labels.txt").read_text(encoding="utf-8")
    assert labels == "background\ncell\nborder\nZelle ü\n"
    colours = (path / "assets" / "colormap.txt").read_text(encoding="utf-8").splitlines()
    assert colours == [
        "# class red green blue alpha name",
        *("0 0 0 0 255 background", "1 128 0 0 255 cell", "2 0 128 0 255 border"),
        "3 128 128 0 255 Zelle ü",
    ]
    with tensorflow_c.loaded(path) as ask:
        images = textures(1, (9, 12), 3)
        assert ask("serving_default", {"image": images})["class_map"].shape == (1, 9, 12)


def test_without_names_there_are_numbers_and_colours(model, tmp_path, unchecked):
    path = export("saved_model", model, tmp_path)
    labels = (path / "assets" / "labels.txt").read_text()
    assert labels == "class 0\nclass 1\nclass 2\nclass 3\n"
    lines = (path / "assets" / "colormap.txt").read_text().splitlines()[1:]
    table = np.array([line.split()[:5] for line in lines], int)
    np.testing.assert_array_equal(table[:, 0], range(4))
    np.testing.assert_array_equal(table[:, 1:4], zoo.pictures.voc_palette(4))
    assert [line.split(maxsplit=5)[5] for line in lines] == labels.splitlines()


def test_colours_of_the_spec_are_the_models(model, tmp_path, unchecked):
    colours = ((1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 255))
    path = export("saved_model", model, tmp_path, spec=SPEC.replace(colours=colours))
    lines = (path / "assets" / "colormap.txt").read_text().splitlines()
    assert lines[1:3] == ["0 1 2 3 255 class 0", "1 4 5 6 255 class 1"]


def test_a_spec_of_another_model_is_refused(model, tmp_path):
    text = "this one has 4 classes and 1 channels, 'unet' has 4 and 3. Pass the model's own Spec."
    with pytest.raises(ValueError, match=re.escape(text)):
        export(
            "saved_model", model, tmp_path, spec=SPEC.replace(options={"classes": 4, "channels": 1})
        )
    text = "this one has 5 classes and 3 channels, 'unet' has 4 and 3."
    with pytest.raises(ValueError, match=re.escape(text)):
        export("tflite", model, tmp_path, spec=SPEC.replace(options={"classes": 5}))
    assert not list(tmp_path.iterdir())


def test_a_models_own_spec_is_in_its_files(tmp_path, unchecked):
    model = zoo.build("unet", **TOYS["unet"].options)
    model.spec = model.spec.replace(class_names=("a", "b", "c", "ü"), background=2)
    paths = exports.export(model, tmp_path, ["saved_model", "tflite"], size=(9, 12))
    assert list(paths) == ["saved_model", "tflite"]
    for path in paths.values():
        assert exports.read_spec(path) == model.spec


def test_all_formats_have_one_number(model, tmp_path, unchecked):
    (tmp_path / "unet" / "4").mkdir(parents=True)
    (tmp_path / "unet-6-mediapipe.tflite").write_bytes(b"")
    (tmp_path / "unet-8-openvino").mkdir()
    (tmp_path / "unets-11.tflite").write_bytes(b"")
    paths = exports.export(model, tmp_path, ["tflite", "saved_model", "tflite"], size=(9, 12))
    assert paths == {"tflite": tmp_path / "unet-9.tflite", "saved_model": tmp_path / "unet" / "9"}
    other = exports.export(model, tmp_path, ["tflite"], size=(9, 12), version=4)
    assert other == {"tflite": tmp_path / "unet-4.tflite"}


@pytest.mark.parametrize("names", [[], ["coreml"], "tflite", ["tflite", "coreml"]])
def test_formats_are_those_of_the_table(names, model, tmp_path):
    text = (
        f"one or more of saved_model, tflite, mediapipe, onnx, openvino; received {names!r}. Pass"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.export(model, tmp_path, names)


@pytest.mark.parametrize("options", [{"quantize": "float16"}, {"max_disagreement": 0.1}])
def test_quantization_is_for_tflite_files(options, model, tmp_path):
    options = {"quantize": "dynamic"} | options
    text = (
        "are for TFLite files, and integer for openvino too; received {!r} and the formats "
        "saved_model, onnx. Add the format tflite."
    ).format(options["quantize"])
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.export(model, tmp_path, ["saved_model", "onnx"], **options)


def test_every_format_of_the_table_has_a_writer():
    for form in FORMATS.values():
        assert callable(form.writer().write)
        assert callable(form.writer().check)
        assert form.place.format(name="unet").count("{}") == 1


def test_too_many_classes_are_told_before_another_format_is_written(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    many = keras.Model(image, keras.layers.Conv2D(300, 1)(image), name="many")
    with pytest.raises(ValueError, match="at most 256 classes; 'many' has 300"):
        exports.export(many, tmp_path, ["tflite", "saved_model"], size=(9, 12))
    assert not list(tmp_path.iterdir())


def operators(path: pathlib.Path) -> tuple[list[int], list[str]]:
    """The codes of the built-in operations of a TFLite file, and the names of the custom ones."""
    content = bytearray(path.read_bytes())
    file = schema_py_generated.ModelT.InitFromPackedBuf(content, 0)
    codes = [code.builtinCode for code in file.operatorCodes]
    return codes, [code.customCode for code in file.operatorCodes if code.customCode]


def test_a_tflite_file_holds_builtin_operations_and_one_signature(model, tmp_path):
    path = export("tflite", model, tmp_path)
    codes, custom = operators(path)
    assert schema_py_generated.BuiltinOperator.ARG_MAX in codes
    assert schema_py_generated.BuiltinOperator.CUSTOM not in codes
    assert custom == []
    interpreter = litert.interpreter()(model_path=str(path))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["class_map"]}
    }
    runner = interpreter.get_signature_runner()
    (takes,) = runner.get_input_details().values()
    (gives,) = runner.get_output_details().values()
    assert (takes["shape"].tolist(), takes["dtype"]) == ([1, 9, 12, 3], np.uint8)
    assert (gives["shape"].tolist(), gives["dtype"]) == ([1, 9, 12], np.int32)


def with_layer(call) -> keras.Model:
    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Lambda(call, output_shape=lambda shape: shape)(image)
    return keras.Model(image, scores, name="special")


def test_an_operation_that_tflite_lacks_is_named(tmp_path):
    def odd(image):
        return tf.cast(tf.bitwise.bitwise_and(tf.cast(image, tf.int32), 255), tf.float32)

    text = r"built-in operations only, so that .*; 'special' needs BitwiseAnd\. Replace the layer"
    with pytest.raises(ValueError, match=text):
        export("tflite", with_layer(odd), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(9,), (9, 0), (9, 12.0), (9, 12, 3)])
def test_a_size_is_a_height_and_a_width(size, model, tmp_path):
    text = f"size is a height and a width in pixels, each at least 1; received {size!r}. Pass size="
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.export(model, tmp_path, ["tflite"], size=size)


def test_without_litert_the_error_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    text = 'is not installed. Install it: pip install "segmentation-zoo[litert]".'
    with pytest.raises(ImportError, match=re.escape(text)):
        export("tflite", model, tmp_path)
    assert not list(tmp_path.iterdir())
