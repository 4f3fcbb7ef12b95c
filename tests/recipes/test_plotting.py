"""`zoo plot`: what is drawn of which tables, and what is told of those that hold little."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from recipes import plotting

SCORES = "step,pixel_accuracy,mean_accuracy,mean_iou,frequency_weighted_iou\n"


def run(folder, log="", scores="", head=""):
    """A workdir with these rows in its tables."""
    folder.mkdir(parents=True)
    recipe = {"name": "coins_unet", "model": "unet", "data": "coins"}
    (folder / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    (folder / "log.csv").write_text("step,loss,seconds\n" + log)
    (folder / "scores.csv").write_text(SCORES.replace("\n", head + "\n") + scores)
    return folder


def command(capsys, *words):
    status = plotting.plot([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


def read(*folders):
    named = zip(folders, plotting.names(folders), strict=True)
    return [plotting.read(folder, name) for folder, name in named]


def lines(panel):
    return [line.get_xydata().tolist() for line in panel.lines]


@pytest.fixture
def two(tmp_path):
    one = run(tmp_path / "a/unet", "2,4.0,1\n4,2.0,2\n6,1.0,3\n", "4,.5,.4,.3,.2\n6,.6,.5,.4,.3\n")
    return one, run(tmp_path / "b/unet", "2,3.0,1\n4,1.5,2\n", "4,.9,.8,.7,.6\n")


def test_each_run_is_a_line_of_each_panel_and_has_a_name_of_its_own(two):
    figure = plotting.draw(read(*two))
    loss, *scores = figure.axes
    assert lines(loss) == [[[2, 4], [4, 2], [6, 1]], [[2, 3], [4, 1.5]]]
    assert [panel.get_title() for panel in scores] == [
        *("held-out pixel accuracy", "held-out mean accuracy"),
        *("held-out mean IoU", "held-out frequency weighted IoU"),
    ]
    assert lines(scores[2]) == [[[4, 0.3], [6, 0.4]], [[4, 0.7]]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a/unet", "b/unet"]
    colours = [line.get_color() for line in loss.lines]
    assert colours == [line.get_color() for line in legend.get_lines()]
    assert len(set(colours)) == 2


def test_smoothed_lines_are_means_and_say_so(two):
    plain, smooth = (plotting.draw(read(two[0]), smooth=n).axes[0] for n in (None, 2))
    rows, means = lines(smooth)
    assert rows == lines(plain)[0]
    assert means == [[2, 4], [4, 3], [6, 1.5]]
    assert smooth.lines[0].get_alpha() < 0.5
    assert (plain.get_ylabel(), smooth.get_ylabel()) == ("", "mean of 2 rows")


def test_scores_of_further_heads_have_panels_and_runs_without_them_no_line(two, tmp_path):
    heads = run(tmp_path / "heads", "", "4,1,1,1,1,.25\n", head=",geometric_mean_iou")
    panels = plotting.draw(read(heads, two[0])).axes
    assert len(panels) == 6
    assert panels[-1].get_title() == "held-out geometric mean IoU"
    assert lines(panels[-1]) == [[[4, 0.25]]]
    assert len(lines(panels[0])) == 1


def test_what_is_not_there_yet_is_told_and_the_rest_is_drawn(tmp_path, capsys):
    begun = run(tmp_path / "begun", "2,4.0,1\n4,2.0,2\n6,1.")
    (begun / "scores.csv").unlink()
    empty = run(tmp_path / "empty")
    (panel,) = plotting.draw(read(begun, empty)).axes
    assert lines(panel) == [[[2, 4], [4, 2]]]
    status, out, _ = command(capsys, begun, empty, "--out", tmp_path / "plot.png")
    assert (status, out.splitlines()) == (
        0,
        [
            *("begun has no score yet", "empty has no row of the loss yet"),
            *("empty has no score yet", f"written: {tmp_path}/plot.png"),
        ],
    )
    with Image.open(tmp_path / "plot.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert [31, 119, 180] in colours.tolist()  # the first of matplotlib's


def test_an_svg_holds_names_as_they_are_and_the_same_numbers_give_the_same_file(tmp_path, capsys):
    strange = run(tmp_path / "_$x^2$", "2,4.0,1\n")
    files = tmp_path / "one.svg", tmp_path / "two.svg"
    for file in files:
        assert command(capsys, strange, "--out", file)[0] == 0
    assert ">_$x^2$<" in files[0].read_text()
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{0}", "{1}/../unet", "{0}", "--out", "{2}/x.png"], "one line; received {0} twice. Give"),
        (["{0}", "--out", "{2}/x.pdf"], "as .png or .svg; received 'x.pdf'. Name it x.png, for"),
        (["{0}", "--out", "{2}/there.png"], "{2}/there.png exists and is not overwritten. Name an"),
        (["{2}", "--out", "{2}/x.png"], "shows runs; {2} holds no recipe.json of one. Give the fo"),
        (["{2}/empty", "--out", "{2}/x.png"], "received runs without any. Train until the first"),
        (["{2}/edited", "--out", "{2}/x.png"], "log.csv has the columns step,loss,seconds; its li"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(two, tmp_path, capsys, words, message):
    (tmp_path / "there.png").touch()
    run(tmp_path / "empty")
    run(tmp_path / "edited", "2,4.0,1\nnothing\n4,2.0,2\n")
    places = *two, tmp_path
    status, _, err = command(capsys, *(word.format(*places) for word in words))
    assert (status, message.format(*places) in err) == (2, True), err
    assert not (tmp_path / "x.png").exists()


def test_without_matplotlib_it_says_how_to_install_it(two, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, _, err = command(capsys, two[0], "--out", tmp_path / "x.png")
    assert status == 2
    assert re.search(r'drawn by matplotlib, .*pip install "segmentation-zoo\[plots\]"\.$', err)
