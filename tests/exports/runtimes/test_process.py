"""A SavedModel in a process of its own: without TensorFlow's Python, with its costs and its end."""

import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from exports import protobuf
from exports.runtimes import INVALID_ARGUMENT, StatusError, process, tensorflow_c
from tests.fuzz import wire as written


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> pathlib.Path:
    """A SavedModel that gives back what it is given, and more of it."""
    path = tmp_path_factory.mktemp("saved")

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def numbers(x):
        tf.debugging.Assert(tf.size(x) > 0, ["No numbers."])
        return {"same": x, "many": tf.fill([1000, 1000], tf.reduce_sum(x))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def strings(x):
        return {"twice": x + x}

    tf.saved_model.save(
        tf.Module(), str(path), signatures={"serving_default": numbers, "strings": strings}
    )
    return path


@pytest.fixture(scope="module")
def ask(directory):
    with process.loaded(directory) as ask:
        yield ask


def test_answers_come_back_with_their_cost(ask):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    answer = ask("serving_default", {"x": x})
    np.testing.assert_array_equal(answer.outputs["same"], x)
    assert answer.outputs["many"].shape == (1000, 1000)
    assert 0 < answer.seconds < 10
    assert answer.peak_bytes > answer.outputs["many"].nbytes
    strings = np.array([b"a\0b", b"", b"c" * 100], object)
    twice = ask("strings", {"x": strings}).outputs["twice"]
    assert twice.tolist() == [b"a\0ba\0b", b"", b"c" * 200]


def test_what_tensorflow_refuses_is_raised_here_and_the_next_is_answered(ask):
    with pytest.raises(StatusError, match="No numbers") as refused:
        ask("serving_default", {"x": np.zeros(0, np.float32)})
    assert refused.value.code == INVALID_ARGUMENT
    with pytest.raises(KeyError, match=r"no signature 'serving_default' of \['y'\] in"):
        ask("serving_default", {"y": np.ones(1, np.float32)})
    assert ask("serving_default", {"x": np.ones(1, np.float32)}).outputs["same"] == [1]


def test_files_that_are_none_are_refused(tmp_path):
    with (
        pytest.raises(StatusError, match="Could not find SavedModel"),
        process.loaded(tmp_path),
    ):
        pass


def test_the_process_imports_nothing_of_tensorflows_python(directory):
    request = pickle.dumps(("serving_default", {"x": np.ones(3, np.float32)}))
    run = subprocess.run(
        [sys.executable, "-P", process.__file__, str(directory), "tensorflow_c"],
        input=request,
        capture_output=True,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        check=False,
    )
    imported = {line.rpartition(b"|")[2].strip() for line in run.stderr.splitlines()}
    assert {b"numpy", b"exports.runtimes.tensorflow_c_api"} <= imported
    assert not {name for name in imported if name.split(b".")[0] in (b"tensorflow", b"keras")}
    assert len(run.stdout) > 4_000_000


def test_a_process_that_ends_is_no_answer(directory, monkeypatch):
    started = []
    honest = subprocess.Popen

    def start(*arguments, **options):
        started.append(honest(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with process.loaded(directory) as ask:
        started[0].send_signal(signal.SIGKILL)
        started[0].wait()
        with pytest.raises(OSError, match=r"that of .* ended with -9: .* free some memory"):
            ask("strings", {"x": np.array([b"x" * 10**6], object)})


def test_the_numbers_of_types_and_the_configuration_are_tensorflows():
    for number, kind in tensorflow_c._TYPES.items():
        assert tf.as_dtype(number).as_numpy_dtype == kind
    assert types_pb2.DT_STRING == tensorflow_c._STRING
    config = tf.compat.v1.ConfigProto.FromString(tensorflow_c._NO_GPU)
    assert config == tf.compat.v1.ConfigProto(device_count={"GPU": 0})


def test_the_wire_format_is_read_and_written():
    message = (
        written.field(1, b"text")
        + written.field(2, 1 << 40)
        + written.field(3, b"8 bytes!", wire=1)
        + written.field(4, b"four", wire=5)
        + written.field(200, b"x" * 300)
    )
    assert list(protobuf.fields(message)) == [
        *((1, b"text"), (2, 1 << 40), (3, b"8 bytes!"), (4, b"four"), (200, b"x" * 300)),
    ]
    for number, content in ((1, b""), (15, b"x"), (16, b"y" * 127), (3000, b"z" * 20000)):
        assert protobuf.field(number, content) == written.field(number, content)
    pairs = [
        protobuf.field(5, protobuf.field(1, key) + protobuf.field(2, b"of " + key))
        for key in (b"a", b"b")
    ]
    assert protobuf.mapping(b"".join(pairs) + protobuf.field(4, b"else"), 5) == {
        "a": b"of a",
        "b": b"of b",
    }


def test_a_number_without_an_end_is_refused_at_once():
    """A reader of any length is quadratic in what it is given."""
    start = time.monotonic()
    for read in (lambda content: list(protobuf.fields(content)), protobuf.varints):
        with pytest.raises(ValueError, match="break"):
            read(b"\xff" * 500_000)
    assert time.monotonic() - start < 1
    assert protobuf.varints(b"".join(map(protobuf.varint, (0, 127, 128, 1 << 63)))) == [
        *(0, 127, 128, 1 << 63)
    ]


@pytest.mark.parametrize("broken", [b"\x0a\x05four", b"\x0a", b"\x80", b"\x0b\x00", b"\x09seven"])
def test_a_message_that_breaks_off_is_refused(broken):
    with pytest.raises(ValueError, match=rf"this one of {len(broken)} bytes breaks at"):
        list(protobuf.fields(broken))


def of_copy(tmp_path, monkeypatch, module: str, old: str, new: str) -> None:
    """Runs the process from a copy of `exports.runtimes` in which a module is changed."""
    package = tmp_path / "exports"
    shutil.copytree(pathlib.Path(process.__file__).parents[1], package)
    file = package / "runtimes" / module
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    monkeypatch.setattr(process, "__file__", str(package / "runtimes" / "process.py"))


def test_a_library_that_cannot_forbid_xla_answers_all_the_same(directory, tmp_path, monkeypatch):
    of_copy(tmp_path, monkeypatch, "tensorflow_c_api.py", "DisableXlaCompilation", "Renamed")
    with process.loaded(directory) as ask:
        assert ask("serving_default", {"x": np.ones(1, np.float32)}).outputs["same"] == [1]


def test_a_library_that_lacks_a_function_is_told(directory, tmp_path, monkeypatch):
    of_copy(tmp_path, monkeypatch, "tensorflow_c_api.py", '"TF_NumDims"', '"TF_CountDims"')
    with (
        pytest.raises(OSError, match=r"has no TF_CountDims\. Install TensorFlow again"),
        process.loaded(directory),
    ):
        pass


@pytest.mark.parametrize(
    "hang",
    [
        "time.sleep(60)  # never reads a request",
        "os.close(replies.fileno()); time.sleep(60)",
        'replies.write(b"no pickle"); replies.flush(); time.sleep(60)',
    ],
)
def test_a_process_that_does_not_answer_is_bounded(hang, directory, tmp_path, monkeypatch):
    old = "            while True:\n"
    of_copy(tmp_path, monkeypatch, "process.py", old, f"            {hang}\n{old}")
    monkeypatch.setattr(process, "_LAST_SECONDS", 0.1)
    start = time.monotonic()
    with (
        pytest.raises((TimeoutError, OSError), match=r"did not answer within 8 s|closed its pipe"),
        process.loaded(directory, limit=8) as ask,
    ):
        ask("strings", {"x": np.array([b"x" * 10**6], object)})
    assert time.monotonic() - start < 30


def test_a_process_that_ends_says_what_it_said(directory, tmp_path, monkeypatch):
    old = "        with module.loaded(path) as ask:\n"
    of_copy(tmp_path, monkeypatch, "process.py", old, f'        sys.exit("no such symbol")\n{old}')
    with (
        pytest.raises(OSError, match=r"ended with 1: '.*no such symbol'\. Install what it names"),
        process.loaded(directory),
    ):
        pass
