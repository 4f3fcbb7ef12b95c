"""Saving weights with their sha256, and `zoo convert`."""

import os
import pathlib

import keras
import numpy as np
import pytest

import zoo
from tests.support.toys import TOYS, build_toy
from zoo.__main__ import main

FCN = TOYS["fcn8s"].options


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    """The toy of fcn8s, saved."""
    return zoo.weights.save(build_toy("fcn8s"), tmp_path / "net.weights.h5")


@pytest.mark.parametrize("name", sorted(TOYS))
def test_saved_weights_come_back(name, tmp_path):
    model = build_toy(name)
    path = zoo.weights.save(model, tmp_path / "net.weights.h5")
    again = zoo.build(name, **TOYS[name].options, weights=path)
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    record = (tmp_path / "net.weights.h5.sha256").read_text()
    assert record == f"{zoo.weights.sha256(path)}  net.weights.h5\n"  # as sha256sum --check reads
    assert len(list(tmp_path.iterdir())) == 2


def test_a_changed_file_is_refused_until_its_sha256_is_removed(path):
    assert zoo.weights.is_whole(path)
    other = zoo.build("fcn8s", **FCN)
    other.save_weights(path)
    assert zoo.weights.is_whole(path) is False
    for option in ("weights", "encoder_weights"):
        with pytest.raises(ValueError, match=r"net\.weights\.h5 is not the file that .*\.sha256 w"):
            zoo.build("fcn8s", **FCN, **{option: path})
    path.with_name("net.weights.h5.sha256").unlink()
    assert zoo.weights.is_whole(path) is None
    zoo.build("fcn8s", **FCN, weights=path)


def test_a_save_that_fails_leaves_what_was_there(path, monkeypatch):
    before = path.read_bytes()

    def full(model, file):
        pathlib.Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save_weights", full)
        with pytest.raises(OSError, match="No space left"):
            zoo.weights.save(build_toy("fcn8s"), path)
    assert path.read_bytes() == before
    assert zoo.weights.is_whole(path)
    assert len(list(path.parent.iterdir())) == 2


def test_a_disk_that_is_full_when_the_new_file_is_synced_leaves_both_old_ones(path, monkeypatch):
    before = {file: file.read_bytes() for file in path.parent.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*net\.weights\.h5'"):
            zoo.weights.save(zoo.build("fcn8s", **FCN), path)
    assert before == {file: file.read_bytes() for file in path.parent.iterdir()}


def test_a_save_that_is_cut_off_between_the_two_files_leaves_a_file_that_can_be_used(
    path, monkeypatch
):
    replace, calls = os.replace, []

    def cut_off(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    other = zoo.build("fcn8s", **FCN)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            zoo.weights.save(other, path)
    assert zoo.weights.is_whole(path) is None
    zoo.build("fcn8s", **FCN, weights=path)


def test_what_reads_back_as_other_numbers_is_not_kept(path, monkeypatch):
    before, save = path.read_bytes(), keras.Model.save_weights

    def save_others(model, file):
        save(zoo.build("fcn8s", **FCN), file)

    monkeypatch.setattr(keras.Model, "save_weights", save_others)
    with pytest.raises(OSError, match="kernel reads back as other numbers"):
        zoo.weights.save(build_toy("fcn8s"), path)
    assert path.read_bytes() == before


def test_weights_have_one_ending(tmp_path):
    with pytest.raises(ValueError, match=r"received 'net\.h5'\. Name it net\.weights\.h5\."):
        zoo.weights.save(build_toy("fcn32s"), tmp_path / "net.h5")


def test_progress_counts_every_number(path):
    model, told = zoo.build("fcn8s", **FCN), []
    zoo.weights.load(model, weights=path, progress=lambda *numbers: told.append(numbers))
    assert told == sorted(told)
    assert told[-1] == (model.count_params(), model.count_params())
    assert len(told) == len(model.weights)


@pytest.mark.parametrize("says", [True, False])
def test_convert_writes_weights_that_load_takes(says, path, tmp_path, capsys):
    target = tmp_path / "converted.weights.h5"
    words = ["convert", str(path), str(target)]
    if not says:  # as a file that Keras wrote
        build_toy("fcn8s").save_weights(path)
        path.with_name("net.weights.h5.sha256").unlink()
        options = '{"classes": 4, "stages": [4, 6, 8, 8, 8], "fc_filters": 12}'
        words += ["--model", "fcn8s", "--options", options]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert f"written: {target} and {target}.sha256" in out
    count = zoo.build("fcn8s", **FCN).count_params()
    assert f"{count:,} of {count:,} numbers\n" in out
    scope = {"zoo": zoo}
    model = eval(out.splitlines()[-1].removeprefix("Next: "), scope)  # the line works as it is
    for ours, theirs in zip(model.weights, build_toy("fcn8s").weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert main(words) == 2
    said = f"zoo convert: {target} exists and is not overwritten. Name another"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "model", "options", "message"),
    [
        ("net.weights.h5", "fcn9s", "{}", "weights of fcn8s; received model 'fcn9s'"),
        ("net.weights.h5", "fcn8s", "{classes}", "takes a JSON object; received '{classes}'"),
        ("net.weights.h5", "fcn8s", "[21]", "--options: takes a JSON object; received '[21]'"),
        ("net.weights.h5", "fcn8s", '{"width": 1}', "fcn8s has no option 'width'"),
        (
            "net.weights.h5",
            "fcn8s",
            '{"fc_filters": 1}',
            "was saved with fc_filters=12; received fc_filters=1",
        ),
        ("of_keras.weights.h5", "fcn8s", '{"fc_filters": 1}', "do not fit fcn8s"),
        ("of_keras.weights.h5", "fcn9s", "{}", "Did you mean 'fcn8s'"),
        (
            "none.caffemodel",
            "fcn8s",
            '{"fc_filters": 1, "stages": [2, 2, 2, 2, 2]}',
            "there is none at",
        ),
    ],
)
def test_convert_says_what_is_wrong(source, model, options, message, path, tmp_path, capsys):
    target = tmp_path / "new.weights.h5"
    build_toy("fcn8s").save_weights(tmp_path / "of_keras.weights.h5")
    words = [str(tmp_path / source), str(target), "--model", model, "--options", options]
    assert main(["convert", *words]) == 2
    assert message in capsys.readouterr().err
    assert not target.exists()
