"""The check of exported files: it must find what is wrong, and say when it proves little."""

import contextlib
import re
import shutil
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports
from exports import check
from exports.check import saved_model
from exports.check.reference import Reference
from exports.command import check as main
from exports.formats.saved_model import save
from exports.graph.limits import Limits
from exports.graph.signatures import signatures
from exports.runtimes import INVALID_ARGUMENT, StatusError, process, tensorflow_c, tensorflow_c_api
from tests.support import specs
from tests.support.toys import build_toy, toy_images

IMAGES = toy_images("unet").astype(np.uint8)


@pytest.fixture(scope="module")
def files(unet_files):
    return unet_files


def changed(amount: float) -> keras.Model:
    model = build_toy("unet")
    bias = model.get_layer("conv_u0d-score").bias
    bias.assign_add([amount, 0, 0, 0])
    return model


CHECK = {"saved_model": check.check_saved_model, "tflite": check.check_tflite}
both = pytest.mark.parametrize("form", sorted(CHECK))


def checked(form: str, *arguments, **options) -> list[check.Finding]:
    """A SavedModel of `files` is checked with the class names that it has."""
    options |= {"spec": specs.UNET} if form == "saved_model" else {}
    return CHECK[form](*arguments, **options)


@both
@pytest.mark.parametrize("images", [None, IMAGES])
def test_the_models_own_file_agrees(form, images, files):
    found = checked(form, build_toy("unet"), files[form], images=images)
    found = [agreement for agreement in found if isinstance(agreement, check.Agreement)]
    asked = [(agreement.loader, agreement.signature) for agreement in found]
    every = ["serving_default", "class_map_from_bytes", "mask_png", "scores"]
    served = [(loader, signature) for loader in ("Python", "C++") for signature in every]
    served += [("OpenVINO", "serving_default")] * bool(find_spec("openvino"))
    assert asked == ([("LiteRT", "class_map")] if form == "tflite" else served)
    assert {(agreement.agreement, agreement.ties) for agreement in found} == {(1.0, 0)}
    assert {agreement.classes for agreement in found} <= {2, 3, 4}


@both
def test_the_file_of_other_weights_does_not(form, files):
    text = r"[\d.]+% of the pixels have the model's class. \d+ are off by more than rounding"
    with pytest.raises(check.MismatchError, match=text):
        checked(form, changed(0.5), files[form], images=IMAGES)


@pytest.fixture(scope="module")
def honest(files):
    with saved_model.LOADERS["Python"](files["saved_model"]) as ask:
        yield ask


def answering(ask) -> Callable:
    return lambda directory: contextlib.nullcontext(ask)


@pytest.mark.parametrize(
    ("loader", "signature", "output", "text"),
    [
        ("Python", "serving_default", "class_map", "Python, serving_default: [0-9.]+% of the"),
        ("C++", "serving_default", "class_map", r"C\+\+, serving_default: [0-9.]+% of the"),
        ("C++", "class_map_from_bytes", "class_map", r"C\+\+, class_map_from_bytes: [0-9.]+%"),
        ("C++", "mask_png", "valid", r"C\+\+, mask_png: valid is \[1, 0, 1, 1\]"),
        ("C++", "scores", "probabilities", r"C\+\+, scores: the probabilities are not the mo"),
        ("Python", "class_names", "name", "Python, class_names: the classes are not those of the"),
        ("C++", "class_names", "is_background", r"C\+\+, class_names: the classes are not those"),
        ("C++", "class_names", "colour", r"C\+\+, class_names: the classes are not those of the"),
        ("OpenVINO", "serving_default", "class_map", "OpenVINO, serving_default: [0-9.]+% of the"),
    ],
)
def test_a_loader_that_answers_wrongly_is_named(
    loader, signature, output, text, files, honest, monkeypatch
):
    def lie(asked, inputs):
        answer = honest(asked, inputs)
        if asked == signature:
            answer[output] = np.flip(answer[output])
        return answer

    for name in saved_model.LOADERS:
        asked = answering(lie if name == loader else honest)
        monkeypatch.setitem(saved_model.LOADERS, name, asked)
    with pytest.raises(check.MismatchError, match=text):
        checked("saved_model", build_toy("unet"), files["saved_model"])


def test_a_loader_that_is_not_there_is_not_checked(files, honest, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    for name in ("Python", "C++"):
        monkeypatch.setitem(saved_model.LOADERS, name, answering(honest))
    lines = []
    *_, last = checked("saved_model", build_toy("unet"), files["saved_model"], report=lines.append)
    reason = 'OpenVINO is not installed. Install it: pip install "segmentation-zoo[openvino]".'
    assert last == check.NotChecked("OpenVINO", reason)
    assert lines[-1] == f"OpenVINO: not checked: {reason}"


def test_without_the_switch_for_xla_the_rest_is_checked(files, honest, monkeypatch):
    monkeypatch.setattr(tensorflow_c_api, "_DISABLE_XLA", "renamed")
    for name in ("Python", "C++", "OpenVINO"):
        monkeypatch.setitem(saved_model.LOADERS, name, answering(honest))
    found = checked("saved_model", build_toy("unet"), files["saved_model"])
    (untold,) = [one for one in found if isinstance(one, check.NotChecked)]
    assert untold.loader == "C++"
    assert "the library of this TensorFlow has no such switch. Install" in untold.not_checked
    assert "C++" in {one.loader for one in found if isinstance(one, check.Agreement)}


@pytest.mark.parametrize("fails", ["at loading", "at running"])
def test_a_graph_that_openvino_cannot_run_is_not_checked(fails, files, honest, monkeypatch):
    def fail(*_):
        raise RuntimeError("Exception from conversion.cpp:72:\nno such operation: Hue\n")

    class Core:
        def compile_model(self, *_):
            return fail() if fails == "at loading" else fail

    monkeypatch.setitem(sys.modules, "openvino", types.SimpleNamespace(Core=Core))
    for name in ("Python", "C++"):
        monkeypatch.setitem(saved_model.LOADERS, name, answering(honest))
    *_, last = checked("saved_model", build_toy("unet"), files["saved_model"])
    reason = "OpenVINO cannot run the graph (no such operation: Hue)"
    assert last == check.NotChecked("OpenVINO", reason)


def test_another_engine_is_not_held_to_what_rounding_decides(files, honest, monkeypatch):
    def lie(asked, inputs):
        return {key: np.flip(value) for key, value in honest(asked, inputs).items()}

    for name in saved_model.LOADERS:
        asked = answering(lie if name == "OpenVINO" else honest)
        monkeypatch.setitem(saved_model.LOADERS, name, asked)
    model = build_toy("unet")
    monkeypatch.setattr(Reference, "unsettled", lambda self: 0.00011)
    *_, last = checked("saved_model", model, files["saved_model"])
    assert last.loader == "OpenVINO"
    assert last.not_checked.startswith(
        "rounding alone changes 0.01% of the classes of these images,"
    )
    monkeypatch.setattr(Reference, "unsettled", lambda self: 0.00009)
    with pytest.raises(check.MismatchError, match="OpenVINO, serving_default"):
        checked("saved_model", model, files["saved_model"])


@pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")
def test_openvino_reads_the_default_signature_in_full_precision(files):
    with saved_model.LOADERS["OpenVINO"](files["saved_model"]) as ask:
        class_map = ask("serving_default", {"image": IMAGES})["class_map"]
        with pytest.raises(
            KeyError, match="OpenVINO reads serving_default only; received 'scores'"
        ):
            ask("scores", {"image": IMAGES})
    expected = np.asarray(build_toy("unet")(IMAGES.astype("float32"))).argmax(-1)
    np.testing.assert_array_equal(class_map, expected)


def test_what_python_answers_and_cpp_does_not_is_found(tmp_path):
    """The trap that the C++ loader is asked for: the model as an attribute of what is saved."""
    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Conv2D(4, 3, padding="same", bias_initializer="normal")(image)
    model = keras.Model(image, scores, name="one")
    module = tf.Module()
    module.model = model
    answers = signatures(model)
    tf.saved_model.save(module, str(tmp_path), signatures=answers)
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.signatures["serving_default"](image=IMAGES)["class_map"].shape[0] == 2
    with pytest.raises(RuntimeError, match="Could not find variable"):
        check.check_saved_model(model, tmp_path)


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_what_the_server_refuses_to_compile_is_found(onednn, tmp_path, monkeypatch):
    """Keras has XLA compile a convolution in groups; the server refuses to, on any processor."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)  # of the process that loads the files
    model, images = build_toy("fcn_alexnet"), toy_images("fcn_alexnet", 1).astype(np.uint8)
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    answers = signatures(model)
    tf.saved_model.save(module, str(tmp_path), signatures=answers)
    with (
        process.loaded(tmp_path) as ask,
        pytest.raises(StatusError, match="XLA compilation disabled"),
    ):
        ask("serving_default", {"image": images})
    save(model, answers, tmp_path)
    expected = np.asarray(model(images.astype("float32"))).argmax(-1)
    with process.loaded(tmp_path) as ask:
        given = ask("serving_default", {"image": images}).outputs["class_map"]
    np.testing.assert_array_equal(given, expected)


def test_a_damaged_version_is_told(files, tmp_path, capsys):
    version = shutil.copytree(files["saved_model"], tmp_path / "1")
    file = version / "variables/variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert main([str(version)]) == 1
    assert re.search(rf"{version} is damaged \(.*\). Copy it again\.", capsys.readouterr().err)


def test_files_that_are_none_are_refused_in_cpp(tmp_path):
    with (
        pytest.raises(RuntimeError, match="Could not find SavedModel"),
        tensorflow_c.loaded(tmp_path),
    ):
        pass


@both
def test_images_of_one_class_prove_nothing(form, tmp_path):
    text = "two classes or more: .* 'unet' gives class 0 to every pixel of these. Pass "
    with pytest.raises(ValueError, match=text):
        exports.export(changed(1e4), tmp_path, [form], size=(9, 12))
    assert not list(tmp_path.iterdir())


@both
def test_scores_that_are_not_finite_are_refused(form, tmp_path):
    model = changed(np.nan)
    text = "gives finite scores; 25.0% of those of 'unet' are not. Its weights are damaged or"
    with pytest.raises(ValueError, match=text):
        exports.export(model, tmp_path, [form], size=(9, 12))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [IMAGES[0], IMAGES[..., :1], IMAGES.astype("f4"), IMAGES[:0]])
def test_the_images_to_check_with_are_images(wrong, files):
    text = f"images uint8 [n, h, w, 3], at least one; received {wrong.dtype} {list(wrong.shape)}."
    for form, path in files.items():
        with pytest.raises(ValueError, match=re.escape(text)):
            checked(form, build_toy("unet"), path, images=wrong)


def test_a_version_is_checked_within_its_limits(files):
    text = "of at most 1649 pixels; received images [2, 33, 50, 3]. Pass smaller ones, or export"
    with pytest.raises(ValueError, match=re.escape(text)):
        check.check_saved_model(
            build_toy("unet"), files["saved_model"], limits=Limits(3, 1649), images=IMAGES
        )


def test_what_tensorflow_refuses_in_python_has_its_code(files, honest):
    with pytest.raises(StatusError, match="at least one image") as refused:
        honest("serving_default", {"image": IMAGES[:0]})
    assert refused.value.code == INVALID_ARGUMENT


def test_a_tflite_file_is_checked_at_its_size(files):
    text = "The file takes images of (33, 50, 3); received (32, 50, 3) to check it with. Cut or"
    with pytest.raises(ValueError, match=re.escape(text)):
        check.check_tflite(build_toy("unet"), files["tflite"], images=IMAGES[:, :32])
