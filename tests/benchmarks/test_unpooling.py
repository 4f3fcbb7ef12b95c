"""The unpooling benchmark runs, times nothing that is not equal, and says what is missing."""

import pytest
import tensorflow as tf

from benchmarks import unpooling

SMALL = ["--batch", "2", "--repeats", "10", "--sizes", "6x5x3"]


def test_the_table_has_a_line_for_each_pass(capsys):
    assert unpooling.main(SMALL) == 0
    output = capsys.readouterr().out
    lines = [text for text in output.splitlines() if text.startswith("| 6x5x3 |")]
    assert [text.split(" | ")[1] for text in lines] == ["forward", "forward+backward"]
    cells = [len(text.split(" | ")) for text in output.splitlines() if text.startswith("| ")]
    assert cells == [8, 8, 8]


def test_unequal_values_are_not_timed(capsys, monkeypatch):
    monkeypatch.setattr(unpooling, "zoo_pair", lambda image: 2 * image)
    assert unpooling.main(SMALL) == 1
    printed = capsys.readouterr()
    assert "the values of zoo are not those of scatter_nd. Nothing is timed." in printed.err
    assert "6x5x3 |" not in printed.out


def test_unequal_gradients_are_not_timed(capsys, monkeypatch):
    right = unpooling.zoo_pair
    monkeypatch.setattr(
        unpooling, "zoo_pair", lambda image: tf.stop_gradient(right(image)) + 0 * image
    )
    assert unpooling.main(SMALL) == 1
    assert "forward+backward: the gradients of zoo are not those" in capsys.readouterr().err


def test_without_pytorch_it_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setattr(unpooling, "torch", None)
    assert unpooling.main(SMALL) == 0
    printed = capsys.readouterr()
    assert "PyTorch is not installed" in printed.err
    assert "'.[benchmarks]' --extra-index-url https://download.pytorch.org/whl/cpu" in printed.err
    assert printed.out.count("not installed") == 2


@pytest.mark.parametrize("wrong", [["--repeats", "9"], ["--batch", "0"]])
def test_a_median_of_few_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        unpooling.main(wrong)
    assert "the median needs 10 repeats or more; received" in capsys.readouterr().err
