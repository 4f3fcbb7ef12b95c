"""The lesson runs as it stands, and its two files are one lesson."""

import base64
import io
import re

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from benchmarks import lesson

MOST_BYTES = 200_000  # of a file
NOTEBOOKS = lesson.ENGLISH, lesson.CHINESE
CHINESE_LETTER = re.compile(r"[\u4e00-\u9fff]")


def kinds(outputs: list[nbformat.NotebookNode]) -> list[str]:
    """What a cell shows: text that it prints, or a picture of this kind."""
    return [
        "printed" if output.output_type == "stream" else next(iter(output.data))
        for output in outputs
    ]


def notebook_of(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(x) for x in sources])


def test_the_lesson_runs_and_shows_what_its_files_hold():
    """Its asserts are what is tested; a warning is an error."""
    english = lesson.read(lesson.ENGLISH)
    shown = lesson.executed(english)
    held = [kinds(cell.get("outputs", ())) for cell in english.cells]
    assert [kinds(outputs) for outputs in shown] == held, "Run python -m benchmarks.lesson."


def test_both_files_have_the_same_code_and_show_the_same():
    english, chinese = (lesson.read(path).cells for path in NOTEBOOKS)
    assert [(cell.id, cell.cell_type) for cell in english] == [
        (cell.id, cell.cell_type) for cell in chinese
    ]
    for one, other in zip(english, chinese, strict=True):
        if one.cell_type == "code":
            assert one == other, f"{one.id}: change both, and run python -m benchmarks.lesson"
        else:
            assert CHINESE_LETTER.search(other.source), one.id
            assert not CHINESE_LETTER.search(one.source.replace("中文", "")), one.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_file_is_small_and_tells_nothing_of_the_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    for word in ("/home/", "/work/", "/tmp/", "/root/", "Traceback", "stderr", "iopub"):
        assert word not in text
    notebook = lesson.read(path)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert notebook.cells[0].source.startswith("# ")


def test_each_section_has_a_picture_and_a_question():
    """The last section is the reader's own image, and asks nothing."""
    for path, question in zip(NOTEBOOKS, ("**Think.**", "**想一想。**"), strict=True):
        sections = []
        for cell in lesson.read(path).cells:
            if cell.source.startswith("## "):
                sections.append([])
            if sections:
                sections[-1].append(cell)
        assert len(sections) == 8
        for cells in sections:
            drawn = [
                kind for cell in cells for kind in kinds(cell.get("outputs", ())) if "image" in kind
            ]
            assert drawn, cells[0].source
            asks = any(question in cell.source for cell in cells if cell.cell_type == "markdown")
            assert asks == (cells is not sections[-1]), cells[0].source


def test_a_statement_that_is_wrong_stops_the_lesson():
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="AssertionError"):
        lesson.executed(notebook_of("assert 1 + 1 == 3"))


def test_a_warning_stops_the_lesson():
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="DeprecationWarning"):
        lesson.executed(notebook_of("import warnings\nwarnings.warn('old', DeprecationWarning)"))


def test_what_is_written_has_no_chatter_and_small_pictures():
    notebook = notebook_of(
        "import sys\nprint('told')\nprint('chatter', file=sys.stderr)",
        "import numpy as np\nfrom PIL import Image\n"
        "Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), 'uint8'))",
    )
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell("text"))
    shown = lesson.executed(notebook)
    assert [kinds(outputs) for outputs in shown] == [["printed"], [], ["image/png"]]
    assert shown[0][0].text == "told\n"
    picture = Image.open(io.BytesIO(base64.b64decode(shown[2][0].data["image/png"])))
    assert picture.size == (50, 40)
    assert picture.mode == "P"
    assert len(np.unique(picture)) <= lesson.COLOURS
    written = nbformat.reads(lesson.illustrated(notebook, shown), as_version=4)
    assert [cell.get("execution_count") for cell in written.cells] == [1, None, 2]
    assert written.cells[2].outputs == shown[2]
    assert not notebook.cells[0].outputs  # what was given stays as it was
