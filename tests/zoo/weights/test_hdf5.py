"""Keras files from strangers, damaged or made to do harm: refused, and the model is as it was."""

import re
import struct
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest

import zoo
from tests.support.refusals import check_refused
from tests.support.toys import TOYS, build_toy
from zoo.weights import hdf5

FCN = TOYS["fcn8s"].options
DAMAGED = "FILE is damaged or not a file of weights that Keras saved: "
REMEDY = "Copy or download it again, or save it again with model.save_weights(…)."


@pytest.fixture
def model():
    return zoo.build("fcn8s", **FCN)


@pytest.fixture
def path(tmp_path):
    """A file of weights, to be damaged."""
    path = tmp_path / "saved.weights.h5"
    build_toy("fcn8s").save_weights(path)
    return path


def replace(path, name: str, value) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        if value is not None:
            file[name] = value


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
@pytest.mark.parametrize("kept", [1, 500, 0.5, -1])
def test_truncated_files(kept, ending, model, tmp_path):
    path = tmp_path / f"saved.{ending}"
    saved = build_toy("fcn8s")
    saved.save_weights(path) if ending == "weights.h5" else saved.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    check_refused(model, path, DAMAGED)
    with pytest.raises(ValueError, match=re.escape(REMEDY)):
        zoo.weights.load(model, weights=path)


def test_a_changed_byte_in_a_zip(model, tmp_path):
    path = tmp_path / "saved.keras"
    build_toy("fcn8s").save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    check_refused(model, path, DAMAGED + "Bad CRC-32 for file 'model.weights.h5'")


def test_a_compressed_keras_file(model, path, tmp_path):
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "model.weights.h5")
    check_refused(model, other, DAMAGED + "model.weights.h5 in it is compressed")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("vars", None, "/vars is missing or a link"),
        ("layers", None, "/layers is missing or a link"),
        ("vars", np.zeros(3), "/vars is not a group"),
        ("vars/0", np.zeros(3), "its model has variables outside of the layers"),
        ("layers/conv2d/layers", np.zeros(3), "/layers/conv2d is a model or layer that holds"),
        ("layers/conv2d/vars", None, "/layers/conv2d/vars is missing or a link"),
        (
            "layers/conv2d/more",
            np.zeros(3),
            "/layers/conv2d is a model or layer that holds other layers",
        ),
        ("more", np.zeros(3), "it holds more than layers, optimizer, vars"),
        ("layers/conv2d/vars/more", np.zeros(3), "/layers/conv2d/vars/2 is missing or a link"),
        ("layers/\x1b[31m", np.zeros(3), r"'/layers/\x1b[31m' is not printable"),
        ("layers/conv2d/vars/0/0", np.zeros(3), "/layers/conv2d/vars/0 is not a dataset"),
        (
            "layers/conv2d/vars/0",
            h5py.SoftLink("/layers/conv2d_1/vars/0"),
            "/layers/conv2d/vars/0 is missing or a link",
        ),
        (
            "layers/conv2d/vars/0",
            h5py.ExternalLink("/etc/passwd", "/"),
            "/layers/conv2d/vars/0 is missing or a link",
        ),
    ],
)
def test_other_contents(name, value, text, model, path):
    with h5py.File(path, "a") as file:
        if name.endswith("0/0"):
            del file[name.removesuffix("/0")]
        elif name in file:
            del file[name]
        if value is not None:
            file[name] = value
    check_refused(model, path, DAMAGED + text)


def test_numbers_in_another_file(model, path, tmp_path):
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars/1"]
        file["layers/conv2d/vars"].create_dataset("1", (4,), "f4", external="/etc/passwd")
    check_refused(model, path, DAMAGED + "/layers/conv2d/vars/1 stores its numbers in another file")


def test_numbers_that_lie_beyond_the_file(model, path):
    with h5py.File(path) as file:
        variable = file["layers/conv2d/vars/0"].id
        place = struct.pack("<QQ", variable.get_offset(), variable.get_storage_size())
    content = path.read_bytes()
    assert content.count(place) == 1
    path.write_bytes(content.replace(place, struct.pack("<Q", len(content)) + place[8:]))
    check_refused(model, path, DAMAGED)


def test_numbers_that_cannot_be_read(model, path, monkeypatch):
    def failing(self, key):
        raise OSError("a bad sector")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", failing)
    check_refused(
        model, path, "  conv1_1: damaged (a bad sector); copy or download the file again\n"
    )


def test_two_layers_of_one_name(model, path):
    with h5py.File(path, "a") as file:
        file["layers/conv2d_1/vars"].attrs["name"] = "conv1_1"
    check_refused(model, path, DAMAGED + "two layers have the name 'conv1_1'")


def create(path, **options) -> None:
    """Puts another array in the place of one."""
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars/1"]
        file["layers/conv2d/vars"].create_dataset("1", dtype="f4", **options)


def test_a_terabyte_that_is_not_there(model, path):
    create(path, shape=(1 << 19, 1 << 19))
    check_refused(
        model, path, DAMAGED + "/layers/conv2d/vars/1 holds fewer numbers than its shape says"
    )


def test_a_chunk_larger_than_its_array(model, path):
    """A kilobyte that is four gigabytes when read, though the shape is the model's."""
    create(path, shape=(4,), maxshape=(None,), chunks=(1 << 29,), compression="gzip")
    check_refused(model, path, DAMAGED + "/layers/conv2d/vars/1 stores its numbers in chunks")


def test_an_array_too_many(model, path):
    with h5py.File(path, "a") as file:
        file["layers/conv2d/vars/2"] = np.zeros(3, "f4")
    check_refused(model, path, "  conv1_1: [3, 3, 3, 4] and [4] and [3] in the file, [3, 3, 3, 4]")
    with h5py.File(path, "a") as file:
        for index in range(3, 65):
            file[f"layers/conv2d/vars/{index}"] = np.zeros(3, "f4")
    check_refused(model, path, DAMAGED + "/layers/conv2d/vars has more than 64 members")


def test_more_layers_than_any_model_has(model, path):
    with h5py.File(path, "a") as file:
        for index in range(1025):
            file.create_group(f"layers/{index}")
    check_refused(model, path, DAMAGED + "it has more than 1024 layers")


def test_a_zip_that_grows_is_not_unpacked(model, tmp_path, monkeypatch):
    path = tmp_path / "saved.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(50_000_000))
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(hdf5.shutil, "copyfileobj", None)
    check_refused(model, path, DAMAGED + "model.weights.h5 in it is compressed")


def test_a_zip_of_many_members_is_not_listed(model, tmp_path, monkeypatch):
    path = tmp_path / "saved.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(40):
            archive.writestr(f"{index}" * 25_000, b"")
    monkeypatch.setattr(hdf5.zipfile, "ZipFile", None)
    check_refused(model, path, DAMAGED + "the list of its members is too long")


@pytest.mark.parametrize(
    ("dtype", "found"),
    [("int32", "int32"), (ml_dtypes.bfloat16, "|V2"), ("complex64", "complex64")],
)
def test_numbers_of_another_type(dtype, found, model, path):
    replace(path, "layers/conv2d_1/vars/1", np.zeros(4, dtype))
    check_refused(
        model,
        path,
        f"{DAMAGED}conv1_2 has numbers of type {found}; float32, float16 and float64 are read. "
        + REMEDY,
    )


@pytest.mark.parametrize("place", ["layers/conv2d/linked", "linked"])
@pytest.mark.parametrize("ending", ["h5", "weights.h5"])
def test_a_link_is_never_followed(ending, place, model, tmp_path, monkeypatch):
    path, reached, original = tmp_path / f"saved.{ending}", [], h5py.Group.__getitem__
    with h5py.File(path, "w") as file:
        file[place] = h5py.ExternalLink("/etc/passwd", "/")

    def followed(self, name):
        reached.append(name)
        return original(self, name)

    monkeypatch.setattr(h5py.Group, "__getitem__", followed)
    check_refused(model, path, DAMAGED.partition(":")[0])
    assert "linked" not in reached
