"""`python -m benchmarks` writes what is complete, and leaves the other sections as they are."""

import types

import pytest

import benchmarks.__main__ as program
from benchmarks import kept


@pytest.fixture
def main(monkeypatch, tmp_path):
    """The program with two parts that measure nothing; and what they were asked."""
    asked = []

    def module(title: str) -> types.SimpleNamespace:
        def run(out, *, nets, batches, narrow):
            asked.append((title, nets, batches, narrow))
            results, keep = kept.opened(out / f"{title}.json", "2 cores")
            keep()
            return results | {"nets": nets}

        return types.SimpleNamespace(
            TITLE=title,
            FILE=f"{title}.json",
            NETS={"unet": 8, "fcn8s": 8},
            BATCHES=(1, 4),
            run=run,
            complete=lambda results: len(results["nets"]) == 2,
            section=lambda results, images: f"new {title}\n",
        )

    modules = {"one": module("One"), "two": module("Two")}
    monkeypatch.setattr(program, "PARTS", {"one": "the first", "two": "the second"})
    monkeypatch.setattr(program, "module_of", modules.get)
    monkeypatch.setattr(program, "DOCUMENT", tmp_path / "docs" / "performance.md")
    monkeypatch.setattr(program, "OUT", tmp_path / "out")
    return lambda *arguments: (program.main(list(arguments)), asked)


def test_a_part_keeps_the_sections_of_the_others(main):
    assert main("two")[0] == 0
    text = program.DOCUMENT.read_text()
    assert "## One\n\nNot yet run: `python -m benchmarks one`.\n\n## Two\n\n2 cores; 2" in text
    former = text.replace("new Two", "kept\n\n### Seconds\n\n| a |")
    program.DOCUMENT.write_text(former)
    assert main("one")[0] == 0
    text = program.DOCUMENT.read_text()
    assert "new One\n\n## Two" in text
    assert text.endswith("kept\n\n### Seconds\n\n| a |\n")
    assert "Not yet run" not in text


def test_all_parts_run_with_all_nets(main):
    code, asked = main()
    assert code == 0
    nets = ("unet", "fcn8s")
    assert asked == [("One", nets, (1, 4), False), ("Two", nets, (1, 4), False)]


def test_what_is_not_complete_is_only_printed(main, capsys):
    assert main("one", "--nets", "unet", "--batch", "1")[1] == [("One", ["unet"], [1], False)]
    assert main("one", "--narrow")[0] == 0
    assert "## One\n\n2 cores; 2" in capsys.readouterr().out
    assert not program.DOCUMENT.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["three"], "the parts are one, two; received 'three'"),
        (["one", "--nets", "segnet"], "the nets of one are unet, fcn8s; received 'segnet'"),
    ],
)
def test_what_is_not_there_is_refused(main, capsys, arguments, text):
    with pytest.raises(SystemExit):
        main(*arguments)
    assert text in capsys.readouterr().err


def test_results_of_another_machine_end_it(main, monkeypatch, capsys):
    main("one")
    opened = kept.opened
    monkeypatch.setattr(kept, "opened", lambda place, conditions: opened(place, "4 cores"))
    assert main("one")[0] == 1
    assert "measured with '2 cores', and this is '4 cores'" in capsys.readouterr().err


def test_every_part_has_what_the_program_asks_for(monkeypatch):
    for part in program.PARTS:
        module = program.importlib.import_module(f"benchmarks.{part}")
        for name in ("TITLE", "FILE", "NETS", "BATCHES", "run", "complete", "section"):
            assert hasattr(module, name), (part, name)
