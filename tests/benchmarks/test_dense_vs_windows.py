"""The benchmark of windows: what is counted, what is compared, and what is refused."""

import numpy as np
import pytest

from benchmarks import dense_vs_windows as benchmark
from zoo.inference.windows import classifier


@pytest.fixture
def few(monkeypatch):
    """One narrow net."""
    monkeypatch.setattr(benchmark, "OWN", {"fcn_alexnet": 227})


def test_every_way_is_timed(few, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "DOCUMENT", tmp_path / "document.md")
    assert benchmark.main(["--toy", "--repeats", "1", "--batch", "2"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| fcn")]
    assert len(rows) == 10
    crops = [row.split(" | ")[2] for row in rows if " forward " in row]
    assert crops == [
        "dense",
        "exact crops of 355 × 355, in batches",
        "exact crops of 355 × 355, one by one",
        "own crops of 227 × 227, in batches",
        "own crops of 227 × 227, one by one",
    ]
    assert not (tmp_path / "document.md").exists()  # these are not the options of the document


def test_multiplications_are_those_of_the_table_of_alexnet():
    """Worked out by hand from the sizes of FCN-AlexNet's layers at full width and 227 pixels."""
    parts = classifier(benchmark.build("fcn_alexnet"))
    by_hand = (
        55**2 * 96 * 11**2 * 3
        + 27**2 * 256 * 5**2 * 48
        + 13**2 * (384 * 256 + 384 * 192 + 256 * 192) * 3**2
        + 4096 * 256 * 6**2
        + 4096 * 4096
        + 4096 * 21
    )
    assert benchmark.multiplications_of(parts, 227, 1) == by_hand


def test_crops_with_other_scores_are_not_timed(few, capsys, monkeypatch):
    right = benchmark.classifier

    def shifted(model):
        parts = right(model)
        object.__setattr__(parts.field, "first", parts.field.first - 4)
        return parts

    monkeypatch.setattr(benchmark, "classifier", shifted)
    assert benchmark.main(["--toy", "--repeats", "1", "--batch", "2"]) == 1
    printed = capsys.readouterr()
    assert "differ from the dense scores by" in printed.err
    assert "Nothing is timed." in printed.err
    assert not printed.out


def test_scores_are_compared_at_their_own_cells():
    dense = np.array([[1.0, 2.0], [3.0, 4.0]])
    benchmark.check("crops", dense.copy(), dense)
    with pytest.raises(benchmark.DifferenceError, match=r"crops differ .* by 5\.0e-01"):
        benchmark.check("crops", dense[::-1], dense)


@pytest.mark.parametrize("wrong", [["--repeats", "0"], ["--batch", "0"], ["--batch", "9"]])
def test_wrong_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(wrong)
    assert "Pass --repeats 3 --batch 4." in capsys.readouterr().err
