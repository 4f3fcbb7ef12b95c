"""The parity benchmark sees what differs, writes only what passed, and says what is missing."""

import math
import re

import numpy as np
import pytest

from benchmarks import parity
from tests.support.toys import build_toy

SCORES = np.array([[[[1, 4], [3, 2]]]], "float32")  # two pixels, two classes


def result(ours: np.ndarray, theirs: np.ndarray = SCORES) -> parity.Result:
    return parity.compared("fcn8s", "1x2", {"score": ours}, {"score": theirs, "relu1_1": theirs})


def test_a_difference_is_relative_to_torchfcns_largest_value():
    assert parity.difference(SCORES + np.float32(0.5), SCORES) == 0.125
    assert parity.difference(SCORES, SCORES) == 0
    assert parity.difference(SCORES[:, :, :1], SCORES) == math.inf


def test_equal_scores_pass():
    equal = result(SCORES)
    assert equal.passed
    assert equal.layers == {"score": 0}
    assert (equal.agreeing, equal.pixels, equal.classes) == (2, 2, 2)


@pytest.mark.parametrize(
    ("ours", "agreeing"),
    [
        (SCORES + np.float32(1e-4), 2),
        (np.full_like(SCORES, np.nan), 1),
        (SCORES[..., ::-1], 0),
        (SCORES[:, :, :1], 0),
    ],
    ids=["offset", "NaN", "classes swapped", "another size"],
)
def test_other_scores_do_not_pass(ours, agreeing):
    other = result(ours)
    assert other.agreeing == agreeing
    assert not other.passed
    assert parity.score_table([other]).endswith("of 2 | 2 | no |")


def test_a_class_of_1_in_10_000_pixels_is_too_much():
    theirs = np.zeros((1, 1, 10_000, 2), "float32")
    theirs[..., 0] = 1e-6
    theirs[0, 0, 0] = 1, 0
    ours = theirs.copy()
    ours[0, 0, 5] = ours[0, 0, 5, ::-1]
    assert result(ours, theirs).passed
    ours[0, 0, 6] = ours[0, 0, 6, ::-1]
    assert not result(ours, theirs).passed


def test_a_layer_that_the_zoo_has_not_is_an_error():
    with pytest.raises(KeyError, match="conv1_1"):
        parity.compared("fcn8s", "1x2", {"score": SCORES}, {"conv1_1": SCORES, "score": SCORES})


def test_the_table_of_layers_has_the_largest_difference_of_all_sizes():
    results = [
        parity.Result("a", "1x1", {"score": 1e-7, "conv": 2e-7}, 1, 1, 1),
        parity.Result("a", "2x2", {"score": 3e-7, "conv": 1e-7}, 4, 4, 1),
        parity.Result("b", "1x1", {"score": math.nan}, 1, 1, 1),
    ]
    lines = parity.layer_table(results).splitlines()
    assert lines[0] == "| layer | a | b |"
    assert lines[2:] == ["| conv | 2.0e-07 |  |", "| score | 3.0e-07 | nan |"]


@pytest.fixture
def main(monkeypatch, tmp_path):
    """The program with a toy in the place of both nets, its answer times 1 or another factor."""
    toy = build_toy("fcn8s")
    document = tmp_path / "docs" / "parity.md"
    document.parent.mkdir()
    document.write_text("before")
    names = ("conv1_1", "pool3", "score_fr", "upscore8", "score")

    def run(*arguments: str, factor: float = 1) -> tuple[int, str]:
        def layers(theirs, image):
            return {k: factor * v for k, v in parity.our_layers(toy, names, image).items()}

        monkeypatch.setattr(parity, "their_layers", layers)
        return parity.main(list(arguments)), document.read_text()

    monkeypatch.setattr(parity, "load_torchfcn", lambda: None)
    monkeypatch.setattr(parity, "pair", lambda net, torchfcn: (toy, None))
    monkeypatch.setattr(parity.importlib.metadata, "version", lambda name: "1.2")
    monkeypatch.setattr(parity, "DOCUMENT", document)
    monkeypatch.setattr(parity, "SIZES", ("24x40", "33x21"))
    monkeypatch.setattr(parity, "NETS", {"fcn8s": None, "fcn16s": None})
    return run


def test_what_passed_is_written(main, capsys):
    code, document = main()
    assert code == 0
    assert "torchfcn 1.2, torch 1.2" in document
    for net in parity.NETS:
        assert f"| {net} | 33x21 | 0.0e+00 | 693 of 693 |" in document
    assert "| upscore8 | 0.0e+00 |" in document
    assert document in capsys.readouterr().out


def test_what_did_not_pass_is_not_written(main, capsys):
    assert main("--nets", "fcn8s", factor=1.001) == (1, "before")
    printed = capsys.readouterr()
    assert "nothing is written" in printed.err
    assert "| fcn8s | 24x40 | 1.0e-03 | 960 of 960 |" in printed.out


def test_a_part_is_only_printed(main, capsys):
    assert main("--nets", "fcn16s", "--sizes", "5x9") == (0, "before")
    assert "| fcn16s | 5x9 | 0.0e+00 | 45 of 45 |" in capsys.readouterr().out


def test_without_torchfcn_it_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setitem(parity.sys.modules, "torchfcn", None)
    assert parity.main([]) == 1
    printed = capsys.readouterr().err
    assert ".venv/bin/pip install --no-deps torchfcn==1.9.7" in printed
    assert "-e '.[parity]'" in printed


def test_the_document_has_every_net_and_size():
    document = parity.DOCUMENT.read_text(encoding="utf-8")
    assert "`python -m benchmarks.parity`" in document
    rows = re.findall(
        r"^\| (fcn\S*(?: learned)?) \| (\d+x\d+) \| (\S+) \| .* (\w+) \|$", document, re.M
    )
    assert [row[:2] for row in rows] == [
        (net, size) for net in parity.NETS for size in parity.SIZES
    ]
    assert all(float(off) <= parity.TOLERANCE and passed == "yes" for _, _, off, passed in rows)
