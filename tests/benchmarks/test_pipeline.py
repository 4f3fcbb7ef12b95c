"""The benchmark of the batches times nothing that is not the same, and says what is missing."""

import re

import numpy as np
import pytest

from benchmarks import pipeline as benchmark

CASE = "crops of 384: scale, flip, light"


@pytest.fixture
def main(monkeypatch, tmp_path):
    """The program with one case, few and small batches, no PyTorch, and a document of its own."""
    few = {"FILES": 3, "BATCH": 2, "BEFORE": 1, "COUNTED": 2, "AFTER": 1, "torch": None}
    for name, value in few.items():
        monkeypatch.setattr(benchmark, name, value)
    monkeypatch.setattr(benchmark, "CASES", {CASE: benchmark.CASES[CASE]})
    monkeypatch.setattr(benchmark, "DOCUMENT", tmp_path / "pipeline.md")
    monkeypatch.setattr(benchmark, "memory", lambda drawn, folder, files, images: files + 700.4)
    return benchmark.main


def test_the_tables_are_printed(main, capsys):
    assert main(["--turns", "5", "--files", "10", "2000"]) == 0
    printed = capsys.readouterr()
    rate = r"\d+ \(\d+\.\d\)"
    line = rf"^\| {CASE} \| {rate} \| {rate} \| not installed \| \d+\.\d \|$"
    assert re.search(line, printed.out, re.MULTILINE)
    assert "reads 2,000 images" in printed.out
    assert "| 10 | 710 |\n| 2,000 | 2700 |" in printed.out
    assert "PyTorch is not installed" in printed.err
    assert not benchmark.DOCUMENT.exists()


def test_the_document_is_written_by_the_whole_program_only(main, monkeypatch, capsys):
    runs = {"zoo": (300, 2), "loop": (250, 3), "DataLoader": (200, 4)}
    starts = {name: lambda name=name: name for name in runs}
    monkeypatch.setattr(benchmark, "contestants", lambda dataset, case: starts)
    monkeypatch.setattr(benchmark, "timed", lambda start: benchmark.Run(*runs[start()]))
    monkeypatch.setattr(benchmark, "torch", "here")
    monkeypatch.setattr(benchmark.importlib.metadata, "version", lambda name: "1.2")
    assert main(["--turns", "6"]) == 0
    assert not benchmark.DOCUMENT.exists()
    assert main([]) == 0
    document = benchmark.DOCUMENT.read_text(encoding="utf-8")
    assert document in capsys.readouterr().out
    assert f"| {CASE} | 300 (2.0) | 250 (3.0) | 200 (4.0) | 1.2 |" in document
    assert "| 200 | 900 |\n| 20,000 | 20700 |" in document
    assert "torch 1.2" in document


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda image, label: (255 - image, label), r"image 0 differs by \d+ grey levels"),
        (lambda image, label: (image, label[:, ::-1]), r"\d+% of label \d+ differ"),
        (lambda image, label: (image[1:], label[1:]), "the sizes of example 0 differ"),
    ],
)
def test_other_examples_are_not_timed(main, monkeypatch, capsys, changed, message):
    right = benchmark.Examples.__getitem__
    monkeypatch.setattr(
        benchmark.Examples, "__getitem__", lambda self, position: changed(*right(self, position))
    )
    assert main([]) == 1
    printed = capsys.readouterr()
    assert re.search(rf"{CASE}: {message}.*\. Nothing is timed\.", printed.err)
    assert not printed.out


def test_a_median_of_few_is_refused(main, capsys):
    with pytest.raises(SystemExit):
        main(["--turns", "4"])
    assert "the median needs 5 turns or more; received --turns 4" in capsys.readouterr().err


def test_both_make_batches_of_the_same_kind(main, tmp_path):
    benchmark.draw_files(tmp_path / "voc", 3)
    dataset = benchmark.voc.load(tmp_path / "voc")["train"]
    starts = benchmark.contestants(dataset, CASE)
    kinds = {
        name: [(np.shape(image), np.shape(label)) for image, label in start()]
        for name, start in starts.items()
    }
    assert kinds == dict.fromkeys(("zoo", "loop"), [((2, 384, 384, 3), (2, 384, 384))] * 4)


def test_the_memory_of_a_process_is_told(tmp_path):
    benchmark.draw_files(tmp_path / "drawn", 3)
    held = benchmark.memory(tmp_path / "drawn", tmp_path / "many", files=2000, images=80)
    assert 100 < held < 1500


def test_the_document_has_every_case_and_stays_below_the_limit():
    document = benchmark.DOCUMENT.read_text(encoding="utf-8")
    assert "`python -m benchmarks.pipeline`" in document
    assert re.findall(r"^\| (\w.*?) \|.* \d\.\d \|$", document, re.MULTILINE) == list(
        benchmark.CASES
    )
    memory = dict(re.findall(r"^\| ([\d,]+) \| (\d+) \|$", document, re.MULTILINE))
    assert list(memory) == ["200", "20,000"]
    assert max(map(int, memory.values())) < 1500
