"""`python -m exports`: what it writes and says, and what it answers to a wrong request."""

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

import zoo
from exports import check
from exports.__main__ import main
from exports.check import loaders
from exports.check.__main__ import main as check_main
from exports.serving import export_json
from tests.support.toys import TOYS, build_toy, toy_images
from zoo.class_names import CLASS_NAMES

ROOT = pathlib.Path(__file__).parents[2]
OPTIONS = json.dumps(TOYS["unet"].options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "toy.weights.h5"
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
    arguments = ["unet", "--weights", weights, "--out", str(tmp_path), "--options", OPTIONS]
    arguments += ["--format", "saved_model", "tflite", "--size", "9", "12"]
    arguments += ["--class-names", "sky", "sea", "sand", "sun"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for path in (tmp_path / "unet" / "5", tmp_path / "unet-5.tflite"):
        assert path.exists()
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
    monkeypatch.setattr(check, "saved_model", lambda *_, images, **__: seen.append(images) or [])
    monkeypatch.setattr(check, "tflite", lambda *_, images, **__: seen.append(images) or [])
    monkeypatch.setattr(export_json, "one_request", lambda *_: None)
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
    arguments = ["unet", "--weights", weights, "--options", OPTIONS, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--format", "saved_model", *words.split()]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_class_names_by_the_name_of_a_data_set(weights, tmp_path, capsys, unchecked):
    arguments = ["unet", "--weights", weights, "--options", OPTIONS, "--out", str(tmp_path / "o")]
    assert main([*arguments, "--class-names", "sift_flow_geometric"]) == 2
    said = capsys.readouterr().err
    assert "Each of the 4 classes has one name; received 3 names." in said
    assert main([*arguments, "--class-names", "vox"]) == 2
    assert "received 1 names." in capsys.readouterr().err

    voc = zoo.build("unet", **TOYS["unet"].options | {"classes": 21})
    voc.save_weights(tmp_path / "voc.weights.h5")
    arguments[2] = str(tmp_path / "voc.weights.h5")
    assert main([*arguments, "--classes", "21", "--class-names", "voc"]) == 0
    labels = (tmp_path / "o" / "unet" / "1" / "assets" / "labels.txt").read_text().splitlines()
    assert labels == list(CLASS_NAMES["voc"])


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_to_check_with(mode, weights, tmp_path, unchecked):
    picture = Image.fromarray(toy_images("unet")[0].astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "picture.png")
    arguments = ["unet", "--weights", weights, "--out", str(tmp_path / "o"), "--options", OPTIONS]
    arguments += ["--format", "tflite", "saved_model", "--size", "9", "12"]
    assert main([*arguments, "--image", str(tmp_path / "picture.png")]) == 0
    np.testing.assert_array_equal(unchecked[0][0], np.asarray(picture.convert("RGB")))
    assert [images.shape for images in unchecked] == [(1, 33, 50, 3), (1, 9, 12, 3)]


def test_a_picture_that_is_none(weights, tmp_path, refused):
    arguments = ["unet", "--weights", weights, "--out", str(tmp_path / "o"), "--options", OPTIONS]
    for file in (weights, "missing.png"):
        status, said = refused(*arguments, "--image", file)
        assert status == 2
        assert f"A picture is a file such as a PNG or a JPEG; {file} cannot be read (" in said
    assert not list(tmp_path.iterdir())


def test_as_a_program(weights, tmp_path):
    command = [sys.executable, "-m", "exports", "unet", "--weights", weights, "--out", "served"]
    run = subprocess.run(
        [*command, "--options", OPTIONS],
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
        (["unet", "--out", "o"], "the following arguments are required: --weights"),
        (["unet", "--weights", "w"], "the following arguments are required: --out"),
        (
            ["unet", "--weights", "w", "--out", "o", "--dtype", "int8"],
            "argument --dtype: invalid choice: 'int8' (choose from",
        ),
        (
            ["unett", "--weights", "w", "--out", "o"],
            "'unett' is none of them. Did you mean 'unet'?",
        ),
        (
            ["unet", "--weights", "w", "--out", "o", "--options", "filters=4"],
            "--options is a JSON object of options and values; received 'filters=4'. Pass, for",
        ),
        (
            ["unet", "--weights", "w", "--out", "o", "--options", "[4]"],
            "--options is a JSON object of options and values; received '[4]'. Pass, for example",
        ),
        (
            ["unet", "--weights", "w", "--out", "o", "--options", '{"filter": 4}'],
            "unet has no option 'filter'. Its options are classes=2",
        ),
        (["unet", "--weights", "w", "--out", "o", "--classes", "1"], "classes is a whole number"),
        (["unet", "--weights", "not.weights.h5", "--out", "o"], "not.weights.h5"),
    ],
)
def test_a_wrong_request_is_answered_without_a_traceback(
    arguments, text, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, said = refused(*arguments)
    assert status == 2
    assert text in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_weights_of_another_class_count_and_an_existing_version(weights, tmp_path, refused):
    arguments = ["unet", "--weights", weights, "--out", str(tmp_path), "--options", OPTIONS]
    status, said = refused(*arguments, "--classes", "3")
    assert status == 2
    assert said.startswith("exports: ")
    (tmp_path / "unet" / "2").mkdir(parents=True)
    status, said = refused(*arguments, "--version", "2")
    assert status == 2
    assert "never overwritten" in said
    assert "Pass version=3, the next free one." in said


@pytest.fixture(scope="module")
def version(weights, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("out")
    options = ["--options", OPTIONS, "--max-pixels", "9000", "--max-batch", "1"]
    assert main(["unet", "--weights", weights, "--out", str(out), *options]) == 0
    return out / "unet" / "1"


def test_what_the_command_exports_says_how(version, weights):
    recorded = json.loads((version / "export.json").read_text())
    assert recorded["options"] == TOYS["unet"].options
    assert recorded["weights"]["file"]["name"] == pathlib.Path(weights).name
    assert recorded["limits"] == {"channels": 3, "max_pixels": 9000, "max_batch": 1}
    assert recorded["request"]["image"] == [1, 94, 94, 3]


def test_a_version_in_place_is_checked_with_its_weights(version, weights, tmp_path, capsys):
    Image.fromarray(toy_images("unet")[0].astype(np.uint8)).save(tmp_path / "picture.png")
    picture = ["--image", str(tmp_path / "picture.png")]
    assert check_main([str(version), "--weights", weights, *picture]) == 0
    said = capsys.readouterr().out
    assert "] Its weights are those that were exported\n" in said
    assert said.count(" 100.0000% of the pixels agree, classes that occur: 4") >= 8
    assert "] C++: 4 warm-up requests answered\n" in said
    assert re.search(r"\] OpenVINO(: not checked|, serving_default: 100)", said)

    other = build_toy("unet")
    other.get_layer("conv_u0d-score").bias.assign_add([0.5, 0, 0, 0])
    other.save_weights(tmp_path / "other.weights.h5")
    assert check_main([str(version), "--weights", str(tmp_path / "other.weights.h5")]) == 1
    said = capsys.readouterr()
    assert "] Its weights are NOT those that were exported\n" in said.out
    assert "exports.check: Python, serving_default: " in said.err


def test_without_weights_the_loaders_are_held_to_each_other(version, capsys, monkeypatch):
    assert check_main([str(version)]) == 0
    assert capsys.readouterr().out.count(" 100.0000% of the pixels agree") >= 8

    @contextlib.contextmanager
    def lying(directory):
        with loaders.python(directory) as ask:
            yield lambda *asked: {key: np.flip(value) for key, value in ask(*asked).items()}

    monkeypatch.setattr(loaders, "compiled", lying)
    assert check_main([str(version)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("exports.check: C++, serving_default: ")
    assert said.endswith(" Pass --weights to hold each loader to the model.\n")


def test_a_version_that_is_damaged_or_none(version, weights, tmp_path, capsys):
    copy = tmp_path / "1"
    shutil.copytree(version, copy)
    assert check_main([str(tmp_path), "--weights", weights]) == 2
    assert f"export.json, written with it; that of {tmp_path} cannot be" in capsys.readouterr().err

    recorded = json.loads((copy / "export.json").read_text())
    export_json.write(copy, recorded | {"options": None})
    assert check_main([str(copy), "--weights", weights]) == 2
    assert f"recorded; {copy} has none. Check it without --weights." in capsys.readouterr().err
    export_json.write(copy, {"model": "unet"})
    assert check_main([str(copy)]) == 2
    assert "it lacks what an export writes" in capsys.readouterr().err
    export_json.write(copy, recorded)
    assert check_main([str(copy), "--image", weights]) == 2
    assert f"{weights} cannot be read (" in capsys.readouterr().err

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

    monkeypatch.setattr(check, "saved_model", fail)
    arguments = ["unet", "--weights", weights, "--out", str(tmp_path), "--options", OPTIONS]
    status, said = refused(*arguments)
    assert (status, said.strip()) == (
        1,
        "exports: Python, scores: the probabilities are not the model's",
    )
    assert not list(tmp_path.iterdir())
