"""`python -m recipes.data verify NAME DIR`: reads every file of a data set.

Prints what the splits hold, or each file that cannot be used, with the reason.
"""

import argparse
import pathlib
import sys

from recipes import data
from recipes.data.verify import verify


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
        found = verify(splits)
    except data.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split, examined in found.items():
        dataset, sizes = splits[split], examined.sizes
        ends = [f"{height}×{width}" for height, width in (min(sizes), max(sizes))]
        shown = ends[0] if len(sizes) == 1 else f"{len(sizes)} sizes from {ends[0]} to {ends[1]}"
        print(f"{split}: {len(dataset)} examples, {shown} (height × width)")
        for name, count in zip(dataset.class_names, examined.pixels, strict=True):
            share = count / examined.pixels.sum()
            print(f"  {name:<16} {count:>14,} pixels  {share:7.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
