"""The comparison with OpenCV holds every net of the authors, and sees what differs."""

import dataclasses
import functools
import math

import numpy as np
import pytest

from benchmarks import authors_nets
from tests.parity.caffe import definitions

AUTHORS = 15  # folders of github.com/shelhamer/fcn.berkeleyvision.org


def narrow(net: str, **changes: object) -> authors_nets.Row:
    """A row in small widths."""
    options = {"classes": 4, "filters": 3}
    row = authors_nets.ROWS[net]
    define = functools.partial(definitions.segnet, **options)
    return dataclasses.replace(row, define=define, options=options, sizes=("64x96",), **changes)


def test_every_definition_of_the_authors_is_compared():
    folders = [
        net for net in authors_nets.ROWS if net.startswith(("voc", "nyud", "sift", "pascal"))
    ]
    assert len(folders) == AUTHORS
    assert {"DeconvNet", "SegNet", "SegNet-Basic"} < set(authors_nets.ROWS)


def test_a_net_that_is_prepared_alike_passes_and_another_does_not(monkeypatch):
    monkeypatch.setitem(authors_nets.ROWS, "toy", narrow("SegNet"))
    same = authors_nets.compared("toy", None)
    assert same.passed
    assert same.classes == same.of == 4
    assert same.all == same.zoo
    monkeypatch.setitem(authors_nets.ROWS, "toy", narrow("SegNet", mean=(0, 0, 9)))
    assert not authors_nets.compared("toy", None).passed


@pytest.mark.parametrize(
    ("net", "difference", "agreeing", "passed"),
    [
        ("voc-fcn8s", 1e-6, 10_000, True),
        ("voc-fcn8s", 1e-4, 10_000, False),
        ("voc-fcn8s", np.nan, 10_000, False),
        ("voc-fcn8s", 1e-6, 9_998, False),
        ("SegNet", 0.1, 10_000, True),  # a switch
        ("SegNet", np.nan, 10_000, False),
        ("SegNet", 0.1, 9_998, False),
    ],
)
def test_scores_and_classes_decide(net, difference, agreeing, passed):
    result = authors_nets.Result(net, "call", 1, 1, difference, agreeing, 10_000, 2, 2)
    assert result.passed == passed
    assert not dataclasses.replace(result, difference=math.inf).passed
