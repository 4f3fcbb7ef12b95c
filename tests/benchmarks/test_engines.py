"""The benchmark of engines times equal answers only, goes on where it stopped, says what fails."""

import dataclasses
import importlib.util
import json
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import engine_files, engine_loaders, engines, kept, plot, random_nets
from benchmarks.engine_files import FORMS, Task
from exports.runtimes import process
from tests.support.toys import TOYS

NET = "fcn_alexnet"
TOY = Task(NET, 40, 2, narrow=True)
KEY = "fcn_alexnet, 40 × 40, batch 2"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with the weights, images and scores of a toy."""
    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(random_nets.NARROW, NET, TOYS[NET].options)
        engine_files.WRITERS["weights"](TOY, folder)
        yield folder


@pytest.mark.parametrize("name", [engines.ZOO, "zoo, OpenVINO", "zoo, ONNX Runtime"])
def test_an_engine_gives_the_scores_of_keras_in_a_process_of_its_own(toy, name):
    form = engines.CONTESTANTS[name].form
    engine_files.main([form, NET, str(toy), "--size", "40", "--batch", "2", "--narrow"])
    assert engine_files.path_of(form, TOY, toy).exists()
    found = engines.visit(name, TOY, toy, turns=2)
    expected = np.load(toy / engine_files.SCORES)
    result = engines.compared(NET, found.scores, expected)
    assert "reason" not in result
    assert result["difference"] <= engines.MOST_DIFFERENCE
    assert len(np.unique(expected.argmax(-1))) > 1
    assert len(found.seconds) == 2
    assert 20e6 < found.peak < 2e9


@pytest.mark.parametrize("net", engines.NETS)
def test_the_net_in_pytorch_gives_the_scores_of_the_zoo(net, monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_nets

    options = TOYS[net].options | ({"depth": 4} if net == "unet" else {})
    monkeypatch.setitem(random_nets.NARROW, net, options)
    size = 224 if net == "deconvnet" else 100
    engine_files.WRITERS["weights"](Task(net, size, 1, narrow=True), tmp_path)
    images = np.load(tmp_path / engine_files.IMAGES)
    model = torch_nets.build(net, np.load(tmp_path / FORMS["weights"]))
    with torch.inference_mode():
        scores = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    result = engines.compared(
        net, scores.transpose(0, 2, 3, 1), np.load(tmp_path / engine_files.SCORES)
    )
    assert "reason" not in result
    assert result["difference"] < (1e-2 if net == "deconvnet" else 1e-5)


@pytest.mark.parametrize(
    ("form", "name", "module"),
    [
        ("torch.onnx", "torch.onnx, ONNX Runtime", "onnxscript"),
        ("ncnn", "ncnn", "pnnx"),
        ("mnn", "MNN", "MNN"),
        ("weights", "PyTorch, channels last", "torch"),
    ],
)
def test_what_a_converter_of_another_engine_writes(toy, form, name, module):
    for needed in ("torch", "onnxscript", module):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    # MNN 3.6 answers wrongly about the second image of a batch of FCN-AlexNet.
    task = dataclasses.replace(TOY, batch=1)
    found = engines.visit(name, task, toy, turns=1)
    result = engines.compared(NET, found.scores, np.load(toy / engine_files.SCORES)[:1])
    assert "reason" not in result


def test_an_engine_that_fails_says_why(tmp_path):
    order = {"engine": "onnx_runtime", "file": "none.onnx", "net": NET, "threads": 2}
    place = tmp_path / "contestant.json"
    place.write_text(json.dumps(order))
    with (
        pytest.raises(RuntimeError, match=r"NoSuchFile: .*none\.onnx"),
        process.loaded(place, "benchmarks.engine_loaders"),
    ):
        pass


def test_every_contestant_has_a_form_and_an_engine():
    for one in engines.CONTESTANTS.values():
        assert one.form in FORMS
        assert one.form in engine_files.WRITERS
        assert one.engine in engine_loaders.ENGINES


SCORES = np.array([[[[1, 4], [3, 2]]]], "float32")  # two pixels, two classes


@pytest.mark.parametrize(
    ("net", "scores", "reason"),
    [
        ("unet", SCORES + np.float32(2e-4), None),
        ("unet", SCORES + np.float32(6e-4), "scores differ by 2.0e-04 of their range, 100.00%"),
        ("unet", np.full_like(SCORES, np.nan), "scores differ by nan of their range"),
        ("unet", SCORES[..., ::-1], "0.00% same class"),
        ("unet", SCORES[:, :, :1], "scores of shape (1, 1, 1, 2), and not (1, 1, 2, 2)"),
        ("deconvnet", SCORES + np.float32(6e-4), None),
        ("deconvnet", SCORES[..., ::-1], "0.00% same class"),
    ],
)
def test_other_answers_do_not_count(net, scores, reason):
    found = engines.compared(net, scores, SCORES)
    assert reason in found["reason"] if reason else "reason" not in found


@pytest.fixture
def stand_ins(monkeypatch, tmp_path):
    """What each contestant answers or raises, without a process; and who was asked."""
    said = dict.fromkeys(engines.CONTESTANTS, 1.0)
    asked = []

    def visit(name, task, folder, turns):
        asked.append(name)
        if isinstance(said[name], BaseException):
            raise said[name]
        return engines.Visit(SCORES, [said[name] * factor for factor in (1, 2, 9)], 5_000_000_000)

    def write(form, task, folder):
        np.save(folder / engine_files.SCORES, SCORES)

    monkeypatch.setattr(engines, "visit", visit)
    monkeypatch.setattr(engine_files, "write", write)
    monkeypatch.setattr(engines, "NETS", {"unet": 8})
    return said, asked


def test_rounds_are_in_random_order_and_medians_are_compared(stand_ins, tmp_path):
    said, asked = stand_ins
    said["MNN"] = 0.5
    every = engines.run(tmp_path, nets=["unet"], batches=[1])
    count = len(engines.CONTESTANTS)
    rounds = [tuple(asked[start : start + count]) for start in range(0, 3 * count, count)]
    assert len(asked) == 3 * count
    assert {tuple(sorted(turn)) for turn in rounds} == {tuple(sorted(engines.CONTESTANTS))}
    assert len(set(rounds)) > 1
    assert engines.ratios(every["unet, 8 × 8, batch 1"])["MNN"] == 0.5
    assert not engines.complete(every)  # the batch of 4 lacks
    text = engines.section(every, tmp_path)
    assert "| MNN | 0.50 |" in text
    assert "| MNN | 1.000 |" in text
    assert "| MNN | 5.00 |" in text
    assert "| MNN | 0e+00, 100.00% |" in text
    assert "All were timed." in text
    assert ElementTree.parse(tmp_path / engines.PLOT).getroot().tag.endswith("svg")


def test_a_failure_is_a_line_and_is_not_tried_again(stand_ins, tmp_path):
    said, asked = stand_ins
    said["ncnn"] = RuntimeError("ncnn lacks a layer\n of the | net")
    said["PyTorch"] = ImportError("No module named 'torch'")
    every = engines.run(tmp_path, nets=["unet"])
    assert asked.count("ncnn") == 2  # once for each batch
    text = engines.section(every, tmp_path)
    assert "- ncnn, unet, 8 × 8, batch 1: ncnn lacks a layer of the / net." in text
    assert "- PyTorch, unet, 8 × 8, batch 4: not installed (No module named 'torch')." in text
    assert "| ncnn | – | – |" in text
    assert engines.complete(every)
    asked.clear()
    said["PyTorch"] = 1.0
    engines.run(tmp_path, nets=["unet"])
    assert asked == ["PyTorch"] * 6  # installed since


def test_what_was_stopped_goes_on(stand_ins, tmp_path):
    said, asked = stand_ins
    said["MNN"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        engines.run(tmp_path, nets=["unet"], batches=[1])
    before = list(asked)
    assert [path.name for path in tmp_path.iterdir()] == [engines.FILE]
    said["MNN"] = 1.0
    engines.run(tmp_path, nets=["unet"], batches=[1])
    assert len(asked) == 3 * len(engines.CONTESTANTS) + 1
    assert before[-1] == asked[len(before)] == "MNN"


def test_results_of_another_machine_are_not_mixed(stand_ins, tmp_path):
    engines.run(tmp_path, nets=["unet"], batches=[1])
    with pytest.raises(kept.UnableError, match=r"Pass another --out\.$"):
        engines.run(tmp_path, nets=["unet"], batches=[1], narrow=True)


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("raise TypeError('no such layer')", RuntimeError, "TypeError: no such layer"),
        ("import a_converter", ImportError, "No module named 'a_converter'"),
        ("pass", RuntimeError, "its converter wrote no file"),
        ("import os; os.kill(os.getpid(), 9)", OSError, "killed by signal 9"),
    ],
)
def test_a_converter_that_fails_says_why(tmp_path, monkeypatch, code, error, text):
    run = engine_files.subprocess.run
    monkeypatch.setattr(
        engine_files.subprocess,
        "run",
        lambda command, **options: run([command[0], "-c", code], **options),
    )
    with pytest.raises(error, match=text):
        engine_files.write("mnn", TOY, tmp_path)


def test_bars_are_a_picture_of_their_values():
    drawn = plot.bars({"left": {"a": 1.0, "b": 2.0}, "right": {"a": 0.5}}, x_label="time")
    root = ElementTree.fromstring(drawn)
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"left", "right", "a", "b", "time"} <= texts
