"""The `zoo` command: what is in the zoo.

zoo list [PATTERN]    a line for each model
zoo show NAME         all that is known about one
zoo convert IN OUT --model NAME
                      weights of a .caffemodel as .weights.h5, with a .sha256 beside it
zoo weights [MODEL]   the files that the authors published, and how to use one
"""

import zoo  # isort: skip  # first: it keeps the terminal free of TensorFlow's start

import argparse
import dataclasses
import json
import pathlib
import re
import sys
import textwrap

from zoo.weights.catalog import Record, records


def table(pattern: str = "*") -> str:
    """The models as a Markdown table, one row for each name that matches `pattern`."""
    rows = [
        "| model | parameters | stride | receptive field | classes | paper | original weights |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for name in zoo.list_models(pattern):
        card = zoo.describe(name)
        rows.append(
            f"| `{name}` | {card.parameters:,} | {card.stride} | {card.receptive_field} "
            f"| {card.classes} | {card.paper} | {card.weights_licence} |"
        )
    return "\n".join(rows)


def show(name: str) -> str:
    """The card of a model, a field on each line."""
    lines = []
    for field in dataclasses.fields(zoo.Card):
        value = getattr(zoo.describe(name), field.name)
        if field.name == "options":
            value = ", ".join(f"{option}={default!r}" for option, default in value.items())
        elif field.name == "parameters":
            value = f"{value:,}"
        lines.append(f"{field.name.replace('_', ' '):16} {value}")
    return "\n".join(lines)


def convert(source: pathlib.Path, target: pathlib.Path, model: str, options: str) -> None:
    """Writes the weights of a file of any kind as `.weights.h5`, checked, never over another file.

    Raises:
        ValueError: The file, the model or its options are wrong, or do not fit each other.
        OSError: The target exists or cannot be written.
    """
    try:
        chosen = json.loads(options)
    except json.JSONDecodeError:
        chosen = None
    if not isinstance(chosen, dict):
        raise ValueError(
            f"--options is a JSON object of options and values; received {options!r}. "
            "Pass, for example, --options '{\"classes\": 60}'."
        )
    if target.exists():
        raise FileExistsError(f"{target} exists and is not overwritten. Name another file.")
    print(f"Building {model}", flush=True)
    net = zoo.build(model, **chosen)
    print(f"Reading {source}", flush=True)
    zoo.weights.load(net, weights=source, progress=_bar)
    print(f"\nWriting {target} and reading it back", flush=True)
    zoo.weights.save(net, target)
    print(f"written: {target} and {target}.sha256")
    extra = "".join(f", {name}={value!r}" for name, value in chosen.items())
    print(f"Next: zoo.build({model!r}{extra}, weights={str(target)!r})")


def _bar(done: int, total: int) -> None:
    print(f"\r[{'=' * (40 * done // total):40}] {done:,} of {total:,} numbers", end="", flush=True)


def published() -> str:
    """A line for each file that the authors published."""
    row = "{:39}  {:12}  {:14}  {:>8}  {}"
    lines = [row.format("file", "model", "data set", "mean IoU", "licence")]
    for record in records():
        model = record.model or ("encoder" if record.encoder_of else "none")
        known = [score.percent.get("mean_iou", "") for score in record.scores] or [""]
        licence = re.split(r" \(|[,;]", record.licence)[0]
        lines.append(row.format(record.file, model, record.data, known[0], licence))
    return "\n".join(lines)


def explain(record: Record, model: str | None) -> str:
    """All that is known about a published file, and how `model` takes it."""
    fields = [("data set", f"{record.data}, {record.classes} classes")]
    fields += [("address", record.address), ("licence", record.licence)]
    for score in record.scores:
        percent = ", ".join(f"{name} {value}" for name, value in score.percent.items())
        percent = percent.replace("_", " ").replace("iou", "IoU")
        fields.append(("score", f"{percent} on {score.on} ({score.source})"))
    if record.hash:
        fields.append(("hash", f"{record.hash.algorithm} {record.hash.digest}"))
        fields.append(("", f"says {record.hash.source}"))
    else:
        fields.append(("hash", "none is known"))
    fields.append(("notes", record.notes))
    lines = [record.file]
    for name, text in fields:
        indents = {"initial_indent": f"  {name:8}  ", "subsequent_indent": " " * 12}
        lines += textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False, **indents)
    return "\n".join(lines + _use(record, model))


def _use(record: Record, model: str | None) -> list[str]:
    """The commands after the download, for the terminal and for Python."""
    if model is None:
        return ["  use       no model of the zoo takes it"]
    lines = ["  use       download it into any folder; then there, in the terminal or Python:"]
    if record.member:
        lines.append(f"    # unpack it: the weights are its {record.member}")
    if model != record.model:
        return [*lines, f'    zoo.build("{model}", encoder_weights="{record.weights}")']
    options = record.options
    lines.append(
        f"    zoo convert {record.weights} {model}.weights.h5 --model {model}"
        + (f" \\\n        --options '{json.dumps(options)}'" if options else "")
    )
    given = "".join(f"{name}={json.dumps(value)}, " for name, value in options.items())
    return [*lines, f'    zoo.build("{model}", {given}weights="{model}.weights.h5")']


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status, 2 for a wrong name."""
    parser = argparse.ArgumentParser(prog="zoo", description="What is in the segmentation zoo.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {zoo.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="a line for each model")
    listing.add_argument("pattern", nargs="?", default="*", help="such as 'fcn*'")
    listing.add_argument("--markdown", action="store_true", help="a table, as in the README")
    showing = commands.add_parser("show", help="all that is known about one model")
    showing.add_argument("name")
    converting = commands.add_parser("convert", help="a .caffemodel to .weights.h5")
    converting.add_argument("source", type=pathlib.Path, help="such as fcn8s.caffemodel")
    converting.add_argument("target", type=pathlib.Path, help="such as fcn8s.weights.h5")
    converting.add_argument("--model", required=True, help="its name in the zoo")
    converting.add_argument(
        "--options",
        default="{}",
        metavar="JSON",
        help="of the builder, such as '{\"classes\": 60}'",
    )
    publishing = commands.add_parser("weights", help="the files that the authors published")
    publishing.add_argument("name", nargs="?", help="of a model, or of one of the files")
    chosen = parser.parse_args(arguments)

    if chosen.command == "show":
        try:
            print(show(chosen.name))
        except ValueError as error:
            print(f"zoo: {error}", file=sys.stderr)
            return 2
    elif chosen.command == "weights":
        if chosen.name is None:
            print(published())
            print("\nNothing is fetched; `zoo weights MODEL` tells what to do.")
            return 0
        files = records(chosen.name)
        try:
            if not files:
                zoo.describe(chosen.name)
        except ValueError as error:
            print(f"zoo: {error}", file=sys.stderr)
            return 2
        for record in files:
            model = chosen.name if chosen.name in record.takers else None
            print(explain(record, model or next(iter(record.takers), None)), end="\n\n")
        print("Nothing is fetched: no file has a SHA-256 that its authors published.")
    elif chosen.command == "convert":
        try:
            convert(chosen.source, chosen.target, chosen.model, chosen.options)
        except (TypeError, ValueError, OSError) as error:
            print(f"zoo: {error}", file=sys.stderr)
            return 2
    elif chosen.markdown:
        print(table(chosen.pattern))
    else:
        names = zoo.list_models(chosen.pattern)
        if not names:
            known = ", ".join(zoo.list_models())
            print(f"zoo: no model matches {chosen.pattern!r}. There are {known}.", file=sys.stderr)
            return 2
        for name in names:
            print(f"{name:14} {zoo.describe(name).summary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
