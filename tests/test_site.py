"""The site has no broken link, loads nothing from elsewhere, and leaves nothing out."""

import html.parser
import importlib
import importlib.util
import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

import exports
import exports.client
import zoo

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = ROOT / "docs/site/mkdocs.yml"
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""Elements whose address a browser loads; those of `link` are its icons, styles and fonts."""

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> pathlib.Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", CONFIG]
    done = subprocess.run(
        [*command, "--site-dir", folder],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def loaded(page: str) -> list[str]:
    """The addresses that a browser loads for a page."""
    found = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attributes: list) -> None:
            given = dict(attributes)
            if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
                found.append(given["href"])
            elif given.get(LOADING.get(tag)):
                found.append(given[LOADING[tag]])

    Reader().feed(page)
    return found + re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", page)


@needs_mkdocs
def test_it_is_built_and_loads_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(zoo.list_models())
    for path in [*pages, *site.rglob("*.css")]:
        text = path.read_text(encoding="utf-8")
        text = text if path.suffix == ".html" else f"<style>{text}</style>"
        other = [x for x in loaded(text) if re.match(r"(https?:)?//", x)]
        assert not other, f"{path.relative_to(site)} loads {other}"


def test_what_is_loaded_is_seen():
    page = (
        '<link rel="stylesheet" href="https://a/b.css"><link rel="canonical" href="https://a">'
        '<script src="//a/c.js"></script><a href="https://a"><img src="d.png"></a>'
        "<style>@font-face { src: url(https://a/e.woff) }</style>"
    )
    assert loaded(page) == ["https://a/b.css", "//a/c.js", "d.png", "https://a/e.woff"]


@needs_mkdocs
def test_text_is_changed_for_it_as_said():
    hooks, prompts = (runpy.run_path(CONFIG.with_name(f"{x}.py")) for x in ("hooks", "prompts"))
    text = "[a](docs/training.md#scores), [b](CONTRIBUTING.md), [c](https://a/docs/b.md)"
    moved = "[a](training.md#scores), [b](contributing.md), [c](https://a/docs/b.md)"
    assert hooks["relinked"](text) == moved
    text = "So:\n\n>>> 1 + 1\n2\n\nThere."
    assert prompts["fenced"](text) == "So:\n\n```pycon\n>>> 1 + 1\n2\n```\n\nThere."


def test_each_model_is_in_the_menu():
    menu = CONFIG.read_text(encoding="utf-8")
    assert re.findall(r"- (\w+): models/\1\.md", menu) == zoo.list_models()


def public() -> list[str]:
    """The public names of the packages; of modules among them, theirs."""
    found = []
    for package in (zoo, exports):
        for name in package.__all__:
            value = getattr(package, name)
            if callable(value):
                found.append(f"{package.__name__}.{name}")
    for module in (zoo.layers, zoo.images, zoo.metrics, zoo.weights, exports.client):
        names = [name for name in module.__all__ if callable(getattr(module, name))]
        found += [f"{module.__name__}.{name}" for name in names]
    return found


def test_each_public_name_is_in_the_reference():
    text = "".join(path.read_text() for path in (ROOT / "docs/reference").glob("*.md"))
    named = set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))
    named |= set(re.findall(r"heading: ([\w.]+)}", text))
    assert set(public()) - named == set()


def test_each_name_in_the_reference_is_there():
    for path in (ROOT / "docs/reference").glob("*.md"):
        for place in re.findall(r"^::: ([\w.]+)$", path.read_text(), re.MULTILINE):
            module, _, name = place.rpartition(".")
            assert hasattr(importlib.import_module(module), name), place
