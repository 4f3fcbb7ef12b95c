"""Texts in HDF5 files: as h5py reads them, and refused where its library would not end."""

import io
import random
import re
import struct
import time

import h5py
import numpy as np
import pytest

from zoo.weights import hdf5
from zoo.weights.hdf5_text import text_attribute


def address(group: h5py.Group) -> int:
    return h5py.h5o.get_info(group.id).addr


@pytest.mark.parametrize("track_order", [False, True])
@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
def test_texts_as_h5py_reads_them(libver, track_order):
    memory = io.BytesIO()
    names = [f"conv{index} é" * (index % 25 + 1) for index in range(200)]
    with h5py.File(memory, "w", libver=libver) as file:
        for index, name in enumerate(names):
            group = file.create_group(str(index), track_order=track_order)
            group.attrs["nam"] = "another"
            group.attrs["number"] = np.arange(index)
            group.attrs["name"] = name
            group["array"] = np.zeros(index)
    with h5py.File(memory) as file:
        for index, name in enumerate(names):
            group = file[str(index)]
            assert group.attrs["name"] == name
            assert text_attribute(memory.getvalue(), address(group), "name") == name


def test_texts_of_a_group_with_settings_of_its_own():
    memory, settings = io.BytesIO(), h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    settings.set_attr_phase_change(9, 3)
    settings.set_obj_track_times(True)
    with h5py.File(memory, "w", libver="latest") as file:
        group = h5py.Group(h5py.h5g.create(file.id, b"group", gcpl=settings))
        group.attrs["name"] = "conv1"
        place = address(group)
    header = memory.getvalue()[place:]
    assert header[:4] == b"OHDR"
    assert header[5] & 0x30 == 0x30  # times and numbers of attributes lie before the messages
    assert text_attribute(memory.getvalue(), place, "name") == "conv1"


@pytest.fixture
def path(tmp_path):
    """A small file as Keras writes them."""
    path = tmp_path / "saved.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("vars").attrs["name"] = "net"
        for index in range(2):
            group = file.create_group(f"layers/conv2d_{index}/vars")
            group.attrs["name"] = f"conv{index}"
            group["0"], group["1"] = np.ones((3, 3, 2, 2), "f4"), np.ones(2, "f4")
    return path


def check_refused(path, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)), hdf5.opened(path):
        pass


@pytest.mark.parametrize(
    "name",
    [None, 7, np.arange(3), np.bytes_(b"net"), ["net"], b"\x80", "two\nlines", h5py.Empty("f")],
    ids=repr,
)
def test_a_name_that_is_no_text_of_one_line(name, path):
    with h5py.File(path, "a") as file:
        del file["vars"].attrs["name"]
        if name is not None:
            file["vars"].attrs["name"] = name
        text = f"the object at byte {address(file['vars'])} has no name of one line"
    check_refused(path, "codec can't decode byte 0x80" if type(name) is bytes else text)


def test_a_name_that_is_too_long(path):
    with h5py.File(path, "a") as file:
        file["vars"].attrs["name"] = "n" * 257
    check_refused(path, "there is no text of at most 256 bytes at byte")


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        ("length", 0xFF000003, "there is no text of at most 256 bytes"),  # HDF5 takes 4 GB
        ("length", 200, "have no number 1"),
        ("mark", 0, "there is no text of at most 256 bytes"),
        ("heap", 1 << 63, "too large"),
        ("heap", 40_000, "offset"),
        ("heap", 8, "there is no text of at most 256 bytes"),
        ("number", 9, "have no number 9"),
        ("heap's size", 1 << 40, "there is no text of at most 256 bytes"),
        ("size", (1 << 64) - 16, "have no number 2"),  # HDF5 never ends
    ],
)
def test_a_text_that_lies(place, value, text, path):
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    reference = content.index(struct.pack("<IQI", 3, heap, 1))
    offset, form = {
        "length": (reference, "<I"),
        "mark": (heap, "<I"),
        "heap": (reference + 4, "<Q"),
        "number": (reference + 12, "<I"),
        "heap's size": (heap + 8, "<Q"),
        "size": (heap + 24, "<Q"),
    }[place]
    struct.pack_into(form, content, offset, value)
    path.write_bytes(content)
    check_refused(path, text)


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
def test_files_with_changed_bytes_are_read_or_refused(ending, path, tmp_path):
    """Soon, and with no other error."""
    content, rng = path.read_bytes(), random.Random(0)
    if ending == "keras":
        with hdf5.zipfile.ZipFile(tmp_path / "saved.keras", "w") as archive:
            archive.write(path, "model.weights.h5")
        path = tmp_path / "saved.keras"
        content = path.read_bytes()
    used = [index for index, byte in enumerate(content) if byte]
    refused = 0
    for _ in range(500):
        changed = bytearray(content)
        for index in rng.sample(used, 3):
            changed[index] = rng.choice([0, 1, 127, 128, 255, changed[index] ^ 1])
        path.write_bytes(changed)
        started = time.process_time()
        try:
            with hdf5.opened(path) as (_, layers):
                assert all(len(variables) for variables in layers.values())
        except ValueError:
            refused += 1
        assert time.process_time() - started < 1
    assert 100 < refused <= 500
