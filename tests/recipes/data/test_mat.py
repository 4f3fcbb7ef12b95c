"""MATLAB files are read as SciPy reads them, with limits, and what is wrong with one is said."""

import io
import re
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.data import DataError, mat
from recipes.data.mat import read_array

LABEL = np.arange(-3, 9).reshape(3, 4)
STRUCT = {
    "Boundaries": np.array([[np.eye(2)], [np.ones(3)]], object),
    "Segmentation": LABEL,
    "CategoriesPresent": np.zeros((0, 0)),
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.mat"


def said(file, *names):
    with pytest.raises(DataError) as error:
        read_array(file, *names or ("S",))
    text = str(error.value)
    assert text.startswith(f"{file}: ")
    return text.removeprefix(f"{file}: ")


def element(kind, content, order="<"):
    return struct.pack(order + "II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(content, *, name=b"S", kind=6, sizes=(2, 2), order="<"):
    """One variable, as its bytes: the tests of what no program writes, and of big-endian files."""
    sizes = struct.pack(f"{order}{len(sizes)}i", *sizes)
    flags = struct.pack(order + "II", kind, 0)
    parts = (element(6, flags, order), element(5, sizes, order), element(1, name, order))
    return element(14, b"".join(parts) + content, order)


def whole(variable, order="<"):
    version = struct.pack(order + "H", 0x0100) + {"<": b"IM", ">": b"MI"}[order]
    return b"MATLAB 5.0 MAT-file".ljust(124) + version + variable


def compressed(variable):
    packed = zlib.compress(variable, 9)
    return struct.pack("<II", 15, len(packed)) + packed


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_numbers_are_those_that_scipy_reads(file, kind, compression):
    label = np.abs(LABEL).astype(kind)
    names = np.array(["sky", "vertical"], object)
    scipy.io.savemat(file, {"names": names, "S": label, "q": 1.0}, do_compression=compression)
    read = read_array(file, "S")
    assert read.dtype.kind in "iu"
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, scipy.io.loadmat(file)["S"])


@pytest.mark.parametrize("compression", [False, True])
def test_a_field_of_a_struct(file, compression):
    scipy.io.savemat(file, {"GTcls": STRUCT}, do_compression=compression)
    np.testing.assert_array_equal(read_array(file, "GTcls", "Segmentation"), LABEL)
    assert "the struct has the fields 'Boundaries', 'Segmentation', 'CategoriesPresent'" in said(
        file, "GTcls", "Seg"
    )
    assert "it is a struct" in said(file, "GTcls")
    assert "it is a cell array" in said(file, "GTcls", "Boundaries")
    assert "it holds no struct with a field 'x'" in said(file, "GTcls", "Segmentation", "x")


def test_a_big_endian_file(file):
    numbers = element(3, np.arange(4, dtype=">i2").tobytes(), ">")
    file.write_bytes(whole(matrix(numbers, kind=10, order=">"), ">"))
    np.testing.assert_array_equal(scipy.io.loadmat(file)["S"], [[0, 2], [1, 3]])
    np.testing.assert_array_equal(read_array(file, "S"), [[0, 2], [1, 3]])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.array([[1.0, 0.5]]), "it holds 0.5"),
        (np.array([[1.0, np.nan]]), "it holds nan"),
        (np.array([[1.0, 1e12]]), "it holds 1000000000000.0"),
        (np.array([[1.0, 2j]]), "it is complex"),
        (np.zeros((2, 3, 4)), "it is 2×3×4"),
        (np.zeros((0, 4)), "it is 0×4"),
        ("text", "it is text"),
        (scipy.sparse.eye_array(3).tocsc(), "it is sparse"),
    ],
)
def test_a_matrix_of_something_else_is_named(file, value, reason):
    scipy.io.savemat(file, {"S": value})
    assert said(file) == f"a label is the matrix 'S', of whole numbers; {reason}. Replace it."


def test_a_missing_variable_is_named_with_what_is_there(file):
    scipy.io.savemat(file, {"LabelMap": LABEL, "other": 1})
    assert "it holds 'LabelMap', 'other'. Replace it." in said(file)
    file.write_bytes(whole(b""))
    assert "it holds nothing." in said(file)


def test_files_that_are_no_mat_files(file, tmp_path):
    assert said(file) == "there is no such file. Add it, or take it off the list."
    assert "cannot be read (" in said(tmp_path)  # a folder
    file.write_bytes(b"")
    assert said(file) == (
        "cannot be read as a MATLAB file (it is empty). Replace it, or save it in MATLAB by "
        "`save -v7`."
    )
    file.write_bytes(b"<html>not found</html>" * 10)
    assert "it has no header of a level 5 MAT-file" in said(file)
    scipy.io.savemat(file, {"S": LABEL}, format="4")
    assert "it has no header of a level 5 MAT-file" in said(file)


def test_a_file_that_ends_after_the_matrix_is_not_whole(file):
    scipy.io.savemat(file, {"S": LABEL, "names": np.array(["sky"], object)})
    file.write_bytes(file.read_bytes()[:-8])
    assert "cannot be read as a MATLAB file (it declares" in said(file)


def test_lies_are_not_believed(file):
    numbers = element(9, np.zeros(4).tobytes())
    for variable, reason in {
        matrix(numbers, sizes=(2**30, 2)): "4 numbers do not make 1073741824×2",
        matrix(numbers, sizes=(1,) * 33): "a matrix has more than 32 dimensions",
        matrix(struct.pack("<II", 9, 2**31)): "it declares 2,147,483,648 bytes where 0 are left",
        matrix(struct.pack("<HHI", 9, 5, 0)): "a short element declares 5 bytes",
        matrix(element(18, bytes(8))): "its numbers are stored as type 18",
        matrix(b""): "its numbers are stored as type None",
        element(14, b""): "a matrix has no header",
        element(15, zlib.compress(b"")): "a variable is stored as type 0",
        compressed(matrix(numbers))[:-8]: "it declares",
        element(15, zlib.compress(matrix(numbers))[:-8]): "its compressed data end too soon",
        element(15, zlib.compress(matrix(numbers) + bytes(99))): "it holds more than it declares",
    }.items():
        file.write_bytes(whole(variable))
        assert reason in said(file)
    text = element(5, struct.pack("<i", 1)) + element(1, b"a" * 1001)
    file.write_bytes(whole(matrix(text, kind=2, sizes=(1, 1))))
    assert "a struct declares 1,001 bytes of names, 1 for each" in said(file, "S", "a")


def test_what_does_not_fit_into_the_limit_is_not_unpacked(file, monkeypatch):
    monkeypatch.setattr(mat, "MAX_BYTES", 100_000)
    for variable in (
        compressed(matrix(element(9, bytes(800_000)))),  # a bomb: a 2 × 2 matrix
        compressed(matrix(b"", name=b"x" * 60_000)) * 2,  # no one of them is too large
    ):
        file.write_bytes(whole(variable))
        assert len(whole(variable)) < 2000
        assert "it holds more than 100,000 bytes" in said(file)
    file.write_bytes(bytes(100_001))
    assert "it is larger than 100,000 bytes" in said(file)


def test_a_small_file_takes_no_more_memory_than_is_promised(file):
    """As one matrix of zeros: 15 MB in 15 kB, or 64 MB in 60 kB."""
    sizes = (1400, 1400), (2900, 2900)
    for most, size in enumerate(sizes):
        variable = compressed(matrix(element(9, bytes(8 * size[0] * size[1])), sizes=size))
        file.write_bytes(whole(variable))
        tracemalloc.start()
        if most:
            assert "it holds more than 16,777,216 bytes" in said(file)
        else:
            assert not read_array(file, "S").any()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * mat.MAX_BYTES


def test_nested_cells_do_not_end_the_process(file):
    """scipy.io.loadmat does end it from about 30,000 cells on."""
    head = matrix(b"", name=b"", kind=1, sizes=(1, 1))[8:]
    sizes = [len(head) + index * (8 + len(head)) for index in range(60_000)]
    cells = b"".join(struct.pack("<II", 14, size) + head for size in reversed(sizes))
    fields = element(5, struct.pack("<i", 8)) + element(1, b"field".ljust(8, b"\0"))
    file.write_bytes(whole(compressed(matrix(fields + cells, kind=2, sizes=(1, 1)))))
    assert "it is a cell array" in said(file, "S", "field")


def _written(variables, **options):
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, **options)
    return stream.getvalue()


SOUND = [_written({"S": STRUCT, "x": 1}, do_compression=packed) for packed in (False, True)]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SOUND), st.data())
def test_a_damaged_file_gives_a_matrix_or_its_name(tmp_path_factory, content, data):
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for _ in range(data.draw(st.integers(0, 3)) if damaged else 0):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.mat"
    file.write_bytes(damaged)
    text = ""
    try:
        assert read_array(file, "S", "Segmentation").ndim == 2
    except DataError as error:
        text = str(error)
    assert re.search(r"^$|(Replace it|save -v7`)\.$", text)
