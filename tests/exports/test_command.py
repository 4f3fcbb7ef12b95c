"""`zoo export` and `zoo check`: what they write and say, and how they refuse a wrong request."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import exports
import zoo
from exports import check, exporting
from exports.check import saved_model as loaders
from exports.command import check as check_main
from exports.command import export as main
from exports.formats import FORMATS, saved_model, tflite
from exports.graph import MAX_BYTES
from exports.serving import export_json
from tests.support.toys import TOYS, build_toy, toy_images
from zoo.class_names import CLASS_NAMES

ROOT = pathlib.Path(__file__).parents[2]
OPTIONS = json.dumps(TOYS["unet"].options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """Weights that say what they are."""
    path = tmp_path_factory.mktemp("weights") / "toy.weights.h5"
    return str(zoo.weights.save(build_toy("unet"), path))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    """Weights as Keras writes them, which do not."""
    path = tmp_path_factory.mktemp("weights") / "plain.weights.h5"
    build_toy("unet").save_weights(path)
    return str(path)


@pytest.fixture
def refused(capsys):
    """Runs the command, which must fail, and returns its exit status and message."""

    def run(*arguments: str) -> tuple[int, str]:
        try:
            status = main(list(arguments))
        except SystemExit as stopped:
            status = stopped.code
        return status, capsys.readouterr().err

    return run


def test_both_files_under_one_version(weights, tmp_path, capsys):
    (tmp_path / "unet" / "4").mkdir(parents=True)
    arguments = [weights, "--out", str(tmp_path)]
    arguments += ["--format", "saved_model", "tflite", "--size", "9", "12"]
    arguments += ["--class-names", "sky", "sea", "sand", "sun"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for path in (tmp_path / "unet" / "5", tmp_path / "unet-5.tflite"):
        assert exports.read_spec(path).class_names == ("sky", "sea", "sand", "sun")
        assert re.search(rf" MB  {path}$", said, re.MULTILINE)
    assert f"] Building unet with the weights of {weights}" in said
    assert said.count("100.0000% of the pixels agree") == 9 + bool(find_spec("openvino"))
    assert f"Next: serve {tmp_path / 'unet'} with TensorFlow Serving (--model_name=unet" in said

    images = toy_images("unet")
    served = tf.saved_model.load(tmp_path / "unet" / "5").signatures["serving_default"]
    class_map = served(image=tf.constant(images.astype(np.uint8)))["class_map"]
    np.testing.assert_array_equal(class_map, np.asarray(build_toy("unet")(images)).argmax(-1))


@pytest.fixture
def unchecked(monkeypatch) -> list[np.ndarray | None]:
    """For tests of what is written; holds the images with which it would have been checked."""
    seen = []
    check_saved_model, check_tflite = "check_saved_model", "check_tflite"
    for module, name in ((saved_model, check_saved_model), (tflite, check_tflite)):
        monkeypatch.setattr(module, name, lambda *_, images, **__: seen.append(images) or [])
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)
    monkeypatch.setattr(exporting, "limited", lambda model, limits, **_: (limits, None))
    return seen


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("tflite --quantize integer", "takes its ranges from representative images; received none"),
        ("tflite --size 0 0", "each at least 1; received (0, 0)"),
        ("onnx --size 9 -1", "each at least 1; received (9, -1)"),
        ("mediapipe", "takes RGB images uint8 of a fixed size"),
        ("mediapipe --size 9 9 --dtype float32", "received float32"),
    ],
)
def test_nothing_is_written_where_one_format_cannot_be(words, text, weights, tmp_path, capsys):
    arguments = [weights, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--format", "saved_model", *words.split()]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_class_names_by_the_name_of_a_data_set(weights, tmp_path, capsys, unchecked):
    arguments = [weights, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--class-names", "sift_flow_geometric"]) == 2
    said = capsys.readouterr().err
    assert "Each of the 4 classes has one name; received 3 names." in said
    assert main([*arguments, "--class-names", "vox"]) == 2
    assert "received 1 names." in capsys.readouterr().err

    voc = zoo.build("unet", **TOYS["unet"].options | {"classes": 21})
    arguments[0] = str(zoo.weights.save(voc, tmp_path / "voc.weights.h5"))
    assert main([*arguments, "--class-names", "voc"]) == 0
    labels = (tmp_path / "o" / "unet" / "1" / "assets" / "labels.txt").read_text().splitlines()
    assert labels == list(CLASS_NAMES["voc"])
    assert exports.read_spec(tmp_path / "o" / "unet" / "1").background == 0


def test_a_file_says_its_class_names_and_nothing_else_is_taken(tmp_path, capsys, unchecked):
    model = build_toy("unet")
    spec = model.spec.replace(class_names=("sky", "sea", "sand", "sun"), background=2)
    file = str(zoo.weights.save(model, tmp_path / "named.weights.h5", spec=spec))
    arguments = [file, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--class-names", "a", "b", "c", "d"]) == 2
    text = f"{file} holds the classes sky, sea, sand, sun; received a, b, c, d."
    assert text in capsys.readouterr().err
    same = ["--class-names", *spec.class_names]
    assert main([*arguments, *same]) == 0
    assert exports.read_spec(tmp_path / "o" / "unet" / "1") == spec


def test_the_class_called_background_is_the_background(weights, tmp_path, unchecked):
    arguments = [weights, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--class-names", "sky", "sea", "background", "sun"]) == 0
    assert exports.read_spec(tmp_path / "o" / "unet" / "1").background == 2


def test_a_file_that_does_not_say_its_model_is_told_it(plain, tmp_path, capsys, unchecked):
    arguments = [plain, "--out", str(tmp_path / "o")]
    assert main(arguments) == 2
    assert f"{plain} does not say which model its weights are of." in capsys.readouterr().err
    named = ["--class-names", "sky", "sea", "sand", "sun"]
    assert main([*arguments, "--model", "unet", "--options", OPTIONS, *named]) == 0
    spec = exports.read_spec(tmp_path / "o" / "unet" / "1")
    assert spec == build_toy("unet").spec.replace(class_names=("sky", "sea", "sand", "sun"))


def test_what_contradicts_a_file_is_refused(weights, tmp_path, capsys):
    arguments = [weights, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--model", "fcn8s"]) == 2
    assert f"{weights} holds the weights of unet; received model 'fcn8s'." in (
        capsys.readouterr().err
    )
    assert main([*arguments, "--options", '{"filters": 8}']) == 2
    assert f"{weights} was saved with filters=4; received filters=8." in capsys.readouterr().err


def test_wrong_requests_are_told_without_tensorflow(weights, plain, tmp_path):
    """Neither TensorFlow nor Keras is imported."""
    cases = [
        [weights, "--size", "0", "9"],
        [weights, "--format", "tflite", "--quantize", "integer"],
        [weights, "--format", "mediapipe"],
        [weights, "--class-names", "a"],
        [weights, "--model", "fcn8s"],
        [weights, "--max-batch", "0"],
        [weights, "--version", "0"],
        [weights, "--image", str(tmp_path / "missing.png")],
        [weights, "--format", "tflite", "--representative", str(tmp_path)],
        [plain],
        [str(tmp_path / "missing.weights.h5")],
        [str(tmp_path)],
    ]
    code = (
        "import json, sys\n"
        "from zoo.__main__ import main\n"
        "for case in json.loads(sys.argv[1]):\n"
        "    assert main(['export', *case, '--out', 'out']) == 2, case\n"
        "assert main(['check', 'nowhere']) == 2\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(cases)],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
    lines = run.stderr.splitlines()
    hints = [line for line in lines if line == "Run zoo export --help for its options."]
    assert len(hints) == 2  # after what argparse refuses
    lines = [line for line in lines if line not in hints]
    assert len(lines) == len(cases) + 1
    assert all(line.startswith("zoo export: ") for line in lines[:-1])
    assert not [line for line in lines if "tensorflow" in line.lower() or "keras" in line]
    assert not list(tmp_path.iterdir())


def test_a_stopped_run_is_exported_from_its_checkpoint(tmp_path, capsys, unchecked, weights):
    """A workdir says what its model is; which of several checkpoints was read is not recorded."""
    model, workdir = build_toy("unet"), tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    named = {"name": "mine", "model": "unet", "data": "folder"}
    content = {"recipe": named, "spec": model.spec.to_dict(), "weights": None}
    (workdir / "recipe.json").write_text(json.dumps(content))
    shutil.copy(weights, workdir / "best.weights.h5")
    assert main([str(workdir), "--checkpoint", "best", "--out", str(tmp_path / "o")]) == 0
    recorded = json.loads((tmp_path / "o" / "unet" / "1" / "export.json").read_text())
    assert recorded["weights"]["file"]["name"] == "best.weights.h5"
    assert main([weights, "--checkpoint", "best", "--out", str(tmp_path / "o")]) == 2
    assert "A checkpoint belongs to the workdir of a run" in capsys.readouterr().err


def test_control_characters_are_not_printed(weights, tmp_path, capsys, unchecked):
    path = tmp_path / "a\x1b[2Jb.weights.h5"
    shutil.copy(weights, path)
    assert main([str(path), "--out", str(tmp_path / "o\x1b[2Jo")]) == 0
    assert main([str(path) + "x", "--out", str(tmp_path / "o")]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"a\x1b[2Jb.weights.h5" in said.out


def test_python_m_exports_and_the_help_name_every_format(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "exports", "--help"],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0
    assert run.stdout.startswith("usage: zoo export")
    for name, form in FORMATS.items():
        assert re.search(rf"^  {name} +{re.escape(form.summary)}$", run.stdout, re.MULTILINE)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_to_check_with(mode, weights, tmp_path, unchecked):
    picture = Image.fromarray(toy_images("unet")[0].astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "picture.png")
    arguments = [weights, "--out", str(tmp_path / "o")]
    arguments += ["--format", "saved_model", "tflite", "--size", "9", "12"]
    assert main([*arguments, "--image", str(tmp_path / "picture.png")]) == 0
    np.testing.assert_array_equal(unchecked[0][0], np.asarray(picture.convert("RGB")))
    assert [images.shape for images in unchecked] == [(1, 33, 50, 3), (1, 9, 12, 3)]


def test_a_picture_that_is_none(weights, tmp_path, refused):
    arguments = [weights, "--out", str(tmp_path / "o")]
    for file, why in (
        (weights, "this is a HDF5 file, whatever its name says. Convert it to PNG or JPEG."),
        ("missing.png", "there is no such file."),
    ):
        status, said = refused(*arguments, "--image", file)
        assert status == 2
        assert f"{file}: {why}" in said
    assert not list(tmp_path.iterdir())


def test_as_a_program(weights, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "exports", weights, "--out", "served"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, "Traceback" in run.stderr) == (0, False)
    assert (tmp_path / "served" / "unet" / "1" / "saved_model.pb").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["w"], "the following arguments are required: --out"),
        (["--out", "o"], "the following arguments are required: PATH"),
        (
            ["w", "--out", "o", "--dtype", "int8"],
            "argument --dtype: invalid choice: 'int8' (choose from",
        ),
        (
            ["PLAIN", "--out", "o", "--model", "unett"],
            "no model is called 'unett'. Did you mean 'unet'?",
        ),
        (
            ["w", "--out", "o", "--options", "filters=4"],
            "argument --options: takes a JSON object; received 'filters=4'. Pass, for example",
        ),
        (
            ["w", "--out", "o", "--options", "[4]"],
            "argument --options: takes a JSON object; received '[4]'. Pass, for example",
        ),
        (
            ["PLAIN", "--out", "o", "--model", "unet", "--options", '{"filter": 4}'],
            "unet has no option 'filter'. Its options are classes=2",
        ),
        (
            ["PLAIN", "--out", "o", "--model", "unet", "--options", '{"classes": 1}'],
            "options holds classes, from 2 to 1000; received 1.",
        ),
        (["not.weights.h5", "--out", "o"], "there is none at not.weights.h5"),
    ],
)
def test_a_wrong_request_is_answered_without_a_traceback(
    arguments, text, refused, tmp_path, monkeypatch, plain
):
    monkeypatch.chdir(tmp_path)
    status, said = refused(*[plain if word == "PLAIN" else word for word in arguments])
    assert status == 2
    assert text in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_weights_of_another_class_count_and_an_existing_version(weights, tmp_path, refused):
    arguments = [weights, "--out", str(tmp_path)]
    status, said = refused(*arguments, "--options", '{"classes": 3}')
    assert status == 2
    assert said.startswith("zoo export: ")
    (tmp_path / "unet" / "2").mkdir(parents=True)
    status, said = refused(*arguments, "--version", "2")
    assert status == 2
    assert "never overwritten" in said
    assert "Pass version=3, the next free one." in said


@pytest.fixture(scope="module")
def version(weights, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("out")
    options = ["--max-pixels", "9000", "--max-batch", "1"]
    assert main([weights, "--out", str(out), *options]) == 0
    return out / "unet" / "1"


def test_what_the_command_exports_says_how(version, weights):
    recorded = json.loads((version / "export.json").read_text())
    assert recorded["spec"] == build_toy("unet").spec.to_dict()
    assert recorded["weights"]["file"]["name"] == pathlib.Path(weights).name
    limits = {"channels": 3, "max_pixels": 9000, "max_batch": 1, "max_request_pixels": 9000}
    assert recorded["limits"] == limits | {"max_bytes": MAX_BYTES}
    assert recorded["memory"]["bytes"] == 4 * 10**9
    assert 20 < recorded["memory"]["per_pixel"] < 2000
    assert recorded["request"]["image"] == [1, 94, 94, 3]


def test_a_version_in_place_is_checked_with_its_weights(version, weights, plain, tmp_path, capsys):
    Image.fromarray(toy_images("unet")[0].astype(np.uint8)).save(tmp_path / "picture.png")
    picture = ["--image", str(tmp_path / "picture.png")]
    assert check_main([str(version), "--weights", weights, *picture]) == 0
    assert check_main([str(version), "--weights", plain]) == 0
    said = capsys.readouterr().out
    assert "] Its weights are those that were exported\n" in said
    assert said.count(" 100.0000% of the pixels agree, classes that occur: 4") >= 8
    assert "] C++: 5 warm-up requests answered\n" in said
    assert re.search(r"\] OpenVINO(: not checked|, serving_default: 100)", said)

    other = build_toy("unet")
    other.get_layer("conv_u0d-score").bias.assign_add([0.5, 0, 0, 0])
    file = zoo.weights.save(other, tmp_path / "other.weights.h5")
    assert check_main([str(version), "--weights", str(file)]) == 1
    said = capsys.readouterr()
    assert "] Its weights are NOT those that were exported\n" in said.out
    assert "zoo check: Python, serving_default: " in said.err
    narrow = zoo.build("unet", **TOYS["unet"].options | {"filters": 2})
    file = zoo.weights.save(narrow, tmp_path / "narrow.weights.h5")
    assert check_main([str(version), "--weights", str(file)]) == 2
    assert "was saved with filters=2; received filters=4." in capsys.readouterr().err


def test_without_weights_the_loaders_are_held_to_each_other(version, capsys, monkeypatch):
    assert check_main([str(version)]) == 0
    assert capsys.readouterr().out.count(" 100.0000% of the pixels agree") >= 8

    @contextlib.contextmanager
    def lying(directory):
        with loaders.LOADERS["Python"](directory) as ask:
            yield lambda *asked: {key: np.flip(value) for key, value in ask(*asked).items()}

    monkeypatch.setitem(loaders.LOADERS, "C++", lying)
    assert check_main([str(version)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("zoo check: C++, serving_default: ")
    assert said.endswith(" Pass --weights to compare each loader with the model.\n")


def test_a_version_that_is_damaged_or_none(version, weights, tmp_path, capsys):
    copy = tmp_path / "1"
    shutil.copytree(version, copy)
    assert check_main([str(tmp_path), "--weights", weights]) == 2
    assert f"export.json, written with it; that of {tmp_path} cannot be" in capsys.readouterr().err

    recorded = json.loads((copy / "export.json").read_text())

    def write(content: dict) -> None:
        (copy / "export.json").write_text(export_json.text(content))

    write(recorded | {"format": "onnx"})
    assert check_main([str(copy)]) == 2
    said = capsys.readouterr().err
    assert f"takes the folder of a SavedModel; {copy} is an export of the format onnx" in said
    assert check_main([str(copy / "saved_model.pb")]) == 2
    assert "such as served/unet/1; there is none at" in capsys.readouterr().err
    write({"model": "unet"})
    assert check_main([str(copy)]) == 2
    assert "lacks what an export writes" in capsys.readouterr().err
    for field in ("limits", "files", "weights"):
        write(recorded | {field: [1]})
        assert check_main([str(copy)]) == 2
        assert "lacks what an export writes" in capsys.readouterr().err
    older = {name: recorded["limits"][name] for name in ("channels", "max_pixels", "max_batch")}
    write(recorded | {"limits": older})
    assert export_json.read(copy)["limits"] == older
    write(recorded | {"limits": {"pixels": 3}})
    assert check_main([str(copy)]) == 2
    assert "lacks what an export writes" in capsys.readouterr().err
    write(recorded)
    assert check_main([str(copy), "--image", weights]) == 2
    assert f"{weights}: this is a HDF5 file, whatever its name says" in capsys.readouterr().err

    for files in ({}, {name: 0 for name in ["../1/saved_model.pb"]}):
        write(recorded | {"files": files})
        assert check_main([str(copy)]) == 1
        assert "A version has the files that were exported; of " in capsys.readouterr().err
    write(recorded)
    (copy / "assets" / "more.txt").write_text("more")
    assert check_main([str(copy)]) == 1
    text = "not assets/more.txt: none bytes are recorded, 4 are there. Copy it again."
    assert text in capsys.readouterr().err
    (copy / "assets" / "more.txt").rename(copy / "assets" / ".DS_Store")
    with (copy / "saved_model.pb").open("ab") as file:
        file.write(b"x")
    assert check_main([str(copy)]) == 1
    size = recorded["files"]["saved_model.pb"]
    text = f"not saved_model.pb: {size} bytes are recorded, {size + 1} are there. Copy it again."
    assert text in capsys.readouterr().err
    (copy / "saved_model.pb").unlink()
    assert check_main([str(copy)]) == 1
    assert "bytes are recorded, none are there." in capsys.readouterr().err


def test_a_file_that_answers_wrongly_is_status_1(weights, tmp_path, refused, monkeypatch):
    def fail(*_, **__):
        raise check.MismatchError("Python, scores: the probabilities are not the model's")

    monkeypatch.setattr(saved_model, "check", fail)
    status, said = refused(weights, "--out", str(tmp_path))
    assert (status, said.strip()) == (
        1,
        "zoo export: Python, scores: the probabilities are not the model's",
    )
    assert not list(tmp_path.iterdir())
