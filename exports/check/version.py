"""Checks an exported version that is in place, in all loaders that are installed.

python -m exports.check served/unet/1 --weights runs/coins/model.weights.h5
python -m exports.check served/unet/1

With the weights, the model is built again by the options in `export.json`, and the loaders must
give its answers. Without them, they must give each other's: what the signature `scores` gives in
TensorFlow's Python loader is then taken for the model's.
"""

import argparse
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import zoo
from exports import check
from exports.check import MismatchError, reference
from exports.graph.requests import Limits
from exports.runtimes.tensorflow_c import StatusError
from exports.serving import export_json


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 2 for a wrong request, 1 for a wrong version."""
    parser = argparse.ArgumentParser(
        prog="python -m exports.check",
        description="Checks an exported version in the loaders of its users.",
    )
    parser.add_argument("version", type=pathlib.Path, help="its folder, such as served/unet/1")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="what the version was exported from; without it the loaders are held to each other",
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        help="to check with, if not textures: one in which the model sees two classes or more",
    )
    chosen = parser.parse_args(arguments)
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {line}", flush=True)

    try:
        _check(chosen, export_json.read(chosen.version), report)
    except (MismatchError, StatusError) as error:
        # Without the model nothing tells an engine that rounds otherwise from one that is wrong.
        hint = "" if chosen.weights else " Pass --weights to hold each loader to the model."
        print(f"exports.check: {error}{hint}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"exports.check: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("exports.check: stopped", file=sys.stderr)
        return 130
    return 0


def _check(
    chosen: argparse.Namespace, recorded: dict[str, Any], report: Callable[[str], None]
) -> None:
    sizes = export_json.sizes(chosen.version)
    wrong = sorted(name for name, size in recorded["files"].items() if sizes.get(name, -1) != size)
    if wrong:
        raise MismatchError(
            f"A version has the files that were exported; of {chosen.version} not {wrong[0]}: "
            f"{recorded['files'][wrong[0]]} bytes are recorded, {sizes.get(wrong[0], 'none')} are "
            "there. Copy it again."
        )
    report(f"{chosen.version}: all {len(recorded['files'])} files are there, at their sizes")
    limits = Limits(**recorded["limits"])
    images = chosen.image and reference.read_image(chosen.image, limits.channels)
    options = {"limits": limits, "images": images, "report": report}
    if chosen.weights is None:
        report("Holding the loaders to each other; --weights holds them to the model")
        check.among_loaders(chosen.version, **options)
        return
    if recorded["options"] is None:
        raise ValueError(
            "A model is built again by the options that its export recorded; "
            f"{chosen.version} has none. Check it without --weights."
        )
    report(f"Building {recorded['model']} with the weights of {chosen.weights}")
    model = zoo.build(recorded["model"], weights=chosen.weights, **recorded["options"])
    same = export_json.weights_sha256(model) == recorded["weights"]["sha256"]
    report(f"Its weights are {'' if same else 'NOT '}those that were exported")
    check.saved_model(model, chosen.version, **options)


if __name__ == "__main__":
    sys.exit(main())
