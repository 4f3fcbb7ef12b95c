"""The contract of TensorFlow Serving: what the exports keep, and that each rule can be broken."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from exports import graph
from exports.formats.saved_model import save
from exports.graph.signatures import signatures
from exports.images import textures
from tests.fuzz.wire import field
from tests.support import serving_contract as contract
from tests.support import serving_double as double
from tests.support.exported import WHOLE

IMAGE = {"image": textures(1, (9, 12), 3)}
IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, name="image")
STRINGS = tf.TensorSpec([None], tf.string, name="image_bytes")


@pytest.fixture(scope="module")
def small() -> keras.Model:
    """One layer, which is quickly saved."""
    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Conv2D(3, 3, padding="same", bias_initializer="normal")(image)
    return keras.Model(image, scores, name="small")


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory) -> pathlib.Path:
    """Its graph alone, without what an export writes beside it."""
    directory = tmp_path_factory.mktemp("saved")
    save(small, signatures(small), directory)
    return directory


def test_a_version_keeps_the_contract(unet_files, capsys):
    assert contract.main([str(unet_files["saved_model"])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == ["kept"] * len(contract.RULES)


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"unet"}))
def test_the_other_models_keep_it(name, exported_toy):
    with contract.loaded(exported_toy(name, "saved_model")) as loaded:
        broken = [contract.reason(rule, loaded) for rule in contract.RULES]
    assert broken == [None] * len(contract.RULES)


def one_output(name: str, value: Callable) -> Callable[[dict], dict]:
    """Adds an output to the signature `serving_default`, or takes its place."""

    def change(answers: dict) -> dict:
        @tf.function(input_signature=[IMAGES])
        def changed(image: tf.Tensor) -> dict[str, tf.Tensor]:
            return answers["serving_default"](image=image) | {name: value(image)}

        return answers | {"serving_default": changed}

    return change


def without_sizes(answers: dict) -> dict:
    """Whatever comes in is answered, from its first channel."""

    @tf.function(input_signature=[IMAGES])
    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"class_map": image[..., 0] // 90}

    return answers | {"serving_default": serving_default}


def all_or_nothing(answers: dict) -> dict:
    """Masks as the decoder gives them: one error fails the batch."""

    @tf.function(input_signature=[STRINGS])
    def mask_png(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def mask_of(one: tf.Tensor) -> tf.Tensor:
            image = tf.io.decode_png(one, channels=3)
            return tf.io.encode_png(
                answers["serving_default"](image=image[None])["class_map"][0, ..., None]
            )

        masks = tf.map_fn(mask_of, image_bytes, fn_output_signature=tf.string)
        return {"mask_png_bytes": masks, "valid": tf.ones_like(masks, tf.uint8)}

    return answers | {"mask_png": mask_png}


def only_the_first(answers: dict) -> dict:
    """Every image is answered with the mask of the first."""
    mask = answers["mask_png"]

    @tf.function(input_signature=[STRINGS])
    def mask_png(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = mask(image_bytes=image_bytes)
        png = answer["mask_png_bytes"]
        first = tf.repeat(png[:1], tf.size(png))
        return answer | {"mask_png_bytes": tf.where(answer["valid"] > 0, first, "")}

    return answers | {"mask_png": mask_png}


def names_that(name: Callable) -> Callable[[dict], dict]:
    """Takes the place of the signature `class_names`."""

    def change(answers: dict) -> dict:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="index")])
        def class_names(index: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"name": name(index)}

        return answers | {"class_names": class_names}

    return change


BROKEN = {
    "labels": (
        one_output("labels", lambda image: tf.constant([1, 2, 3, 4])),
        "batch_major",
        "serving_default gives labels [4] for 3 rows",
    ),
    "scalar": (
        one_output("mean", lambda image: tf.reduce_mean(tf.cast(image, tf.float32))),
        "batch_major",
        "serving_default gives mean [] for 3 rows",
    ),
    "normalized over the batch": (
        one_output("class_map", lambda image: image[..., 0] - image[:1, ..., 0]),
        "batch_major",
        "serving_default gives another class_map when it is asked one by one",
    ),
    "half": (
        one_output("half", lambda image: tf.cast(image, tf.float16)),
        "rest_types",
        "serving_default: Failed to write JSON value for tensor type: float16",
    ),
    "strings": (
        one_output("name", lambda image: tf.repeat("a", tf.shape(image)[0])),
        "rest_types",
        "serving_default gives bytes as name, which must end in _bytes",
    ),
    "not UTF-8": (
        one_output("name", lambda image: tf.repeat(b"\xff", tf.shape(image)[0])),
        "rest_types",
        "serving_default: name is not UTF-8",
    ),
    "any shape": (without_sizes, "sizes", "serving_default takes 4 channels"),
    "all or nothing": (all_or_nothing, "a_bad_image", "mask_png refuses what it should take: "),
    "only the first": (only_the_first, "mixed_sizes", "the mask of an image [1, 1, 3] has not its"),
    "Python": (
        one_output("py", lambda image: tf.py_function(lambda x: x[:, 0, 0, 0], [image], tf.uint8)),
        "no_python",
        "the graph holds EagerPyFunc",
    ),
    "four signatures": (
        lambda answers: {name: answers[name] for name in answers if name != "scores"},
        "signatures",
        "there is no signature scores",
    ),
    "no class names": (
        lambda answers: {name: answers[name] for name in answers if name != "class_names"},
        "signatures",
        "there is no signature class_names",
    ),
    "names of all classes": (
        names_that(lambda index: tf.constant(["a", "b", "c", "d"])),
        "batch_major",
        "class_names gives name [4] for 3 rows",
    ),
    "names of any number": (
        names_that(lambda index: tf.strings.as_string(index)),
        "sizes",
        "class_names takes class 3 of 3",
    ),
    "names that are not text": (
        names_that(lambda index: tf.repeat(b"\xff", tf.shape(index)[0])),
        "rest_types",
        "class_names: name is not UTF-8",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_rule_is_seen_broken(case, small, tmp_path):
    change, rule, text = BROKEN[case]
    (tmp_path / "1").mkdir()
    save(small, change(signatures(small)), tmp_path / "1")
    with contract.loaded(tmp_path / "1") as loaded:
        assert text in contract.reason(getattr(contract, rule), loaded)


def test_what_xla_has_to_compile_breaks_a_rule(small, tmp_path):
    module = tf.Module()
    module.weights = [variable.value for variable in small.variables]
    compiled = one_output("xla", tf.function(lambda x: x[:, 0, 0, 0] + 1, jit_compile=True))
    tf.saved_model.save(module, str(tmp_path), signatures=compiled(signatures(small)))
    with contract.loaded(tmp_path) as loaded:
        assert contract.reason(contract.no_xla, loaded) == "the graph holds _XlaMustCompile"
    save(small, compiled(signatures(small)), tmp_path)
    with contract.loaded(tmp_path) as loaded:
        assert contract.reason(contract.no_xla, loaded) is None


def test_a_damaged_version_is_broken(saved, tmp_path, capsys):
    version = shutil.copytree(saved, tmp_path / "1")
    (version / "variables/variables.index").write_bytes(b"damaged")
    assert contract.main([str(version)]) == 1
    assert capsys.readouterr().out.startswith("broken  The C++ loader takes the files. But ")


def test_a_version_without_the_default_signature_is_broken(small, tmp_path, capsys):
    answers = signatures(small)
    save(small, {name: answers[name] for name in answers if name != "serving_default"}, tmp_path)
    assert contract.main([str(tmp_path)]) == 1
    assert "serving_default does not take an image [n, h, w, c]" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["writing-1", "01", "v1"])
def test_a_version_is_in_a_folder_of_its_number(name, saved, tmp_path, monkeypatch, capsys):
    shutil.copytree(saved, tmp_path / name)
    monkeypatch.setattr(contract, "RULES", (contract.layout, contract.signatures))
    assert contract.main([str(tmp_path / name)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("broken  The folder is a version: a whole number, in a folder with")
    assert first.endswith(f"the folder is called {name!r}; the server looks for whole numbers only")
    assert second.startswith("kept    The graph for serving has the five signatures")


@pytest.fixture
def limited(saved, tmp_path):
    """A copy of what is saved, with limits that it does not keep."""
    directory = tmp_path / "1"
    shutil.copytree(saved, directory)

    def reason(limits: dict | None, batching: str | None = None) -> str | None:
        (directory / "export.json").write_text(json.dumps({"limits": limits}))
        if batching is not None:
            (directory / "batching_params.pbtxt").write_text(batching)
        with contract.loaded(directory) as loaded:
            return contract.reason(contract.limits, loaded)

    return reason


def test_limits_are_those_of_the_file(limited):
    kept = {"max_pixels": graph.MAX_PIXELS, "max_batch": graph.MAX_BATCH}
    assert limited(kept) is None
    assert limited(kept | {"max_batch": 3}) == "serving_default takes 4 images"
    assert limited(kept | {"max_pixels": 99}) == "serving_default takes an image of 100 pixels"
    assert "serving_default refuses what it should take" in limited(kept | {"max_batch": 17})
    assert limited({}) == "export.json says no limits: KeyError('max_pixels')"
    assert limited(kept, "max_batch_size { value: 16 }  # all\n") is None
    text = "batching_params.pbtxt makes batches of 17 images, the graph takes 16"
    assert limited(kept, "max_batch_size { value: 17 }") == text
    text = "batching_params.pbtxt makes batches of any number of images, the graph takes 16"
    assert limited(kept, "batch_timeout_micros { value: 1 }") == text


def test_a_folder_without_a_saved_model_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        contract.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert f"a saved_model.pb; {tmp_path} has none. Pass OUT/NAME/" in capsys.readouterr().err


def warm_up_record(signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    spec = field(1, b"unet") + field(3, signature.encode())
    request = field(1, spec)
    for name, array in inputs.items():
        values = array.tolist() if array.dtype == object else array
        tensor = tf.make_tensor_proto(values, shape=array.shape).SerializeToString()
        request += field(2, field(1, name.encode()) + field(2, tensor))
    return field(6, field(1, request))


def warm_up_records() -> list[bytes]:
    png = double.strings([contract.png(IMAGE["image"][0])])
    asked = {
        "serving_default": IMAGE,
        "class_map_from_bytes": {"image_bytes": png},
        "mask_png": {"image_bytes": png},
        "scores": IMAGE,
        "class_names": {"index": np.zeros(1, np.int32)},
    }
    return [warm_up_record(name, inputs) for name, inputs in asked.items()]


@pytest.fixture
def warmed(saved, tmp_path):
    """What is broken by these warm-up requests."""
    path = tmp_path / contract.WARM_UP
    path.parent.mkdir()

    with contract.loaded(saved) as loaded:

        def broken(*records: bytes) -> str:
            with tf.io.TFRecordWriter(str(path)) as writer:
                for record in records:
                    writer.write(record)
            return str(
                contract.reason(contract.warm_up, dataclasses.replace(loaded, directory=tmp_path))
            )

        yield broken


def test_warm_up_requests_are_replayed(warmed):
    good = warm_up_records()
    assert warmed(*good) == "None"
    assert warmed() == "assets.extra/tf_serving_warmup_requests has 0 records"
    assert warmed(*good[:2]) == "no record warms class_names, mask_png, scores"
    for record, text in [
        (b"\x0a\x01a", "it is no log of a predict request (KeyError(6))"),
        (good[0][:-9], "it is no log of a predict request ("),
        (warm_up_record("masks", IMAGE), "\"no signature 'masks' of ['image']"),
        (warm_up_record("scores", {"picture": IMAGE["image"]}), "\"no signature 'scores' of ['pic"),
        (warm_up_record("scores", {"image": IMAGE["image"].astype("float32")}), "uint8 but float"),
        (warm_up_record("scores", {"image": IMAGE["image"][:0]}), "at least one image"),
    ]:
        said = warmed(*good, record)
        assert said.startswith("record 5 of assets.extra/tf_serving_warmup_requests is refused: ")
        assert text in said


def test_a_thousand_warm_up_requests_are_the_most(warmed):
    good = warm_up_records()
    assert warmed(*good * 200) == "None"
    assert warmed(*good * 200, good[0]).endswith("has 1001 records")


def test_a_warm_up_file_that_is_missing_or_damaged_is_seen(saved, tmp_path):
    path = tmp_path / contract.WARM_UP
    with contract.loaded(saved) as loaded:
        moved = dataclasses.replace(loaded, directory=tmp_path)
        text = "there is no assets.extra/tf_serving_warmup_requests"
        assert contract.reason(contract.warm_up, moved) == text
        path.parent.mkdir()
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(warm_up_records()[0])
        path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:])
        assert "is no whole TFRecord file: " in contract.reason(contract.warm_up, moved)
