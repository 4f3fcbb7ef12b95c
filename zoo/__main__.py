"""The `zoo` command: what is in the zoo.

zoo list [PATTERN]    a line for each model
zoo show NAME         all that is known about one
"""

import argparse
import dataclasses
import sys

import zoo


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
    chosen = parser.parse_args(arguments)

    if chosen.command == "show":
        try:
            print(show(chosen.name))
        except ValueError as error:
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
