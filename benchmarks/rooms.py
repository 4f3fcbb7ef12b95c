"""Draws the graph of docs/architecture.md as docs/images/architecture.svg, which the site shows.

    npm pack mermaid && tar xzf mermaid-*.tgz package/dist/mermaid.min.js
    python -m benchmarks.rooms package/dist/mermaid.min.js

The graph is written in Mermaid's language. GitHub draws it while the page is looked at; the site
loads no such program, and shows the drawing. It is made in Chromium, and says of which graph it is:
a test compares that with the page.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.documents import report, write
from tests.support import chromium

DOCS = pathlib.Path(__file__).parents[1] / "docs"
DRAWING = DOCS / "images" / "architecture.svg"
SETTINGS = {
    "startOnLoad": False,
    "theme": "neutral",
    "htmlLabels": False,  # SVG's own text, which every viewer shows
    "flowchart": {"htmlLabels": False},
    "fontFamily": "DejaVu Sans, Verdana, sans-serif",
}


def graph() -> str:
    """The graph of the page, in Mermaid's language."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    return re.search(r"^```mermaid\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]


def signed(text: str) -> str:
    """What a drawing says about the graph that it shows."""
    return f"<!-- SHA-256 of the graph: {hashlib.sha256(text.encode()).hexdigest()} -->"


def drawn(text: str, mermaid: pathlib.Path) -> str:
    """The SVG of a graph."""
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder, "page.html")
        page.write_text(f'<body><script src="{mermaid.absolute().as_uri()}"></script>')
        with chromium.opened(page.as_uri(), pathlib.Path(folder)) as tab:
            tab.wait("typeof mermaid !== 'undefined'")
            tab.evaluate(
                f"mermaid.initialize({json.dumps(SETTINGS)});"
                f"mermaid.render('rooms', {json.dumps(text)}).then(x => window.drawn = x.svg); 0"
            )
            svg = tab.wait("window.drawn")
    return svg.replace('style="', 'style="background: white; ', 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the drawing, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rooms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mermaid", type=pathlib.Path, help="mermaid.min.js")
    chosen = parser.parse_args(arguments)
    if chromium.PROGRAM is None:
        parser.error("Chromium draws the graph, and is not installed. Install chromium.")
    write(f"{drawn(graph(), chosen.mermaid)}\n{signed(graph())}\n", DRAWING)
    report(f"Wrote {DRAWING}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
