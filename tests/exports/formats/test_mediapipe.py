"""TFLite files for MediaPipe: what they say of themselves, and their check.

MediaPipe's wheel brings another build of OpenCV than the tests', so that it may be installed in an
environment of its own: `MEDIAPIPE_PYTHON=/path/to/python pytest -k mediapipe`.
Without it a stand-in gives the answers.
"""

import importlib.util
import io
import json
import os
import pathlib
import re
import struct
import sys
import time
import zipfile

import keras
import numpy as np
import pytest
from flatbuffers.table import Table

import exports
import zoo
from exports import check, exporting
from exports.check import mediapipe
from exports.command import export as main
from exports.formats import flatbuffer
from exports.runtimes import process
from tests.support.toys import TOYS, build_toy, toy_images

NAMES = ["sky", "sea", "sand", "Sonne ü"]
PYTHON = os.environ.get("MEDIAPIPE_PYTHON", sys.executable)

# MediaPipe as far as it is asked here: LiteRT, a softmax, and the labels of the file.
STAND_IN = """
import zipfile
import numpy as np
from ai_edge_litert.interpreter import Interpreter

class Mask:
    def __init__(self, array): self.array = array
    def numpy_view(self): return self.array

class Found: pass

class Segmenter:
    def __init__(self, path):
        self.answer = Interpreter(model_path=path).get_signature_runner()
        self.labels = zipfile.ZipFile(path).read("labels.txt").decode().splitlines()
    create_from_options = classmethod(lambda cls, options: cls(options["base_options"]))
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def segment(self, image):
        scores = self.answer(image=image[None])["scores"][0]
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        found = Found()
        found.category_mask = Mask(scores.argmax(-1).astype(np.uint8)[..., None])
        found.confidence_masks = [Mask(one) for one in np.moveaxis(shares, -1, 0)]
        return change(found)

def change(found): return found

class vision:
    ImageSegmenter = Segmenter
    ImageSegmenterOptions = dict

class ImageFormat:
    SRGB = 1

def Image(form, array): return array
def BaseOptions(model_asset_path): return model_asset_path
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Makes `import mediapipe` find the stand-in, with some of it changed."""

    def install(change: str = "") -> None:
        tasks = tmp_path / "stand_in" / "mediapipe" / "tasks"
        tasks.mkdir(parents=True, exist_ok=True)
        (tasks.parent / "__init__.py").write_text(STAND_IN + change)
        (tasks / "__init__.py").write_text("")
        (tasks / "python.py").write_text("from mediapipe import BaseOptions, vision")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand_in"))

    return install


@pytest.fixture(autouse=True)
def uncosted(monkeypatch):
    """What a request costs is measured in tests/exports/formats/test_tflite.py."""
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)


def exported(name: str, out: pathlib.Path, class_names=None, **options) -> pathlib.Path:
    model, images = build_toy(name), toy_images(name, 1).astype(np.uint8)
    spec = model.spec.replace(class_names=class_names)
    options |= {"size": TOYS[name].size, "images": images, "spec": spec}
    return exports.export(model, out, ["mediapipe"], **options)["mediapipe"]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> pathlib.Path:
    return exported("unet", tmp_path_factory.mktemp("files"), class_names=NAMES)


def table_at(buffer: bytes, place: int) -> Table:
    return Table(bytearray(buffer), place + struct.unpack_from("<I", buffer, place)[0])


def field(table: Table, number: int) -> int:
    """The place of a field by its number in the schema."""
    offset = table.Offset(4 + 2 * number)
    assert offset, f"field {number} is not there"
    return table.Pos + offset


def text(table: Table, number: int) -> str:
    return table.String(field(table, number)).decode()


def only(table: Table, number: int) -> Table:
    """The only table of a vector."""
    place = field(table, number)
    assert table.VectorLen(place - table.Pos) == 1
    return table_at(table.Bytes, table.Vector(place - table.Pos))


def test_the_metadata_reads_back_by_the_schema(file):
    """Each number is a field's place in `metadata_schema.fbs`."""
    tables = flatbuffer.read(file.read_bytes())
    (entry,) = [one for one in tables.metadata if one.name == b"TFLITE_METADATA"]
    content = bytes(tables.buffers[entry.buffer].data)
    assert content[4:8] == b"M001"
    model = table_at(content, 0)
    assert (text(model, 0), text(model, 7)) == ("unet", "1.5.0")
    assert text(model, 1) == tables.description.decode()
    graph = only(model, 3)
    image, scores = only(graph, 2), only(graph, 3)
    assert (text(image, 0), text(scores, 0)) == ("image", "scores")

    kind = table_at(content, field(image, 3))
    assert content[field(kind, 0)] == 2  # ImageProperties
    properties = table_at(content, field(kind, 1))
    assert content[field(properties, 0)] == 1  # RGB
    unit = only(image, 4)
    assert content[field(unit, 0)] == 1  # NormalizationOptions
    normalization = table_at(content, field(unit, 1))
    for number, value in ((0, 0.0), (1, 1.0)):
        place = field(normalization, number)
        assert normalization.VectorLen(place - normalization.Pos) == 1
        start = normalization.Vector(place - normalization.Pos)
        assert struct.unpack_from("<f", content, start) == (value,)

    labels = only(scores, 6)
    assert text(labels, 0) == "labels.txt"
    assert content[field(labels, 2)] == 2  # TENSOR_AXIS_LABELS
    custom = only(graph, 9)
    assert text(custom, 0) == "SEGMENTER_METADATA"
    place = field(custom, 1) - custom.Pos
    options = content[custom.Vector(place) : custom.Vector(place) + custom.VectorLen(place)]
    assert options[4:8] == b"V001"
    assert options[field(table_at(options, 0), 0)] == 2  # SOFTMAX


def test_the_class_names_lie_after_the_file_as_they_are(file):
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry).decode() == "sky\nsea\nsand\nSonne ü\n"


def test_the_file_says_what_it_is(file):
    assert exports.read_spec(file).class_names == tuple(NAMES)


def test_classes_without_names_have_their_numbers(tmp_path):
    with zipfile.ZipFile(exported("unet", tmp_path)) as archive:
        assert archive.read("labels.txt") == b"class 0\nclass 1\nclass 2\nclass 3\n"


def test_one_graph_with_scores_of_a_fixed_size(file):
    assert file.name == "unet-1-mediapipe.tflite"
    recorded = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert recorded["signatures"] == {
        "serving_default": {
            "takes": {"image": {"type": "uint8", "shape": [1, 33, 50, 3]}},
            "gives": {"scores": {"type": "float32", "shape": [1, 33, 50, 4]}},
        }
    }
    assert len(flatbuffer.read(file.read_bytes()).subgraphs) == 1
    assert "ARG_MAX" not in recorded["operations"]
    assert recorded["checks"][0]["signature"] == "scores"
    assert recorded["agreement"] == 1


@pytest.mark.parametrize("name", sorted(TOYS))
def test_every_toy_in_mediapipe(name, tmp_path):
    if sys.executable == PYTHON and not importlib.util.find_spec("mediapipe"):
        pytest.skip("MediaPipe comes with the extra `mediapipe`, or in MEDIAPIPE_PYTHON")
    path = exported(name, tmp_path, mediapipe_python=PYTHON, class_names=NAMES)
    recorded = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [one["loader"] for one in recorded["checks"]] == ["LiteRT", "MediaPipe"]
    height, width = TOYS[name].size
    turned = [(1 - one["agreement"]) * height * width for one in recorded["checks"]]
    assert max(turned) < 1.5  # pixels: one tie
    with process.loaded(path, "mediapipe", python=PYTHON) as ask:
        answer = ask("", {"image": toy_images(name, 1).astype(np.uint8)}).outputs
    assert answer["labels"].tolist() == NAMES


def test_an_answer_of_mediapipe_is_held_to_the_model(stand_in, file):
    model = build_toy("unet")
    stand_in()
    (found,) = check.check_mediapipe(model, file)
    assert (found.loader, found.agreement) == ("MediaPipe", 1)

    stand_in("def change(found):\n    found.category_mask.array += 1; return found")
    with pytest.raises(check.MismatchError, match=r"MediaPipe, class_map: "):
        check.check_mediapipe(model, file)
    with pytest.raises(check.MismatchError, match=r"where max_disagreement allows 20\.00%"):
        check.check_mediapipe(model, file, max_disagreement=0.2)

    stand_in("def change(found):\n    found.confidence_masks[0].array *= 0.5; return found")
    with pytest.raises(check.MismatchError, match="probabilities: they are not the model's"):
        check.check_mediapipe(model, file)
    # Coarser numbers have other probabilities.
    check.check_mediapipe(model, file, max_disagreement=0.2)


def test_a_file_that_mediapipe_refuses_or_that_hangs_it_is_no_export(
    stand_in, file, tmp_path, monkeypatch
):
    stand_in("def change(found):\n    raise RuntimeError('no segmenter')")
    with pytest.raises(check.MismatchError, match="does not take the file: no segmenter"):
        check.check_mediapipe(build_toy("unet"), file)

    stand_in("def change(found):\n    import time; time.sleep(60)")
    monkeypatch.setattr(mediapipe, "MAX_SECONDS", 3)
    start = time.monotonic()
    with pytest.raises(check.MismatchError, match=r"mediapipe\.tflite.* did not answer within 3 s"):
        exported("unet", tmp_path / "files")
    assert time.monotonic() - start < 30
    assert not (tmp_path / "files").exists()


def test_without_mediapipe_nothing_is_claimed(file, tmp_path, monkeypatch):
    (tmp_path / "mediapipe.py").write_text("raise ImportError('it is not there')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines = []
    (found,) = check.check_mediapipe(build_toy("unet"), file, report=lines.append)
    assert isinstance(found, check.NotChecked)
    assert lines == [str(found)]
    assert lines[0].startswith(f"MediaPipe: not checked: it is not installed in {sys.executable}.")
    with pytest.raises(FileNotFoundError, match="/no/such/python"):
        check.check_mediapipe(build_toy("unet"), file, python="/no/such/python")


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({}, r"uint8 \[1, None, None, 3\]"),
        ({"size": (9, 12), "dtype": "float32"}, r"float32 \[1, 9, 12, 3\]"),
        ({"size": (9, 12), "channels": 1}, r"uint8 \[1, 9, 12, 1\]"),
    ],
)
def test_what_mediapipe_does_not_take_is_refused(options, received, tmp_path):
    channels = options.pop("channels", 3)
    image = keras.Input((None, None, channels), name="image")
    scores = keras.layers.Concatenate()([image] * (3 // channels))
    model = keras.Model(image, scores, name="same")
    text = rf"takes RGB images uint8 of a fixed size; received {received}\. Pass a size, dtype"
    with pytest.raises(ValueError, match=text):
        exports.export(model, tmp_path, ["mediapipe"], **options)


def test_a_quantized_file_for_mediapipe(tmp_path, stand_in):
    stand_in()
    images = toy_images("unet").astype(np.uint8)
    options = {"quantize": "integer", "representative": images, "max_disagreement": 0.2}
    path = exported("unet", tmp_path / "files", **options)
    recorded = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert recorded["signatures"]["serving_default"]["gives"]["scores"]["type"] == "float32"
    assert [one["loader"] for one in recorded["checks"]] == ["LiteRT", "MediaPipe"]


def test_the_command_writes_both_files_under_one_version(tmp_path, stand_in, capsys):
    stand_in()
    weights = zoo.weights.save(build_toy("unet"), tmp_path / "toy.weights.h5")
    out = tmp_path / "files"
    out.mkdir()
    (out / "unet-6-mediapipe.tflite").write_bytes(b"")
    arguments = [str(weights), "--out", str(out), "--size", "33", "50"]
    arguments += ["--format", "mediapipe", "tflite", "--mediapipe-python", sys.executable]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "MediaPipe, class_map: 100.0000% of the pixels agree" in said
    for name in ("unet-7.tflite", "unet-7-mediapipe.tflite"):
        assert re.search(rf" MB  {out / name}$", said, re.MULTILINE)
    assert (out / "unet-7-mediapipe.json").exists()
