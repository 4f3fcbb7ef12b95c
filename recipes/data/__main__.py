"""`python -m recipes.data verify NAME DIR`: reads every file of a data set.

Prints of each split the examples, their sizes, the pixels of each class, and a SHA-256 over the
names of the classes and the pixels of images and labels: the fingerprint in a run's recipe.json. Or
lists each file that cannot be used, with the reason.
"""

import argparse
import pathlib
import signal
import sys

from recipes import data
from recipes.data.verify import Examined, verify


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 1 where an example cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="read every file of a data set")
    verifying.add_argument("name", choices=data.NAMES, metavar="NAME", help=", ".join(data.NAMES))
    verifying.add_argument("folder", type=pathlib.Path, metavar="DIR", help="where its files are")
    options = parser.parse_args(arguments)
    try:
        splits = data.load(options.name, options.folder)
        found = verify(splits, shown=None)
    except data.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"error: {error.filename or options.folder} cannot be read or written "
            f"({error.strerror or error}). Pass the data set's folder, and see to its permissions.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    for split, examined in found.items():
        _show(splits[split], examined)
    return 0


def _show(dataset: data.Dataset, examined: Examined) -> None:
    heights, widths = zip(*examined.sizes, strict=True)
    sizes = f"{heights[0]}×{widths[0]}"
    if len(heights) > 1:
        sizes = f"{len(heights)} sizes, {min(heights)}–{max(heights)}×{min(widths)}–{max(widths)}"
    print(f"{dataset.split}: {len(dataset)} examples, {sizes} (height × width)")
    counts = dict(zip(dataset.class_names, examined.pixels, strict=True))
    counts["255, which is no class"] = examined.ignored
    first, total = max(map(len, counts)), sum(counts.values())
    for name, count in counts.items():
        print(f"  {name:<{first}} {count:>14,} pixels  {count / total:7.2%}")
    print(f"  sha256 {examined.sha256}")


if __name__ == "__main__":
    sys.exit(main())
