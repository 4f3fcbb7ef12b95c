"""The reader of `.caffemodel` files, against files that Google's protobuf wrote."""

import mmap
import re
import time
import tracemalloc

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parity.caffe.messages import OPEN, PACKED, caffemodel, write_caffemodel
from zoo.weights import CaffeFileError, read_caffemodel

RNG = np.random.default_rng(0)
BLOBS = {
    "conv1": [RNG.normal(size=(4, 3, 3, 3)), RNG.normal(size=4)],
    "ip": [RNG.normal(size=(5, 36))],
    "bn": [RNG.normal(size=(1, 4, 1, 1)), RNG.normal(size=(1, 4, 1, 1))],
    "slope": [np.array(0.25)],
}
BLOBS = {name: [x.astype("float32") for x in arrays] for name, arrays in BLOBS.items()}
FORMS = [
    {},
    {"v1": True},
    {"v1": True, "legacy_shapes": True},
    {"legacy_shapes": True},
    {"packed": False},
    {"double": True},
    {"packed": False, "double": True},
    {"packed": False, "v1": True, "legacy_shapes": True},
    {"packed": (True, True, True)},
    {"packed": (False, True, False, False)},
    {"packed": (True, False, True), "double": True, "v1": True},
]


def check_same(found: dict, *, legacy_shapes: bool = False) -> None:
    assert list(found) == list(BLOBS)
    for name, arrays in BLOBS.items():
        for blob, expected in zip(found[name], arrays, strict=True):
            if legacy_shapes:
                assert blob.shape == (1,) * (4 - expected.ndim) + expected.shape
                blob = blob.reshape(expected.shape)
            np.testing.assert_array_equal(blob, expected)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_reads_what_protobuf_wrote(form, tmp_path):
    path = write_caffemodel(tmp_path / "net.caffemodel", BLOBS, **form)
    check_same(read_caffemodel(path), legacy_shapes=form.get("legacy_shapes", False))


@pytest.mark.parametrize("packed", [True, False, (True, False)])
def test_arrays_are_views_of_the_file(packed, tmp_path):
    path = write_caffemodel(tmp_path / "net.caffemodel", BLOBS, packed=packed)
    kernel = read_caffemodel(path)["conv1"][0]
    assert not kernel.flags.writeable
    while isinstance(kernel.base, np.ndarray):
        kernel = kernel.base
    mapped = isinstance(getattr(kernel.base, "obj", None), mmap.mmap)
    assert mapped == (packed != (True, False))  # pieces must be joined
    if mapped:
        with pytest.raises(BufferError):
            kernel.base.obj.close()


def test_numbers_with_tags_of_their_own_are_read_without_a_copy(tmp_path):
    """Two million, of which each is one field; and as many derivatives, which are left out."""
    numbers = RNG.normal(size=1 << 21).astype("float32")
    tagged = np.zeros(2 * numbers.size, np.dtype([("tag", "u1"), ("number", "<f4")]))
    tagged["tag"] = np.repeat([0x2D, 0x35], numbers.size)  # the fields data and diff
    tagged["number"][: numbers.size] = numbers
    blob = PACKED["BlobProto"](shape={"dim": [numbers.size]}).SerializeToString()
    path = tmp_path / "net.caffemodel"
    path.write_bytes(open_net(blob + tagged.tobytes()))
    tracemalloc.start()
    started = time.process_time()
    try:
        [found] = read_caffemodel(path)["fc"]
        seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert seconds < 0.5
    np.testing.assert_array_equal(found, numbers)


def net(**blob) -> bytes:
    """A net of one layer `fc` with one blob."""
    message = PACKED["NetParameter"]()
    message.layer.add(name="fc").blobs.add(**blob)
    return message.SerializeToString()


def open_net(blob: bytes) -> bytes:
    """The same, with a blob in any bytes."""
    message = OPEN["NetParameter"]()
    message.layer.add(name="fc").blobs.append(blob)
    return message.SerializeToString()


def layers(count: int, name: str, blobs: int = 1) -> bytes:
    message = PACKED["NetParameter"]()
    for _ in range(count):
        layer = message.layer.add(name=name)
        for _ in range(blobs):
            layer.blobs.add(data=[1.0], shape={"dim": [1]})
    return message.SerializeToString()


WHOLE = caffemodel(BLOBS)
ONE = net(data=[1, 2], shape={"dim": [2]})
DAMAGED = {
    "longer than its layer": (  # and followed by enough bytes of another layer
        ONE.replace(bytes([0x3A, 15]), bytes([0x3A, 40])) + WHOLE,
        "the field at byte 7 is longer than its message",
    ),
    "empty": (b"", "it is empty"),
    "cut": (WHOLE[:-9], "is longer than its message"),
    "cut in a tag": (ONE[:1], "the number at byte 0 does not end"),
    "web page": (b"<!DOCTYPE html><html>Not found</html>", "no valid field begins at byte 0"),
    "text": (b'name: "net"\nlayer { name: "conv1" }', "no valid field begins at byte 0"),
    "lying shape": (
        net(data=[1, 2, 3], shape={"dim": [2, 2]}),
        "a blob of layer 'fc' should have the shape [2, 2] and has 3 numbers",
    ),
    "lying old shape": (
        net(data=[1, 2, 3], num=1, channels=1, height=2, width=2),
        "should have the shape [1, 1, 2, 2] and has 3 numbers",
    ),
    "negative shape": (
        net(data=[1, 2], shape={"dim": [-1, -2]}),
        "should have the shape [-1, -2] and has 2",
    ),
    "no shape": (net(data=[1, 2, 3]), "should have the shape [] and has 3 numbers"),
    "nine dimensions": (
        net(data=[1], shape={"dim": [1] * 9}),
        "a blob of layer 'fc' has more than 8 dimensions",
    ),
    "no numbers at all": (net(), "should have the shape [] and has 0 numbers"),
    "no numbers, and a dimension of none": (
        net(shape={"dim": [0, 1 << 40]}),
        "should have the shape [0, 1099511627776] and has 0 numbers",
    ),
    "no numbers": (net(shape={"dim": [7]}), "should have the shape [7] and has 0 numbers"),
    "numbers twice": (
        net(data=[1], double_data=[1], shape={"dim": [1]}),
        "a blob of layer 'fc' has both float and double numbers",
    ),
    "half a number": (
        ONE.replace(bytes([0x2A, 8]), bytes([0x2A, 7])),  # the field of the numbers, 1 byte less
        "the numbers at byte 11 are cut off",
    ),
    "numbers as a varint": (
        ONE.replace(bytes([0x2A, 8]), bytes([0x28, 8])),
        "field 5 has the wrong type",
    ),
    "floats of eight bytes": (
        open_net(b"\x3a\x03\x0a\x01\x02\x29" + bytes(8)),  # the shape [2]; field 5, fixed64
        "field 5 has the wrong type",
    ),
    "layer as a number": (bytes([0x10, 1]), "field 2 has the wrong type"),
    "group": (bytes([0x0B]), "no valid field begins at byte 0"),
    "endless number": (b"\x80" * 11, "the number at byte 0 does not end"),
    "name is no text": (layers(1, "fc").replace(b"fc", b"\xff\xfe"), "can't decode byte 0xff"),
    "one name twice": (layers(2, "fc"), "two layers with weights have the name 'fc'"),
    "a name to colour the screen": (
        layers(1, "\x1b[31mfc"),
        r"the name '\x1b[31mfc' is not printable",
    ),
    "a name of a page": (layers(1, "fc" * 200), "the name at byte 7 has 400 bytes"),
    "too many fields": (layers(20_001, "", 0), "it has more than 20000 fields"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_says_what_is_wrong_with_a_file(case, tmp_path):
    content, reason = DAMAGED[case]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(CaffeFileError, match=re.escape(reason)) as error:
        read_caffemodel(path)
    message = str(error.value)
    assert message.startswith(f"{path} is not a whole .caffemodel: ")
    assert message.endswith(
        "Download it again; a web page or a part of the file may have been saved in its place."
    )


def test_old_dimensions_come_before_a_shape_as_in_caffe(tmp_path):
    path = tmp_path / "net.caffemodel"
    old = {"num": 1, "channels": 1, "height": 3, "width": 2}
    path.write_bytes(net(data=range(6), shape={"dim": [6]}, **old))
    assert read_caffemodel(path)["fc"][0].shape == (1, 1, 3, 2)


@pytest.mark.parametrize("content", [caffemodel({}), b"\n\x03net"])
def test_a_net_without_weights_is_refused(content, tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(CaffeFileError, match=r"none of its layers has blobs\. Give the"):
        read_caffemodel(path)


@st.composite
def damaged_files(draw) -> bytes:
    """A good file with a few bytes changed, put in, taken out, doubled or cut off."""
    data = bytearray(caffemodel(BLOBS, **draw(st.sampled_from(FORMS))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["change", "insert", "remove", "double", "cut"]))
        if kind == "change":
            data[start:stop] = draw(st.binary(min_size=stop - start, max_size=stop - start))
        elif kind == "insert":
            data[start:start] = draw(st.binary(max_size=12))
        elif kind == "remove":
            del data[start:stop]
        elif kind == "double":
            data[start:start] = data[start:stop]
        else:
            del data[start:]
    return bytes(data)


def whole_net(content: bytes):
    """What Google's protobuf reads, or None where it refuses."""
    try:
        return PACKED["NetParameter"].FromString(content)
    except DecodeError:
        return None


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.one_of(damaged_files(), st.binary(max_size=200)))
def test_a_damaged_file_is_refused_or_read_as_protobuf_reads_it(content, tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    try:
        found = read_caffemodel(path)
    except CaffeFileError:
        return
    net = whole_net(content)
    if net is None:  # it looks into parts that hold no weights, too
        return
    expected = {layer.name: layer.blobs for layer in [*net.layers, *net.layer] if layer.blobs}
    assert found.keys() == expected.keys()
    for name, blobs in expected.items():
        for blob, message in zip(found[name], blobs, strict=True):
            numbers = np.array(message.data or message.double_data, blob.dtype)
            assert blob.tobytes() == numbers.tobytes()
            old = [message.num, message.channels, message.height, message.width]
            assert list(blob.shape) == (old if any(old) else list(message.shape.dim))
