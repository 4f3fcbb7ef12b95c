"""Measures the speed and memory of the zoo's nets, and writes docs/performance.md.

    pip install --editable '.[benchmarks]'
    python -m benchmarks                  # all parts, which takes hours
    python -m benchmarks engines --nets fcn8s --batch 1

{parts}

All that was measured is kept in the folder of `--out`; the same command goes on where it was
stopped. A part gets its section of the page when it is complete; the sections of other parts stay
as they are. A part that cannot be measured here is left out, and the exit code is 1. The other
benchmarks have pages of their own: `python -m benchmarks.NAME --help`.
"""

import argparse
import importlib
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

from benchmarks import kept
from benchmarks.documents import report, write

# Each module has TITLE, FILE, NETS, BATCHES, `run`, `complete` and `section`.
PARTS = {
    "engines": "the nets beside the engines that a user would pick",
    "growth": "seconds and memory by the size of the image and of the batch",
    "layers": "the most expensive layers of each net",
    "training": "a training step of three nets beside PyTorch",
    "gpu": "the nets on Keras with PyTorch and JAX beside plain PyTorch, on a GPU",
}
OUT = pathlib.Path("runs/benchmarks")
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"
HEAD = """\
# Performance

Written by `python -m benchmarks`; run it again instead of editing. The programs' docstrings explain
what is compared and how. Other pages: [the cost of an answer](exports.md), [dense inference beside
windows](dense_vs_windows.md), [methods of inference](inference.md), [the data
pipeline](pipeline.md).
"""
NOT_YET = "Not yet run: `python -m benchmarks {part}`.\n"


def page(former: str, new: Mapping[str, str]) -> str:
    """The page with these sections by their part; the others are those of the former page."""
    sections = dict(re.findall(r"^## (.+?)\n\n(.*?)(?=^## |\Z)", former, re.DOTALL | re.MULTILINE))
    parts = []
    for part in PARTS:
        title = module_of(part).TITLE
        text = new.get(part) or sections.get(title) or NOT_YET.format(part=part)
        parts.append(f"## {title}\n\n{text.strip()}\n")
    return "\n".join([HEAD, *parts])


def module_of(part: str):
    return importlib.import_module(f"benchmarks.{part}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the parts, prints and writes their sections, and returns the exit code."""
    listed = "\n".join(f"    {part:<8} {what}" for part, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__.format(parts=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; or all")
    parser.add_argument("--nets", nargs="+", metavar="NET", help="only these")
    parser.add_argument("--batch", nargs="+", type=int, metavar="IMAGES", help="only these")
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help=f"default: {OUT}")
    parser.add_argument(
        "--narrow", action="store_true", help="a quarter of the authors' widths; only prints"
    )
    given = parser.parse_args(arguments)
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"the parts are {', '.join(PARTS)}; received {unknown[0]!r}")
    out = given.out.absolute() / ("narrow" if given.narrow else "")
    out.mkdir(parents=True, exist_ok=True)
    done, failed = {}, []
    for part in given.parts or PARTS:
        module = module_of(part)
        wrong = [net for net in given.nets or () if net not in module.NETS]
        if wrong:
            parser.error(f"the nets of {part} are {', '.join(module.NETS)}; received {wrong[0]!r}")
        report(f"{part}: {PARTS[part]} …")
        try:
            results = module.run(
                out,
                nets=given.nets or tuple(module.NETS),
                batches=given.batch or module.BATCHES,
                narrow=given.narrow,
            )
        except kept.UnableError as error:
            report(f"{part}: {error}")
            failed.append(part)
            continue
        whole = module.complete(results) and not given.narrow
        images = DOCUMENT.parent / "images" if whole else out
        text = f"{kept.heading(out / module.FILE)}\n\n{module.section(results, images)}"
        print(f"## {module.TITLE}\n\n{text}")
        if whole:
            done[part] = text
            former = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
            write(page(former, done), DOCUMENT)
            report(f"Wrote {DOCUMENT}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
