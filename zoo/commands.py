"""The verbs about models and published weights: list, show, weights, fetch and convert."""

import argparse
import dataclasses
import pathlib
import re
import sys
import textwrap

import zoo
from zoo import quiet
from zoo.class_names import CLASS_NAMES
from zoo.terminal import WRONG_REQUEST, Parser, json_object, printable, run, tell
from zoo.weights import catalog
from zoo.weights.catalog import Record


def list_(arguments: list[str]) -> int:
    """`zoo list [PATTERN]`."""
    parser = Parser(prog="zoo list", description="Prints a line for each model.")
    parser.add_argument("pattern", nargs="?", default="*", help="a shell pattern, such as 'fcn*'")
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    chosen = parser.parse_args(arguments)

    names = zoo.list_models(chosen.pattern)
    if not names:
        known = ", ".join(zoo.list_models())
        pattern = printable(repr(chosen.pattern))
        print(f"zoo list: no model matches {pattern}. There are {known}.", file=sys.stderr)
        return WRONG_REQUEST
    if chosen.markdown:
        print(table(chosen.pattern))
        return 0
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}} {zoo.describe(name).summary}")
    return 0


def show(arguments: list[str]) -> int:
    """`zoo show NAME`."""
    parser = Parser(prog="zoo show", description="Prints the card of a model, and its options.")
    parser.add_argument("name", help="name of a model; zoo list lists them")
    name = parser.parse_args(arguments).name

    def command() -> int:
        card = zoo.describe(name)
        quiet.import_tensorflow()  # the options are those of the builder
        lines = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
        del lines["module"]
        lines["parameters"] = f"{card.parameters:,}"
        for several in ("heads", "inputs"):
            lines[several] = ", ".join(lines[several])
        if lines.pop("takes_log_depth"):
            lines["last_channel"] = "the natural logarithm of the depth in millimetres"
        lines["options"] = ", ".join(f"{key}={value!r}" for key, value in card.options.items())
        for field, value in lines.items():
            if value:  # most nets have one head and one input, without names
                print(f"{field.replace('_', ' '):16} {value}")
        return 0

    return run(command, prog="zoo show")


def weights(arguments: list[str]) -> int:
    """`zoo weights [NAME]`."""
    parser = Parser(
        prog="zoo weights",
        description="Prints the weights files that the authors published, or how to use one.",
    )
    parser.add_argument("name", nargs="?", help="name of a model, or of one of the files")
    name = parser.parse_args(arguments).name

    def command() -> int:
        if name is None:
            print(published())
            print("\nzoo weights NAME tells what to do with one; zoo fetch FILE downloads it.")
            return 0
        files = catalog.records(name)
        if not files:
            zoo.describe(name)  # an unknown name is an error with the nearest ones
            print(f"No weights of {name} were published, nor of a trunk that it could start from.")
        for record in files:
            model = name if name in record.takers else next(iter(record.takers), None)
            print(explain(record, model), end="\n\n")
        return 0

    return run(command, prog="zoo weights")


def fetch(arguments: list[str]) -> int:
    """`zoo fetch FILE`."""
    parser = Parser(
        prog="zoo fetch",
        description="Downloads a weights file that its authors published, and checks it.\n\n"
        "It goes to the folder that ZOO_HOME names, or else to the cache folder of the system.\n"
        "zoo.load(NAME) finds it there. A download that broke off is resumed.",
    )
    parser.add_argument("file", help="its name; zoo weights lists them")
    parser.add_argument(
        "--unverified",
        action="store_true",
        help="download a file whose hash is unknown; its hash is then recorded, and every later "
        "download must have it",
    )
    chosen = parser.parse_args(arguments)

    def command() -> int:
        from zoo import progress
        from zoo.weights import fetching

        with progress.counting("bytes") as show:
            path = fetching.fetch(chosen.file, unverified=chosen.unverified, progress=show)
        record = catalog.records(chosen.file)[0]
        tell(f"written: {path}")
        print(f"licence: {record.licence}")
        model = next(iter(record.takers), None)
        print("\n".join(use(record, model)))
        return 0

    return run(command, prog="zoo fetch")


def convert(arguments: list[str]) -> int:
    """`zoo convert SOURCE TARGET`."""
    parser = Parser(
        prog="zoo convert",
        description="Writes the weights of a .caffemodel, .keras, .h5 or .weights.h5 file as\n"
        ".weights.h5, with what the model is, and a .sha256 beside it.",
    )
    parser.add_argument("source", type=pathlib.Path, help="such as fcn8s-heavy-pascal.caffemodel")
    parser.add_argument("target", type=pathlib.Path, help="such as fcn8s.weights.h5")
    parser.add_argument("--model", help="name in the zoo, if the file does not say it")
    parser.add_argument(
        "--options",
        type=json_object,
        default={},
        metavar="JSON",
        help="the model's, if the file does not say them, such as '{\"classes\": 60}'",
    )
    parser.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="of the classes, if the file does not say them; or the name of a data set: "
        + ", ".join(CLASS_NAMES),
    )
    chosen = parser.parse_args(arguments)
    return run(lambda: _convert(chosen), prog="zoo convert")


def _convert(chosen: argparse.Namespace) -> int:
    if chosen.target.exists():
        raise FileExistsError(f"{chosen.target} exists and is not overwritten. Name another file.")
    tell(f"Reading {chosen.source}")
    quiet.import_tensorflow()
    from zoo import loading, progress

    with progress.counting("numbers") as show:
        net = loading.load(
            chosen.source,
            model=chosen.model,
            class_names=chosen.class_names,
            progress=show,
            **chosen.options,
        )
    tell(f"Writing {chosen.target} and reading it back")
    zoo.weights.save(net, chosen.target)
    tell(f"written: {chosen.target} and {chosen.target}.sha256")
    print(f"Next: zoo.load({str(chosen.target)!r})")
    return 0


def table(pattern: str = "*") -> str:
    """The models as a Markdown table, one row for each name that matches `pattern`."""
    rows = [
        "| model | parameters | stride | receptive field | classes | paper | original weights |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for name in zoo.list_models(pattern):
        card = zoo.describe(name)
        rows.append(
            f"| [`{name}`](docs/models/{name}.md) | {card.parameters:,} | {card.stride} "
            f"| {card.receptive_field} | {card.classes} | {card.paper} | {card.weights_licence} |"
        )
    return "\n".join(rows)


def published() -> str:
    """A line for each file that the authors published."""
    row = "{:39} {:18} {:14} {:>8} {}"
    lines = [row.format("file", "model", "data set", "mean IoU", "licence")]
    for record in catalog.records():
        model = record.model or ("encoder" if record.encoder_of else "none")
        known = [score.percent.get("mean_iou", "") for score in record.scores] or [""]
        licence = re.split(r" \(|[,;:]", record.licence)[0]
        lines.append(row.format(record.file, model, record.data, known[0], licence))
    return "\n".join(lines)


def explain(record: Record, model: str | None) -> str:
    """All that is known about a published file, and how to load it into `model`."""
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
    return "\n".join(lines + use(record, model))


def use(record: Record, model: str | None) -> list[str]:
    """The commands that load a published file into `model`."""
    if model is None:
        return ["  use       no model of the zoo takes it"]
    unverified = "" if record.hash else " --unverified"
    lines = ["  use", f"    zoo fetch {record.file}{unverified}"]
    if model == record.model:
        return [*lines, f'    zoo.load("{record.weights}")']
    return [*lines, f'    zoo.build("{model}", encoder_weights="{record.weights}")']
