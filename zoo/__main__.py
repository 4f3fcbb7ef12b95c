"""The `zoo` command: its verbs, each of which is a function of the package that it belongs to."""

import importlib
import os
import signal
import sys

import zoo
from zoo import terminal

# The verb, the module that holds its function, and what it does, in the order of a first project.
VERBS = {
    "list": ("zoo.commands", "the models, a line each"),
    "show": ("zoo.commands", "all that is known about a model"),
    "draw": ("zoo.showing", "a model as an SVG: stages, sizes, skips"),
    "weights": ("zoo.commands", "the files that the authors published"),
    "fetch": ("zoo.commands", "download one of these files"),
    "convert": ("zoo.commands", "a .caffemodel or other file as .weights.h5"),
    "verify": ("recipes.command", "read every file of a data set"),
    "train": ("recipes.command", "train a model, or go on training"),
    "plot": ("recipes.plotting", "the loss and the scores of runs as a picture"),
    "predict": ("zoo.inference.command", "the classes of images as pictures"),
    "activations": ("zoo.showing", "what the layers of a trained model give for an image"),
    "evaluate": ("recipes.command", "the scores of a trained or exported model"),
    "bounds": ("recipes.command", "the mean IoU that down-sampled labels can reach"),
    "demo": ("zoo.inference.demo", "a page in the browser on which a model is tried"),
    "export": ("recipes.exporting", "files for TensorFlow Serving, phones and other engines"),
    "check": ("exports.command", "check an exported version again"),
    "ask": ("exports.command", "ask a server for the masks of images"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a verb; returns its exit status: 0, 1 where the work failed, 2 for a wrong request."""
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout is not None:  # it was closed before the start
            sys.stdout.flush()
    except SystemExit as stop:  # argparse ends the program after help and after an error
        return stop.code
    except KeyboardInterrupt:
        print("zoo: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of the output has ended, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return terminal.FAILED
    return status


def _run(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        print(f"zoo {zoo.__version__}")
        return 0
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else terminal.WRONG_REQUEST
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        print(
            f"zoo: {terminal.printable(verb)} is not a verb; there are {', '.join(VERBS)}.\n"
            "Run zoo --help for what they do.",
            file=sys.stderr,
        )
        return terminal.WRONG_REQUEST
    module = importlib.import_module(VERBS[verb][0])
    # `list` is Python's own name.
    return getattr(module, f"{verb}_" if verb == "list" else verb)(rest)


def usage() -> str:
    """The verbs with what they do."""
    lines = [f"  {verb:11} {text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "The networks that founded semantic segmentation: build, train, score, export, serve.",
            "",
            "usage: zoo VERB …",
            "",
            *lines,
            "",
            "zoo VERB --help explains one; zoo --version tells the version.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
