"""What lies beside a served graph: `export.json`, warm-up requests, parameters of batches."""

import hashlib
import json
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports
import zoo
from exports import check
from exports.check.agreement import as_record
from exports.graph import MAX_BYTES
from exports.graph.limits import Limits
from exports.graph.ports import IMAGE, Ports
from exports.runtimes import StatusError, tensorflow_c
from exports.serving import export_json, warmup
from tests.support.toys import TOYS, build_toy, toy_images

NAMES = ["sky", "sea [deep]", "sand", "sun"]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_toy("unet")


@pytest.fixture(scope="module")
def version(model, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("served")
    model.save_weights(folder / "toy.weights.h5")
    return exports.export(
        model,
        folder / "out",
        spec=model.spec.replace(class_names=NAMES, background=3),
        max_pixels=200 * 300,
        max_batch=5,
        images=toy_images("unet").astype(np.uint8),
        weights=folder / "toy.weights.h5",
    )["saved_model"]


@pytest.fixture(scope="module")
def recorded(version) -> dict:
    return json.loads((version / "export.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ask(version):
    with tensorflow_c.loaded(version) as ask:
        yield ask


def test_what_was_exported_is_recorded(version, recorded, model):
    assert recorded["model"] == "unet"
    spec = exports.read_spec(version)
    assert spec == model.spec.replace(class_names=NAMES, background=3)
    assert zoo.build("unet", **spec.options).count_params() == recorded["weights"]["count"]
    file = version.parents[2] / "toy.weights.h5"
    written = {"name": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert recorded["weights"]["file"] == written
    assert (recorded["format"], recorded["classes"]) == ("saved_model", 4)
    limits = {"channels": 3, "max_pixels": 60_000, "max_batch": 5, "max_request_pixels": 300_000}
    assert recorded["limits"] == limits | {"max_bytes": MAX_BYTES}
    assert recorded["versions"]["tensorflow"] == tf.__version__
    assert recorded["versions"]["segmentation-zoo"] == zoo.__version__


def test_the_hash_of_weights_is_that_of_their_values(model, tmp_path, recorded):
    def hash_of(model: keras.Model) -> str:
        about = export_json.of_model(model, spec=None, weights=None)
        return about["weights"]["sha256"]

    model.save_weights(tmp_path / "again.weights.h5")
    again = zoo.build("unet", weights=tmp_path / "again.weights.h5", **TOYS["unet"].options)
    assert hash_of(again) == recorded["weights"]["sha256"]
    again.get_layer("conv_u0d-score").bias.assign_add([0, 0, 1e-3, 0])
    assert hash_of(again) != recorded["weights"]["sha256"]


def test_the_signatures_are_recorded_as_they_are_asked(recorded, ask):
    image = toy_images("unet").astype(np.uint8)
    encoded = np.array([tf.io.encode_png(one).numpy() for one in image], object)
    assert sorted(recorded["signatures"]) == [
        *("class_map_from_bytes", "class_names", "mask_png", "scores", "serving_default"),
    ]
    for name, signature in recorded["signatures"].items():
        ((taken, port),) = signature["takes"].items()
        index = np.arange(2, dtype=np.int32)
        asked = {"image": image, "image_bytes": encoded, "index": index}[taken]
        answer = ask(name, {taken: asked})
        assert port["type"] == ("string" if asked.dtype == object else asked.dtype.name)
        assert port["shape"] in ([None], [None, None, None, 3])
        assert set(answer) == set(signature["gives"])
        for output, array in answer.items():
            described = signature["gives"][output]
            assert described["type"] == ("string" if array.dtype == object else array.dtype.name)
            assert len(described["shape"]) == array.ndim
            assert described["shape"][3:] == list(array.shape[3:])


def test_files_checks_and_costs_are_recorded(version, recorded):
    sizes = {
        path.relative_to(version).as_posix(): path.stat().st_size
        for path in version.rglob("*")
        if path.is_file() and path.name != "export.json"
    }
    assert recorded["files"] == sizes
    asked = [(one["loader"], one["signature"]) for one in recorded["checks"] if "ties" in one]
    assert asked[:8] == [
        (loader, signature)
        for loader in ("Python", "C++")
        for signature in ("serving_default", "class_map_from_bytes", "mask_png", "scores")
    ]
    assert {"loader": "C++", "warm_up_requests": 5} in recorded["checks"]
    for loader in ("Python", "C++"):
        assert {"loader": loader, "class_names": 4} in recorded["checks"]
    last = recorded["checks"][-1]
    assert last["loader"] == "OpenVINO"
    assert last.get("agreement") == 1.0 or "is not installed" in last["not_checked"]
    assert recorded["agreement"] == 1.0
    request = recorded["request"]
    assert request["image"] == [1, 244, 244, 3]  # the root of 60,000 pixels
    assert 0 < request["seconds"] < 60
    assert request["first_seconds"] > request["seconds"]
    assert 50e6 < request["peak_bytes"] < 5e9


def test_the_lowest_agreement_is_the_versions():
    checks = [
        check.Agreement("a", "scores", 1.0, 0, 2),
        check.Agreement("b", "scores", 0.75, 0, 2),
        check.NotChecked("c", "it is not there"),
    ]
    about = as_record(checks)
    assert about["agreement"] == 0.75
    assert about["checks"][2] == {"loader": "c", "not_checked": "it is not there"}


def test_lists_are_written_on_one_line():
    content = {"shape": [None, None, 3], "names": ["a", "b ] c"], "more": [{"x": [1]}], "none": []}
    text = export_json.text(content)
    assert json.loads(text) == content
    assert '"shape": [null, null, 3],' in text.splitlines()[1]


def test_weights_that_are_not_there_are_refused(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        exports.export(model, tmp_path / "out", weights=tmp_path / "missing.h5")
    assert not list(tmp_path.iterdir())


def test_the_warm_up_requests_are_logs_of_every_signature(version, recorded):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(version / warmup.WARM_UP))]
    found = {}
    for record in records:
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "unet"
        ((name, tensor),) = request.inputs.items()
        found[request.model_spec.signature_name] = {name: tf.make_ndarray(tensor)}
    assert set(found) == set(recorded["signatures"])
    assert found["serving_default"]["image"].shape == (1, 224, 224, 3)
    (png,) = found["mask_png"]["image_bytes"]
    np.testing.assert_array_equal(tf.io.decode_png(png), found["serving_default"]["image"][0])


def test_warm_up_images_keep_the_limit_and_the_channels(tmp_path):
    warmup.write(tmp_path, "grey", Limits(1, max_pixels=1000), Ports({IMAGE: 1}))
    asked = {}
    count = warmup.replay(tmp_path, lambda signature, inputs: asked.setdefault(signature, inputs))
    assert count == len(asked) == 5
    assert asked["scores"]["image"].shape == (1, 31, 31, 1)


def test_requests_that_fail_are_found_before_the_version_appears(
    model, version, tmp_path, monkeypatch
):
    monkeypatch.setattr(warmup, "write", lambda directory, *_: broken(directory))

    def broken(directory: pathlib.Path) -> None:
        (directory / warmup.WARM_UP).parent.mkdir()
        with tf.io.TFRecordWriter(str(directory / warmup.WARM_UP)) as file:
            file.write(
                warmup._log("unet", "serving_default", {"image": np.zeros((0, 1, 1, 3), "u1")})
            )

    text = r"C\+\+: a server does not load a version whose warm-up requests fail: .*at least one im"
    with pytest.raises(check.MismatchError, match=text):
        exports.export(model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"no records at all", b"\0" * 40])
def test_a_warm_up_file_that_is_none_is_refused(content, tmp_path, ask):
    path = tmp_path / warmup.WARM_UP
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"holds logs of predict requests; .* does not \("):
        warmup.replay(tmp_path, ask)
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(b"\x0a\x01a")
    with pytest.raises(ValueError, match=r"holds logs of predict requests; .* does not \(6\)"):
        warmup.replay(tmp_path, ask)


def test_batches_are_as_large_as_the_graph_takes(version, ask):
    text = (version / "batching_params.pbtxt").read_text()
    values = dict(re.findall(r"^(\w+) \{ value: (\d+) \}", text, re.MULTILINE))
    assert set(values) == {"max_batch_size", "batch_timeout_micros", "max_enqueued_batches"}
    image = np.zeros((int(values["max_batch_size"]), 9, 9, 3), np.uint8)
    assert ask("serving_default", {"image": image})["class_map"].shape == image.shape[:3]
    with pytest.raises(StatusError, match="at most 5 images"):
        ask("serving_default", {"image": np.zeros((len(image) + 1, 9, 9, 3), np.uint8)})
