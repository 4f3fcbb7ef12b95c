"""The tables of a run, with the scores of further heads in columns of their own."""

import pytest

from recipes import scoring
from recipes.training import tables

FURTHER = tuple(f"geometric_{name}" for name in scoring.SCORES)


def row(step):
    names = (*scoring.SCORES, *FURTHER)
    return {"step": step, **{name: 0.125 * place for place, name in enumerate(names)}}


def test_each_head_has_its_columns_and_later_rows_are_taken_back(tmp_path):
    file = tmp_path / tables.SCORES
    tables.repair(file, 0, heads=("geometric",))
    assert file.read_text() == ",".join(("step", *scoring.SCORES, *FURTHER)) + "\n"
    for step in (2, 4, 6):
        tables.add_row(file, row(step))
    whole = file.read_text()
    with open(file, "a") as stream:
        stream.write("8,0.5,0.")
    assert tables.last_step(file) == 6
    assert tables.is_scored(tmp_path, 4)
    assert not tables.is_scored(tmp_path, 8)
    tables.repair(file, 6, heads=("geometric",))
    assert file.read_text() == whole
    tables.repair(file, 2, heads=("geometric",))
    assert file.read_text() == "".join(whole.splitlines(keepends=True)[:2])


@pytest.mark.parametrize("heads", [(), ("other",), ("geometric", "other")])
def test_a_table_of_other_heads_is_not_taken_over(tmp_path, heads):
    file = tmp_path / tables.SCORES
    tables.repair(file, 0, heads=("geometric",))
    tables.add_row(file, row(2))
    before = file.read_text()
    with pytest.raises(ValueError, match=r"has the columns .*; its line 1 is 'step,pixel_accuracy"):
        tables.repair(file, 2, heads=heads)
    assert file.read_text() == before


def test_the_log_has_no_columns_of_heads(tmp_path):
    file = tmp_path / tables.LOG
    tables.repair(file, 0, heads=("geometric",))
    assert file.read_text() == "step,loss,seconds\n"
    file.write_text("step,loss,seconds,geometric_mean_iou\n2,1,1,1\n")
    with pytest.raises(ValueError, match="has the columns step,loss,seconds; its line 1"):
        tables.last_step(file)
