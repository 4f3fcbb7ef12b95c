"""What the documents say is what the code does."""

import pathlib
import re

import pytest

import zoo
from zoo.commands import table

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_table_of_models_is_current():
    between = re.search(r"<!-- models:.*?-->\n(.*?)\n<!-- end of models -->", README, re.DOTALL)
    assert between, "README.md has no table of models between its two markers"
    assert between[1].strip() == table(), "Paste what `zoo list --markdown` prints into README.md."


def test_the_versions_agree():
    assert f"## {zoo.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_what_the_documents_name_is_there(document):
    text = (ROOT / document).read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / link).exists(), f"{document} links to {link}"
    for path in re.findall(r"`((?:zoo|exports|recipes|tests|benchmarks)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), f"{document} names {path}"
    for module in re.findall(r"python -m ((?:exports|recipes|benchmarks)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
