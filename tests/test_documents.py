"""What the documents say is what the code does."""

import pathlib
import re

import pytest

import zoo
from zoo.commands import table

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text()


def test_the_table_of_models_is_current():
    between = re.search(r"<!-- models:.*?-->\n(.*?)\n<!-- end of models -->", README, re.DOTALL)
    assert between, "README.md has no table of models between its two markers"
    assert between[1].strip() == table(), "Paste what `zoo list --markdown` prints into README.md."


def test_the_versions_agree():
    assert f"## {zoo.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_documents_name_is_there(path):
    """What is in capitals in a path stands for any name."""
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / link).exists(), f"{path.name} links to {link}"
    for place in re.findall(r"`((?:zoo|exports|recipes|tests|benchmarks)/[\w/.]+)`", text):
        assert list(ROOT.glob(re.sub(r"[A-Z_]+(?=\.py)", "*", place))), f"{path.name} names {place}"
    for module in re.findall(r"python -m ((?:exports|recipes|benchmarks|tests|zoo)[\w.]*)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
