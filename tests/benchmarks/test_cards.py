"""The cards of the models are current, and small; what they quote is found where it is said."""

import csv
import shutil

import pytest

import zoo
from benchmarks import cards, quoted, recipes_page


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """What the program would write; no weights are made for it."""
    return cards.pages()


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """A copy of the documents that may be changed."""
    shutil.copytree(quoted.DOCS, tmp_path / "docs")
    monkeypatch.setattr(quoted, "DOCS", tmp_path / "docs")
    return tmp_path / "docs"


def test_the_cards_are_current(pages):
    assert cards.stale(pages) == [], "Run `python -m benchmarks.cards`."


def test_each_model_has_a_card_with_its_drawing(pages):
    for name in zoo.list_models():
        assert f"]({name}.svg)" in pages[f"models/{name}.md"]
        assert f"[`{name}`]({name}.md)" in pages["models/index.md"]
        assert pages[f"models/{name}.svg"].startswith("<svg")


def test_the_drawings_are_small():
    sizes = [path.stat().st_size for path in (quoted.DOCS / "models").glob("*.svg")]
    assert max(sizes) < 200_000
    assert sum(sizes) < 600_000


def test_the_pictures_of_the_gallery_are_small_and_of_recorded_runs():
    recorded = {row["recipe"] for row in quoted.results()}
    assert recorded >= set(quoted.gallery())
    for name in quoted.gallery():
        assert (quoted.DOCS / f"images/gallery/{name}.jpg").stat().st_size < 200_000


def test_a_picture_is_in_the_gallery_and_in_the_card_of_its_model(docs):
    (docs / "images/gallery").mkdir(exist_ok=True)
    (docs / "images/gallery/shapes_fullres.jpg").touch()
    assert "\n## shapes_fullres\n\nA small net at the" in recipes_page.gallery()
    assert "](images/gallery/shapes_fullres.jpg)" in recipes_page.gallery()
    assert "](../images/gallery/shapes_fullres.jpg)" in "\n".join(cards.results("fullres"))
    assert "shapes_fullres.jpg" not in "\n".join(cards.results("segnet"))


def test_the_readme_has_the_rows_of_the_results():
    readme = (quoted.DOCS.parent / "README.md").read_text(encoding="utf-8")
    head, *rows = quoted.rows(quoted.section(readme, "What was measured"))
    assert head == ["", "mean IoU", "pixel accuracy", "minutes", "GB"]
    recorded = {
        (f"`{row['recipe']}`" if row["model"] else row["recipe"]): row
        for row in quoted.results()
        if (row["data"], row["split"]) == ("camvid", "test")
    }
    assert len(rows) == len(recorded)
    for name, *cells in rows:
        row = recorded[name]
        columns = ("mean_iou", "pixel_accuracy", "minutes", "memory_gb")
        assert cells == [row[column] for column in columns]


def test_the_classes_of_a_split_are_rows():
    run = {"recipe": "a", "model": "unet", "split": "val", "class_ious": "x 0.5; two words 0.25"}
    prior = {**run, "recipe": "no net", "model": "", "class_ious": "x nan; two words 0.1"}
    older = {**run, "class_ious": ""}
    said, found = recipes_page.classes([run, prior, older])
    assert said == "The IoU of each class, split val:"
    assert quoted.rows(found) == [
        *(["class", "`a`", "no net"], ["x", "0.5", "nan"], ["two words", "0.25", "0.1"])
    ]


def test_what_all_runs_have_in_common_is_said_once():
    run = {"recipe": "a", "model": "unet", "split": "val", "mean_iou": "0.5", "steps": "7"}
    run |= {"minutes": "2", "hardware": "2 cores"}
    other = run | {"recipe": "b", "steps": "8"}
    prior = {**dict.fromkeys(run, ""), "recipe": "no net", "split": "val", "mean_iou": "0.1"}
    text = recipes_page.scores([run, other, prior])
    assert quoted.rows(text) == [
        ["recipe", "split", "mean IoU", "steps", "minutes"],
        ["`a`", "val", "0.5", "7", "2"],
        ["`b`", "val", "0.5", "8", "2"],
        ["no net", "val", "0.1", "", ""],
    ]
    assert text.endswith("\n\nHardware: 2 cores.")
    assert recipes_page.scores([run, prior]).endswith("\n\nSteps: 7; hardware: 2 cores.")
    different = recipes_page.scores([run, other | {"hardware": "4 cores"}])
    assert different.splitlines()[-1] == "| `b` | val | 0.5 | 8 | 2 | 4 cores |"


def test_runs_with_several_seeds_are_a_table_of_their_own(docs):
    with open(docs / "results.csv", encoding="utf-8", newline="") as stream:
        row = next(row for row in csv.DictReader(stream) if row["recipe"] == "shapes_unet")
    before = recipes_page.page()
    with open(docs / "results.csv", "a", encoding="utf-8", newline="") as stream:
        for seed, iou in (("7", "0.9"), ("8", "0.5")):
            csv.DictWriter(stream, row).writerow(row | {"seed": seed, "mean_iou": iou})
    first, text = float(row["mean_iou"]), recipes_page.page()
    line = (
        f"| `shapes_unet` | val | 0, 7, 8 | {first:.4f}, 0.9000, 0.5000 | "
        f"{(first + 1.4) / 3:.4f} | 0.4000 |"
    )
    assert line in text
    assert text.replace(f"\n{line}", "") == before
    assert line not in before


def test_what_a_paper_reports_has_a_column_of_its_own():
    head, _, row = recipes_page.listed(["voc_fcn32s"]).splitlines()
    assert head == "| run | what | time | result | a paper's number |"
    assert row.endswith("| not yet run | the authors report a mean IoU of 63.6 on the 736 images |")
    assert "paper" not in recipes_page.listed(["shapes_unet"]).splitlines()[0]


def test_what_is_changed_missing_or_left_over_is_written_anew(docs, monkeypatch, pages):
    (docs / "models/unet.md").write_text("# other\n")
    (docs / "models/fcn8s.svg").unlink()
    (docs / "models/gone.md").touch()
    assert cards.stale(pages) == ["models/fcn8s.svg", "models/unet.md", "models/gone.md"]
    monkeypatch.setattr(cards, "pages", lambda: pages)
    assert cards.main([]) == 0
    assert cards.stale(pages) == []


def test_a_card_says_what_a_new_row_of_the_results_says(docs):
    def said() -> str:
        return "\n".join([*cards.results("fcn_googlenet"), recipes_page.page()])

    assert "No run of this model has been recorded yet." in said()
    assert "0.7531" not in said()
    with open(docs / "results.csv", encoding="utf-8", newline="") as stream:
        row = next(csv.DictReader(stream))
    row |= {"recipe": "shapes_fcn_googlenet", "model": "fcn_googlenet", "mean_iou": "0.7531"}
    with open(docs / "results.csv", "a", encoding="utf-8", newline="") as stream:
        csv.DictWriter(stream, row).writerow(row)
    assert said().count("0.7531") == 2
    assert "No run of this model" not in said()


def test_speed_is_that_of_the_model_alone(docs):
    page = docs / "performance.md"
    page.write_text(
        "### Seconds\n\n| engine | unet, 9 × 9 | unet_vgg16, 9 × 9 |\n|---|--:|--:|\n"
        "| zoo | 1.25 | 2.5 |\n\n### Peak memory of the process, in GB\n\n"
        "| engine | unet, 9 × 9 | unet_vgg16, 9 × 9 |\n|---|--:|--:|\n| zoo | 0.75 | 1.5 |\n"
    )
    assert list(cards.speed("unet"))[-1].splitlines()[-1] == "| zoo | 1.25 | 0.75 |"
    assert list(cards.speed("fcn8s")) == []


def test_a_heading_that_is_gone_is_named():
    with pytest.raises(LookupError, match=r"no heading 'Seconds'\. Write what it is called"):
        quoted.section("# Hours\n", "Seconds")


def test_a_section_ends_at_the_next_heading():
    assert quoted.section("## One\n\na\n\n### Two\n\nb\n", "One") == "\na\n\n"


def test_a_list_in_a_docstring_is_one_in_markdown():
    text = quoted.definition("deconvnet")
    assert "Deviations:\n\n- The authors train" in text
    assert "here\n  Keras keeps" in text
    assert "of the whole batch.\n- The authors take" in text


def test_an_option_has_its_default_and_its_meaning():
    (row,) = [row for row in cards.options("unet") if row[0] == "depth"]
    assert row == ["depth", "4", "Number of poolings; the default is Figure 1's."]


def test_the_fields_of_a_run_are_read():
    said = quoted.run_fields("camvid_unet_small")
    assert said["what"].startswith("A narrow U-Net learns CamVid from scratch")
    assert said["Command"].endswith("--data-dir path/to/CamVid")
    assert {"Data", "Start", "Time", "Result"} < set(said)
