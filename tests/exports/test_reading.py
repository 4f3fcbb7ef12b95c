"""`exports.read_spec`: what files say, and what it answers to files that lie."""

import contextlib
import json
import pathlib
import random
import re
import struct
import time

import pytest
from flatbuffers import Builder

import exports
import zoo
from exports import protobuf, reading
from exports.formats import flatbuffer
from zoo.spec import MAX_BYTES

SPEC = zoo.Spec("unet", {"classes": 2}, class_names=("background", "Zelle ü"), background=0)


def onnx(*pairs: tuple[bytes, bytes]) -> bytes:
    """An ONNX file with an empty graph and these metadata entries."""
    entries = [
        protobuf.field(14, protobuf.field(1, key) + protobuf.field(2, value))
        for key, value in pairs
    ]
    return b"\x08\x08" + protobuf.field(7, b"") + b"".join(entries)


def tflite(name: str = reading.ENTRY, content: bytes | None = None) -> bytes:
    """A TFLite file without operations, with one metadata entry."""
    from ai_edge_litert.schema_py_generated import BufferT, ModelT

    model = ModelT()
    model.buffers, model.subgraphs, model.operatorCodes = [BufferT()], [], []
    content = SPEC.to_json().encode() if content is None else content
    flatbuffer.add_metadata(model, name, content)
    return flatbuffer.written(model)


@pytest.fixture
def file(tmp_path):
    def write(content: bytes) -> pathlib.Path:
        (tmp_path / "file").write_bytes(content)
        return tmp_path / "file"

    return write


def test_a_spec_reads_back(file, tmp_path):
    text = SPEC.to_json().encode()
    assert exports.read_spec(file(tflite())) == SPEC
    assert exports.read_spec(file(onnx((b"other", b"x"), (reading.ENTRY.encode(), text)))) == SPEC
    (tmp_path / "export.json").write_text(json.dumps({"spec": SPEC.to_dict()}))
    assert exports.read_spec(str(tmp_path)) == SPEC


def test_what_does_not_say_it_is_told(file, tmp_path):
    (tmp_path / "export.json").write_text(json.dumps({"spec": None}))
    for path in (file(tflite("another")), file(onnx()), tmp_path):
        with pytest.raises(ValueError, match=f"{path} does not say what its model is: it was exp"):
            exports.read_spec(path)
    with pytest.raises(FileNotFoundError):
        exports.read_spec(tmp_path / "missing.tflite")


def table(fields: dict[int, int]) -> bytes:
    """A TFLite file whose only table has these numbers as offsets."""
    builder = Builder(64)
    builder.StartObject(8)
    for number, value in fields.items():
        builder.PrependUint32Slot(number, value, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model at all",
        b"\xff" * 4096,
        b"\x00" * 64,
        b"\x00\x00\x00\x00TFL3",
        b"\xff\xff\xff\xffTFL3" + b"\xff" * 64,
        tflite()[:-300],
        table({6: 0x7FFFFFFF}),
        table({4: 8, 6: 4}),
        tflite(content=b"{"),
        tflite(content=b"\xff\xfe"),
        tflite(content=b"[" * MAX_BYTES),
        tflite(content=b" " * (MAX_BYTES + 1)),
        tflite(content=json.dumps({"format": 1, "model": "unet", "options": 3}).encode()),
        onnx((reading.ENTRY.encode(), b"[]")),
        onnx((reading.ENTRY.encode(), b"\xff")),
        onnx((reading.ENTRY.encode(), SPEC.to_json().replace("Zelle", "a\\u001b[2J").encode())),
        onnx()[:-1] + b"\x72\x7fx",
        b"\x08\x08" * 2000,
    ],
)
def test_a_file_that_lies_is_a_value_error(content, file):
    with pytest.raises(ValueError, match=r"\. .*\.$") as raised:
        exports.read_spec(file(content))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x08\x08" * 2000, "(it has more than 1000 parts)"),
        (tflite(content=b" " * (MAX_BYTES + 1)), f"(a text of {MAX_BYTES + 1} bytes is not within"),
        (tflite(content=b"x" * 1000)[:-900], "bytes is not within the file or its limits)"),
    ],
)
def test_what_costs_too_much_is_refused_before_it_is_read(content, text, file):
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.read_spec(file(content))


def test_a_text_is_not_read_beyond_its_limit(file):
    """A padding of the file's size is passed over, not copied."""
    padding = protobuf.field(7, bytes(50_000_000))
    start = time.monotonic()
    text = (reading.ENTRY.encode(), SPEC.to_json().encode())
    assert exports.read_spec(file(padding + onnx(text))) == SPEC
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("content", [tflite(), onnx((reading.ENTRY.encode(), b'{"format": 1}'))])
def test_damaged_files_are_value_errors_or_specs(content, file):
    rng = random.Random(5)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            at = rng.randrange(len(damaged) - 4)
            damaged[at : at + 4] = struct.pack("<I", rng.randrange(1 << 32))
        with contextlib.suppress(ValueError):
            assert isinstance(exports.read_spec(file(bytes(damaged))), zoo.Spec)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no json", "cannot be read ("),
        (b"[1]", "it is not a JSON object"),
        (b"[" * 100_000, "cannot be read ("),
        (b" " * (reading.MAX_RECORD + 1), f"more than {reading.MAX_RECORD} bytes"),
        (json.dumps({"spec": {"format": 9}}).encode(), "it is not of format 1"),
    ],
)
def test_an_export_json_that_lies_is_a_value_error(content, text, tmp_path):
    (tmp_path / "export.json").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(text)):
        exports.read_spec(tmp_path)
