"""Brings the documents at the top into the site, and a drawing in the place of a graph."""

import pathlib
import re
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[2]
PLACES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "LICENSE.txt",
}
"""Of a document at the top, its place in the site."""


def on_files(files: Files, config: Any) -> Files:
    """Adds the documents at the top to the pages of docs."""
    for name, place in PLACES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relinked(text)))
    return files


def relinked(text: str) -> str:
    """The text with links from the top of the project as links from docs."""

    def moved(link: re.Match) -> str:
        return f"]({PLACES.get(link[1], link[1].removeprefix('docs/'))}"

    return re.sub(r"\]\((?!https?:)([^)#]+)", moved, text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The text of a page with the drawing of the graph, which `benchmarks.rooms` made."""
    drawing = "images/architecture.svg"
    image = f"[![the rooms of the code, and which imports which]({drawing})]({drawing})"
    return re.sub(r"^```mermaid\n.*?^```$", image, markdown, flags=re.DOTALL | re.MULTILINE)
