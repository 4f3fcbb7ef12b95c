"""Files made to cost time or memory: refused in little time, with 16 MB at most."""

import gc
import re
import time
import tracemalloc

import pytest

from tests.fuzz.corpus import CASES, DATA, FLOATS, PACKED, bomb, one, one_by_one
from tests.fuzz.wire import field, layer, net, shape, varint
from zoo.weights import CaffeFileError, read_caffemodel

MOST_STORES, MOST_BYTES = 3_000_000, 16 << 20  # so many stores take 0.1 to 0.2 s
TOO_MANY = "it has more than 20000 fields"
NUMBER = field(DATA, FLOATS[:4])
RUN = one_by_one(DATA, bytes(4 * 17))


def blobs(blob: bytes, count: int) -> bytes:
    """A net of one layer with many blobs."""
    return net(field(1, b"fc") + field(7, blob) * count)


HOSTILE = {
    "many layers": (lambda: net(layer(b"")) * 100_000, TOO_MANY),
    "many layers of one name": (
        lambda: one(NUMBER) * 4_000,
        "two layers with weights have the name 'fc'",
    ),
    "many layers of long names": (
        lambda: b"".join(net(layer(b"%0256d" % index, NUMBER)) for index in range(3_000)) * 7,
        TOO_MANY,
    ),
    "many blobs": (lambda: blobs(NUMBER, 100_000), TOO_MANY),
    "many blobs of eight dimensions": (lambda: blobs(shape(*[1] * 8) + NUMBER, 5_000), TOO_MANY),
    "many blobs of eight long dimensions": (
        lambda: blobs(field(7, field(1, varint(1, size=10) * 8)) + NUMBER, 5_000),
        TOO_MANY,
    ),
    "many dimensions": (
        lambda: one(field(7, field(1, b"\x01" * 2_000_000)) + NUMBER),
        "more than 8 dimensions",
    ),
    "many shapes": (lambda: one(shape() * 100_000 + NUMBER), TOO_MANY),
    "many pieces": (lambda: one(shape(100_000) + NUMBER * 100_000), TOO_MANY),
    "many empty pieces": (lambda: one(field(DATA, b"") * 100_000), TOO_MANY),
    "many runs": (lambda: one((RUN + RUN.replace(b"\x2d", b"\x35")) * 20_000), TOO_MANY),
    "long tags and lengths": (lambda: net(field(7, b"", size=10) * 50_000), TOO_MANY),
    "numbers of ten bytes": (lambda: field(90, -1) * 100_000, TOO_MANY),
    "a lie after a long search": (
        lambda: one(shape(1) + one_by_one(DATA, FLOATS) * 300_000),
        "should have the shape [1] and has 1800000 numbers",
    ),
    "cut off after much": (
        lambda: net(layer(b"fc1", shape(6) + PACKED * 9_000))[:-1],
        "is longer than its message",
    ),
    "a name of 100 MB": (lambda: net(layer(bytes(100_000_000), NUMBER)), "has 100000000 bytes"),
    "messages in messages": (lambda: one(bomb(900)), "should have the shape [] and has 0"),
    "a length of ten bytes": (
        lambda: net(field(1, b"fc") + field(7, varint(-1), wire=2)),
        "is longer than its message",
    ),
}


def seconds_of_a_store() -> float:
    """How long Python takes now to store a number: longer where others compute, as all else."""
    count, found = 300_000, {}
    started = time.thread_time()
    for number in range(count):
        found[number & 1023] = number
    return (time.thread_time() - started) / count


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_costs_little(case, tmp_path):
    written, reason = HOSTILE[case]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(written())
    gc.collect()  # its turn comes at any time, and takes as long as there are objects of others
    for _ in range(5):  # the best of five: others compute here, too
        started = time.thread_time()
        with pytest.raises(CaffeFileError, match=re.escape(reason)):
            read_caffemodel(path)
        stores = (time.thread_time() - started) / seconds_of_a_store()
        if stores < MOST_STORES:
            break
    assert stores < MOST_STORES
    tracemalloc.start()
    try:
        with pytest.raises(CaffeFileError):
            read_caffemodel(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_as_many_layers_as_any_net_has(tmp_path):
    """The limit is far from nets of hundreds of layers, each with what Caffe writes beside."""
    extras = field(2, b"Convolution") + field(3, b"in") + field(4, b"out") + field(106, b"") * 5
    path = tmp_path / "net.caffemodel"
    blobs = [shape(1, 1, 1, 1) + NUMBER] * 2
    path.write_bytes(net(*[layer(b"%d" % index, *blobs) + extras for index in range(1_000)]))
    assert len(read_caffemodel(path)) == 1_000


@pytest.mark.parametrize("name", ["whole", "packed-v1", "unpacked-long", "pieces-mixed"])
def test_cut_off_at_every_percent(name, tmp_path):
    """Refused, or cut where a layer ends: then the others are read, and loading misses the rest."""
    path, content = tmp_path / "net.caffemodel", CASES[name][0]
    path.write_bytes(content)
    whole, refused = list(read_caffemodel(path)), 0
    for percent in range(100):
        path.write_bytes(content[: len(content) * percent // 100])
        try:
            found = list(read_caffemodel(path))
        except CaffeFileError:
            refused += 1
        else:
            assert found == whole[: len(found)] != whole
    assert refused > 95


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_caffemodel(tmp_path / "none.caffemodel")
    with pytest.raises(IsADirectoryError):
        read_caffemodel(tmp_path)
