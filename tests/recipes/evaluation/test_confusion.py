"""Confusion matrices as CSV, Markdown and a picture."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from recipes.evaluation import confusion, matrix_picture

NAMES = ("background", "a|b\nc")
MATRICES = {"runs/one": np.array([[900, 100], [0, 50]]), "two": np.array([[0, 0], [1, 3]])}


def test_the_csv_holds_each_count(tmp_path):
    confusion.write(tmp_path / "m.csv", MATRICES, NAMES)
    with open(tmp_path / "m.csv", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["path", "truth", *NAMES]
    assert rows[1] == ["runs/one", "background", "900", "100"]
    assert [row[0] for row in rows[1:]] == ["runs/one", "runs/one", "two", "two"]
    assert rows[4] == ["two", NAMES[1], "1", "3"]


def test_the_markdown_has_a_part_for_each(tmp_path):
    confusion.write(tmp_path / "m.md", MATRICES | {"big": np.full((2, 2), 12345)}, NAMES)
    text = (tmp_path / "m.md").read_text()
    assert "## runs/one\n\n| truth | background | a\\|b c |\n|---|---:|---:|\n" in text
    assert "| background | 900 | 100 |\n| a\\|b c | 0 | 50 |\n" in text
    assert "## big\n" in text
    assert "| 12,345 | 12,345 |" in text


@pytest.mark.parametrize("classes", [2, 25, 60])
def test_a_cell_is_as_dark_as_its_share(classes):
    matrix = np.eye(classes, dtype=int) * 100
    matrix[0, 1] = 100
    matrix[-1] = 0
    names = [f"class {number}" for number in range(classes)]
    picture = matrix_picture.draw({"one": matrix}, names)
    pixels = np.asarray(picture)
    dark = (pixels == (8, 48, 107)).all(-1)
    grey = (pixels == (225, 225, 225)).all(-1)
    half = (pixels == np.round((255 + np.array((8, 48, 107))) / 2)).all(-1)
    side = 44 if classes <= matrix_picture.MAX_NUMBERED else 18
    inside = side**2  # with its lines; letters in other places have such greys, too
    # Numbers cover some pixels of a cell.
    assert 0.7 * inside <= grey.sum() / classes <= inside
    assert 0.7 * inside <= half.sum() / 2 <= inside
    if classes > 2:
        assert 0.7 * inside <= dark.sum() / (classes - 2) <= inside
    rows, columns = np.nonzero(half)
    assert rows.max() - rows.min() < side  # both shares of a half are in the first row
    assert columns.max() - columns.min() < 2 * side
    assert rows.max() < np.median(np.nonzero(grey)[0])


def test_matrices_lie_below_each_other_and_long_names_are_cut(tmp_path):
    names = ["a name that is much longer than a picture can show it", "b"]
    one = matrix_picture.draw({"one": MATRICES["two"]}, names)
    confusion.write(tmp_path / "m.png", MATRICES, names)
    with Image.open(tmp_path / "m.png") as both:
        assert both.size == (one.width, 2 * one.height)
    long = matrix_picture.draw({"a path " * 20: MATRICES["two"]}, names)
    assert long.width > one.width


def test_another_ending_is_refused_before_anything_is_scored(tmp_path):
    text = "A confusion matrix is written as .png, .csv or .md; received 'm.txt'. Name it m.png"
    with pytest.raises(ValueError, match=re.escape(text)):
        confusion.check(tmp_path / "m.txt")
    (tmp_path / "m.csv").touch()
    with pytest.raises(FileExistsError, match=r"m\.csv exists and is not overwritten"):
        confusion.check(tmp_path / "m.csv")


def test_the_folder_of_a_matrix_is_made(tmp_path):
    confusion.write(tmp_path / "new" / "m.csv", MATRICES, NAMES)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "m.csv"]
