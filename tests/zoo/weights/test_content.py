"""Files whose name lies, or that other programs wrote: loaded, or named for what they are."""

import io
import pickle
import shutil
import tarfile
import zipfile

import h5py
import keras
import numpy as np
import pytest

import zoo
from tests.parity.caffe import definitions
from tests.parity.caffe.engine import random_blobs
from tests.parity.caffe.messages import write_caffemodel
from tests.support.refusals import check_refused
from tests.support.toys import TOYS, build_toy

UNET, FCN = TOYS["unet"].options, TOYS["fcn32s"].options


def same(model: keras.Model, other: keras.Model) -> None:
    assert model.get_weights()
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["deconvnet", "fcn8s"])
def test_a_whole_model_in_a_h5_of_keras_3_gives_its_weights(name, tmp_path):
    saved = build_toy(name)
    saved.compile("adam", "mse")
    saved.save(tmp_path / "whole.h5")
    same(zoo.build(name, **TOYS[name].options, weights=tmp_path / "whole.h5"), saved)


@pytest.mark.parametrize(
    ("written", "named"),
    [("a.weights.h5", "b.h5"), ("a.weights.h5", "b.keras"), ("a.keras", "b.weights.h5")],
)
def test_the_content_decides_and_not_the_name(written, named, tmp_path):
    saved = build_toy("unet")
    write = saved.save if written == "a.keras" else saved.save_weights
    write(tmp_path / written)
    shutil.move(tmp_path / written, tmp_path / named)
    same(zoo.build("unet", **UNET, weights=tmp_path / named), saved)


def test_a_renamed_file_still_says_what_it_is(tmp_path):
    path = zoo.weights.save(build_toy("unet"), tmp_path / "a.weights.h5")
    path.rename(tmp_path / "b.h5")
    assert zoo.read_spec(tmp_path / "b.h5").model == "unet"


def test_caffes_file_in_hdf5_is_loaded_as_its_caffemodel(tmp_path):
    net = definitions.fcn_vgg("fcn32s", **FCN)
    blobs = random_blobs(net)
    with h5py.File(tmp_path / "net.caffemodel.h5", "w") as file:
        file.create_group("data/pool1")  # as Caffe writes it for layers without numbers
        for name, arrays in blobs.items():
            for index, array in enumerate(arrays):
                file[f"data/{name}/{index}"] = array
    expected = zoo.build(
        "fcn32s", **FCN, weights=write_caffemodel(tmp_path / "net.caffemodel", blobs)
    )
    same(zoo.build("fcn32s", **FCN, weights=tmp_path / "net.caffemodel.h5"), expected)
    with h5py.File(tmp_path / "net.caffemodel.h5", "a") as file:
        file["data/upscore/0"][0, 0] *= 2
    check_refused(expected, tmp_path / "net.caffemodel.h5", "upscore: [4, 4, 64, 64] in the file")


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, b"")
    return content.getvalue()


def tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        file.addfile(tarfile.TarInfo("net.caffemodel"))
    return content.getvalue()


FOREIGN = {
    "nothing": (b"", "empty"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git"),
    "web page": (b"\n <!doctype html><title>Sign in</title>", "a web page"),
    "web page with a mark": (b"\xef\xbb\xbf<html>", "a web page"),
    "error of a server": (b'{"error": "not found"}', "a text in JSON"),
    "torch": (archive("model/data.pkl", "model/data/0"), "a file of PyTorch"),
    "old torch": (pickle.dumps({}, protocol=2), "a pickle"),
    "npz": (archive("a.npy", "b.npy"), "a file of arrays of NumPy"),
    "zip": (archive("config.json"), "a zip archive without model.weights.h5"),
    "safetensors": (b"\x02\0\0\0\0\0\0\0{}" + bytes(8), "a safetensors file"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "a TFLite file"),
    "gzip": (b"\x1f\x8b\x08\0", "a compressed archive"),
    "tar": (tar(), "an archive"),
}


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5", "net.keras", "net.caffemodel"])
@pytest.mark.parametrize("case", FOREIGN)
def test_a_file_of_something_else_is_named(case, name, tmp_path):
    content, what = FOREIGN[case]
    path = tmp_path / name
    path.write_bytes(content)
    for read in (zoo.read_spec, lambda file: zoo.build("unet", **UNET, weights=file)):
        with pytest.raises(ValueError, match=rf"{name} is {what}.*, and no file of weights that c"):
            read(path)


def test_an_inner_model_is_saved_alone(tmp_path):
    """What the error advises."""
    inner = build_toy("unet")
    outer = keras.Sequential([keras.Input((None, None, 3)), inner])
    outer.save_weights(tmp_path / "outer.weights.h5")
    check_refused(
        zoo.build("unet", **UNET),
        tmp_path / "outer.weights.h5",
        "FILE is of a model that holds models: /layers/functional is one. Save the inner model "
        'alone: model.get_layer(NAME).save_weights("inner.weights.h5").',
    )
    outer.get_layer("unet").save_weights(tmp_path / "inner.weights.h5")
    same(zoo.build("unet", **UNET, weights=tmp_path / "inner.weights.h5"), inner)
    with pytest.raises(ValueError, match=r"without models inside; unet is one. Save it alone"):
        zoo.weights.save(outer, tmp_path / "b.weights.h5")
    zoo.weights.save(outer.get_layer("unet"), tmp_path / "b.weights.h5")
