"""Runs the lesson and writes its pictures into it and into its Chinese twin.

    python -m benchmarks.lesson

`docs/lesson.ipynb` is written by hand, in Jupyter or as text; `docs/lesson.zh.ipynb` has the same
code and its text in Chinese. The program runs the English one in a kernel of its own and writes
what it shows into both: pictures of few colours, so that a file stays small, and no times, paths or
versions of this machine beside what the cells themselves print.
"""

import base64
import copy
import io
import os
import pathlib
import sys

import nbclient
import nbformat
from nbformat import NotebookNode
from PIL import Image

from zoo import files

ROOT = pathlib.Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "docs" / "lesson.ipynb", ROOT / "docs" / "lesson.zh.ipynb"
COLOURS = 16  # of a picture: four bits a pixel
SECONDS = 900  # that a cell may take, on a busy machine
# The reader's kernel only shows warnings; here they are errors, with the exceptions of the tests.
STRICT = """\
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
warnings.filterwarnings("ignore", ".*___pyct_anno", DeprecationWarning)
warnings.filterwarnings("ignore", module="ipykernel")  # of the kernel, not of the lesson
"""


def read(path: pathlib.Path) -> NotebookNode:
    """A notebook, checked against its format."""
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(notebook)
    return notebook


def executed(notebook: NotebookNode) -> list[list[NotebookNode]]:
    """What each cell of a notebook shows, in the order of the cells.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed, or warned.
    """
    running = copy.deepcopy(notebook)
    running.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    client = nbclient.NotebookClient(
        running,
        timeout=SECONDS,
        record_timing=False,
        coalesce_streams=True,  # how often a kernel flushes depends on how busy the machine is
    )
    paths = [str(ROOT), os.environ.get("PYTHONPATH")]
    client.execute(
        cwd=str(ROOT),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    return [
        [plain(output) for output in cell.get("outputs", ()) if output.get("name") != "stderr"]
        for cell in running.cells[1:]
    ]


def plain(output: NotebookNode) -> NotebookNode:
    """An output without what differs from run to run and from machine to machine."""
    if output.output_type == "stream":
        return output
    kept = next(
        kind for kind in ("image/svg+xml", "image/png", "text/plain") if kind in output.data
    )
    data = small(output.data[kept]) if kept == "image/png" else output.data[kept]
    return nbformat.v4.new_output("display_data", {kept: data})


def small(png: str) -> str:
    """A PNG with a palette, as base64 of it."""
    with io.BytesIO() as stream:
        picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
        # Rare colours are kept, too, such as that of a thin frame.
        method = Image.Quantize.MAXCOVERAGE
        fewer = picture.quantize(COLOURS, method=method, kmeans=2, dither=Image.Dither.NONE)
        fewer.save(stream, "PNG", optimize=True)
        return base64.b64encode(stream.getvalue()).decode()


def illustrated(notebook: NotebookNode, shown: list[list[NotebookNode]]) -> str:
    """The text of the file of a notebook whose cells show this."""
    notebook = copy.deepcopy(notebook)
    number = 0
    for cell, outputs in zip(notebook.cells, shown, strict=True):
        if cell.cell_type == "code":
            number += 1
            cell.execution_count, cell.outputs = number, outputs
    return nbformat.writes(notebook) + "\n"


def main() -> int:
    """Runs the lesson and writes both files."""
    english = read(ENGLISH)
    shown = executed(english)
    for path, notebook in ((ENGLISH, english), (CHINESE, read(CHINESE))):
        text = illustrated(notebook, shown)
        files.write_text(path, text)
        print(f"{path.relative_to(ROOT)}: {len(text.encode()) / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
