"""The drawing of the rooms is that of the graph in docs/architecture.md."""

import pytest

from benchmarks import rooms
from tests.support import chromium


def test_the_drawing_is_current_and_holds_no_html():
    text = rooms.DRAWING.read_text(encoding="utf-8")
    assert rooms.signed(rooms.graph()) in text, "Run `python -m benchmarks.rooms mermaid.min.js`."
    assert "<foreignObject" not in text
    assert rooms.signed(rooms.graph() + " ") not in text


def test_without_chromium_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(chromium, "PROGRAM", None)
    with pytest.raises(SystemExit):
        rooms.main(["mermaid.min.js"])
    assert "Chromium draws the graph, and is not installed. Install chromium." in (
        capsys.readouterr().err
    )
