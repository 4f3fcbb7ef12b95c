"""The `zoo` command: what is in the zoo.

zoo list [PATTERN]    a line for each model
zoo show NAME         all that is known about one
zoo convert IN OUT --model NAME
                      weights of a .caffemodel as .weights.h5, with a .sha256 beside it
"""

import zoo  # isort: skip  # first: it keeps the terminal free of TensorFlow's start

import argparse
import dataclasses
import json
import pathlib
import sys


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
    chosen = parser.parse_args(arguments)

    if chosen.command == "show":
        try:
            print(show(chosen.name))
        except ValueError as error:
            print(f"zoo: {error}", file=sys.stderr)
            return 2
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
